"""A staging folder is held by one, believed only where it is whole, and gone when it is of no use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from ultrares.errors import OutputError
from ultrares.scene.staging import Staging, is_published, staging_folder
from ultrares.types import Window

JOB = {"scale": "4", "seed": "0"}
PLACES = [Window(0, 0, 8, 8), Window(0, 8, 8, 8), Window(8, 0, 8, 16)]


def begun(target: Path, count: int = 3) -> None:
    with Staging(target, JOB, tile=8) as staging:
        for place in PLACES[:count]:
            staging.store(place, b"pixels of " + repr(place).encode(), "abc")


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_finished_tiles_are_there_again_with_the_tile_they_were_begun_with(tmp_path: Path) -> None:
    begun(tmp_path / "out.tif")
    with Staging(tmp_path / "out.tif", JOB, tile=512) as staging:
        assert set(staging.finished) == set(PLACES)
        assert staging.tile == 8
        assert {staging.mark(place) for place in PLACES} == {"abc"}


def test_without_a_finished_tile_nothing_stays(tmp_path: Path) -> None:
    begun(tmp_path / "out.tif", 0)
    assert hidden(tmp_path) == []


def test_a_job_that_nobody_can_repeat_leaves_nothing(tmp_path: Path) -> None:
    with Staging(tmp_path / "out.tif") as staging:
        staging.store(PLACES[0], b"pixels", "abc")
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "longer"])
def test_a_tile_that_does_not_fit_its_hash_counts_as_unfinished(
    tmp_path: Path, damage: str
) -> None:
    target = tmp_path / "out.tif"
    begun(target)
    with Staging(target, JOB) as staging:
        file = staging.path(PLACES[1])
    data = file.read_bytes()
    changed = {"cut": data[:-1], "flipped": b"P" + data[1:], "longer": data + b"\0"}
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(changed[damage])
    with Staging(target, JOB) as staging:
        assert set(staging.finished) == {PLACES[0], PLACES[2]}
        staging.store(PLACES[1], data, "abc")
    with Staging(target, JOB) as staging:
        assert set(staging.finished) == set(PLACES)


def test_another_job_is_refused_with_what_differs_and_touches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    begun(target)
    sentence = r"begun otherwise \(seed 0, now 1; steps none, now 9\).*--restart"
    with pytest.raises(OutputError, match=sentence):
        Staging(target, JOB | {"seed": "1", "steps": "9"})
    with Staging(target, JOB) as staging:
        assert set(staging.finished) == set(PLACES)


def test_a_restart_throws_away_what_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    begun(target)
    with Staging(target, JOB | {"seed": "1"}, tile=16, restart=True) as staging:
        assert not staging.finished
        assert staging.tile == 16
        assert not staging.path(PLACES[0]).exists()


def test_a_folder_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    begun(target)
    (staging_folder(target) / "job.json").write_text('{"format": 0}')
    with Staging(target, JOB) as staging:
        assert not staging.finished


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    with Staging(target, JOB) as staging:
        staging.store(PLACES[0], b"pixels", "abc")
        with pytest.raises(OutputError, match=f"is being made by process {os.getpid()} on "):
            Staging(target, JOB, restart=True)
        assert staging.path(PLACES[0]).exists()
    Staging(target, JOB).close()


def test_where_files_cannot_be_locked_a_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(FileLock, "_acquire", refuse)
    target = tmp_path / "out.tif"
    with Staging(target, JOB), pytest.raises(OutputError, match="is being made by process"):
        Staging(target, JOB)
    assert hidden(tmp_path) == []


def publish_and_die(target: Path) -> None:
    """A product gets its name, by a process that is then killed."""
    staging = Staging(target, JOB)
    staging.store(PLACES[0], b"pixels", "abc")
    staging.product.write_bytes(b"product")
    staging.verify()
    assert staging.verified
    assert not staging.published
    os.link(staging.product, target)
    staging._journal.close()
    staging._lock.release()


def test_a_run_that_was_killed_while_tidying_up_is_recognised(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    publish_and_die(target)
    assert is_published(target)
    with Staging(target, JOB) as staging:
        assert staging.published
    assert hidden(tmp_path) == ["out.tif"]


def test_another_file_of_that_name_is_not_taken_for_the_product(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    publish_and_die(target)
    target.unlink()
    target.write_bytes(b"product")
    assert not is_published(target)
    assert not is_published(tmp_path / "nowhere.tif")


def test_a_published_product_does_not_stand_in_the_way_of_another_job(tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    publish_and_die(target)
    with Staging(target, JOB | {"seed": "1"}) as staging:
        assert not staging.finished
        assert not staging.published
    assert target.read_bytes() == b"product"
