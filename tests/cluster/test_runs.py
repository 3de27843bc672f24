"""Who makes which tile: each one once, whoever comes and goes, and neighbours by the same worker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ultrares.cluster.runs import Runs

NAMES = st.sampled_from(["a", "b", "c", "late"])


@given(st.integers(0, 40), st.sets(NAMES), st.lists(NAMES, max_size=80))
def test_every_number_is_handed_out_once(count, workers, asking):
    runs = Runs(count, workers)
    given_out = [runs.next(worker) for worker in asking]
    rest = iter(lambda: runs.next("last"), None)
    numbers = [number for number in given_out if number is not None] + list(rest)
    assert sorted(numbers) == list(range(count))


def test_workers_begin_evenly_and_stay_among_neighbours():
    runs = Runs(30, ["b", "a", "c"])
    numbers = {name: [runs.next(name) for _ in range(10)] for name in "abc"}
    assert numbers == {
        "a": list(range(10)),
        "b": list(range(10, 20)),
        "c": list(range(20, 30)),
    }
    assert runs.next("a") is None


def test_one_that_is_done_takes_the_later_half_of_the_longest_run():
    runs = Runs(20, ["a", "b"])
    assert [runs.next("a") for _ in range(10)] == list(range(10))
    assert [runs.next("a") for _ in range(3)] == [15, 16, 17]
    assert runs.next("b") == 10
