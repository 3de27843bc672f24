"""The tutorials' commands, recipe and Python run as they stand, on little imagery and for two steps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ultrares.cli.app import main

ROOT = Path(__file__).parents[1]
REHEARSED = ["--steps", "2", "--accelerator", "cpu"]


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _run(block: str) -> None:
    for line in block.splitlines():
        name, *arguments = shlex.split(line)
        assert name == "ultrares"
        with pytest.raises(SystemExit) as stop:
            main(arguments + (REHEARSED if arguments[0] == "train" else []))
        assert not stop.value.code, line


def _scene(path: Path, *, seed: int, side: int) -> None:
    """Smooth noise, 16-bit, georeferenced."""
    coarse = np.random.default_rng(seed).integers(500, 4000, size=(3, side // 8, side // 8))
    image = coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint16",
        crs="EPSG:32633", transform=from_origin(5e5, 5e6, 5, 5),
    ) as raster:  # fmt: skip
        raster.write(image)


def test_the_fine_tuning_tutorial_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe,) = _blocks("fine-tuning.md", "toml")
    assert recipe == (ROOT / "recipes" / "finetune.toml").read_text()
    # One small batch a step, for a test must end.
    (tmp_path / "mine.toml").write_text(recipe.replace("batch = 8", "batch = 1"))
    (tmp_path / "my-imagery" / "2026").mkdir(parents=True)
    _scene(tmp_path / "my-imagery" / "2026" / "a.tif", seed=0, side=256)
    _scene(tmp_path / "held-out.tif", seed=1, side=64)
    for block in _blocks("fine-tuning.md", "sh"):
        _run(block)
    (code,) = _blocks("fine-tuning.md", "python")
    capsys.readouterr()
    # Our own documentation, run so that it cannot rot.
    exec(compile(code, "fine-tuning.md", "exec"), {})  # noqa: S102
    errors = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    # Two careful steps from the model's weights leave it what it was, give or take a little.
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


def test_the_training_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    (block,) = _blocks("training.md", "sh")
    _run(block)
    assert (tmp_path / "sr.tif").exists()


@pytest.mark.parametrize("page", ["training.md", "fine-tuning.md"])
def test_files_they_point_to_exist(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / page).read_text())
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
