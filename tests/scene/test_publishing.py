"""Results appear together or not at all, under names that can be."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from rio_cogeo.cogeo import cog_validate

from tests.scene.test_cog_sink import BASE, nothing_is_left, pixels
from ultrares.errors import OutputError
from ultrares.scene.cog_sink import CogSink
from ultrares.scene.publishing import check_target, commit_together
from ultrares.scene.windows import whole

__all__ = ["nothing_is_left"]


def test_targets_that_cannot_be_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "scene.tif"
    source.touch()
    (tmp_path / "link.tif").symlink_to(source)
    (tmp_path / "dangling.tif").symlink_to(tmp_path / "nowhere.tif")
    os.link(source, tmp_path / "hard.tif")
    (tmp_path / "old.tif").touch()

    def refused(target: str | Path, sentence: str, overwrite: bool = False) -> None:
        with pytest.raises(OutputError, match=sentence):
            check_target(source, target, overwrite=overwrite)

    refused(tmp_path, "is a folder")
    refused(tmp_path / "old.tif", "exists; pass --overwrite")
    refused(tmp_path / "dangling.tif", "exists; pass --overwrite")
    for name in ("scene.tif", "link.tif", "hard.tif", "../" + tmp_path.name + "/scene.tif"):
        refused(tmp_path / name, "is the input itself", overwrite=True)
    refused(tmp_path / "nowhere" / "out.tif", "nowhere does not exist")
    refused(tmp_path / ("n" * 300 + ".tif"), "cannot be written: its name must be UTF-8")
    check_target(source, tmp_path / "old.tif", overwrite=True)
    check_target(source, tmp_path / "new.tif", overwrite=False)
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(tmp_path / "new.tif", "is not writable")


SPREAD = BASE.of_spread()


def open_pair(
    stack: ExitStack, folder: Path, *, overwrite: bool = False
) -> tuple[CogSink, CogSink]:
    """Sinks of a spread and of a product, full of pixels."""
    pair = []
    for name, profile in (("std.tif", SPREAD), ("out.tif", BASE)):
        sink = stack.enter_context(CogSink(folder / name, profile, overwrite=overwrite))
        array = pixels(profile)
        sink.write(whole(profile.shape), array, np.ones(array.shape, bool))
        pair.append(sink)
    return pair[0], pair[1]


def test_results_that_belong_together_appear_together(tmp_path: Path) -> None:
    with ExitStack() as stack:
        commit_together(*open_pair(stack, tmp_path))
    for name in ("std.tif", "out.tif"):
        assert cog_validate(tmp_path / name, quiet=True)[0]


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_target_that_appears_meanwhile_stays_and_nothing_else_does(
    tmp_path: Path, first: bool
) -> None:
    taken, other = ("std.tif", "out.tif")[:: 1 if first else -1]
    with ExitStack() as stack:
        pair = open_pair(stack, tmp_path)
        (tmp_path / taken).write_text("precious")
        with pytest.raises(OutputError, match=f"{taken} appeared"):
            commit_together(*pair)
    assert (tmp_path / taken).read_text() == "precious"
    assert not (tmp_path / other).exists()


@pytest.mark.parametrize("stop", [OutputError, KeyboardInterrupt])
def test_what_was_replaced_comes_back_when_the_rest_cannot_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    for name in ("std.tif", "out.tif"):
        (tmp_path / name).write_text(f"old {name}")

    def fail() -> None:
        raise stop

    with ExitStack() as stack:
        spread, product = open_pair(stack, tmp_path, overwrite=True)
        monkeypatch.setattr(product, "publish", fail)
        with pytest.raises(stop):
            commit_together(spread, product)
    for name in ("std.tif", "out.tif"):
        assert (tmp_path / name).read_text() == f"old {name}"


def test_without_hard_links_a_replaced_result_is_only_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no hard links here")

    def fail() -> None:
        raise KeyboardInterrupt

    for name in ("std.tif", "out.tif"):
        (tmp_path / name).write_text(f"old {name}")
    monkeypatch.setattr(os, "link", refuse)
    with ExitStack() as stack:
        spread, product = open_pair(stack, tmp_path, overwrite=True)
        monkeypatch.setattr(product, "publish", fail)
        with pytest.raises(KeyboardInterrupt):
            commit_together(spread, product)
    assert not (tmp_path / "std.tif").exists()
    assert (tmp_path / "out.tif").read_text() == "old out.tif"


def test_a_failure_of_either_leaves_neither(tmp_path: Path) -> None:
    with ExitStack() as stack:
        spread, product = open_pair(stack, tmp_path)
        hole = stack.enter_context(CogSink(tmp_path / "hole.tif", BASE))
        with pytest.raises(OutputError, match="not every pixel"):
            commit_together(spread, product, hole)
    assert list(tmp_path.iterdir()) == []
