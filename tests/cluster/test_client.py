"""Which workers: what is refused, how a machine is divided, and who can hear them."""

from __future__ import annotations

import builtins
from typing import Any

import psutil
import pytest

from ultrares.cluster import client as subject
from ultrares.cluster.client import Hands, _environment
from ultrares.errors import ClusterError, MissingExtraError, OptionError


def test_without_either_there_is_no_client():
    assert not Hands()
    with Hands().client() as client:
        assert client is None


@pytest.mark.parametrize(
    ("hands", "words"),
    [(Hands(2, "tcp://127.0.0.1:1"), "not both"), (Hands(0), "at least 1")],
)
def test_what_makes_no_sense_is_refused(hands, words):
    with pytest.raises(OptionError, match=words):
        hands.check()


def test_memory_is_divided_among_workers_and_the_writer():
    assert Hands(3).share(8 * 10**9) == 2 * 10**9
    assert Hands(scheduler="tcp://there:1").share(8 * 10**9) == 8 * 10**9
    assert Hands(3).share(None) is None
    with pytest.raises(OptionError, match="at least 5GB"):
        Hands(4).share(4 * 10**9)


def test_workers_take_the_gpus_in_turn():
    visible = [_environment(n, 3, ["2", "5"])["CUDA_VISIBLE_DEVICES"] for n in range(3)]
    assert visible == ["2", "5", "2"]
    alone = _environment(0, 3, [])
    assert "CUDA_VISIBLE_DEVICES" not in alone
    assert set(alone.values()) == {"3"}


def test_each_process_sees_the_gpu_that_is_its_own(monkeypatch):
    """Of GPUs that are only said to be there: a process is started with the name of one and sees no other."""
    monkeypatch.setattr(subject, "_gpus", lambda: ["4", "7"])
    with Hands(2).client() as client:
        assert client is not None
        seen = client.run(lambda: __import__("os").environ["CUDA_VISIBLE_DEVICES"])
    assert sorted(seen.values()) == ["4", "7"]


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(subject, "REACHED_IN", 0.2)
    with (
        pytest.raises(ClusterError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        Hands(scheduler="tcp://127.0.0.1:9").client(),
    ):
        pass


@pytest.mark.parametrize("address", ["nonsense://x", "no address"])
def test_an_address_of_no_kind_is_named(monkeypatch, address):
    monkeypatch.setattr(subject, "REACHED_IN", 0.2)
    with pytest.raises(ClusterError, match=address), Hands(scheduler=address).client():
        pass


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch):
    true_import = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "distributed":
            raise ImportError(name)
        return true_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"ultrares\[cluster\]"), Hands(2).client():
        pass


def test_scheduler_and_workers_are_heard_on_loopback_only(client):
    workers = client.run(lambda: __import__("os").getpid())
    processes = [psutil.Process(), *(psutil.Process(pid) for pid in workers.values())]
    heard = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert heard == {"127.0.0.1"}
