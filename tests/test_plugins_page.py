"""The pages about foreign models: their commands, cards and programs work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tests.backbones.foreign_files import onnx_file, spandrel_file
from ultrares.cli.app import main

ROOT = Path(__file__).parents[1]


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page speaks of, and its cards."""
    monkeypatch.chdir(tmp_path)
    card, family, halo = _blocks("docs/plugins.md", "toml")
    onnx_file(tmp_path, card).rename("net.onnx")
    (tmp_path / "tiny_onnx.card.toml").rename("net.card.toml")
    spandrel_file(tmp_path, 4).rename("photos_x4.safetensors")
    (tmp_path / "photos_x4.card.toml").write_text(halo)
    (tmp_path / "family").mkdir()
    for scale in (2, 4):
        spandrel_file(tmp_path / "family", scale)
    (tmp_path / "family" / "card.toml").write_text(family)
    image = np.random.default_rng(0).integers(1, 4000, (4, 12, 14)).astype(np.uint16)
    with rasterio.open(
        "scene.tif", "w", driver="GTiff", count=4, height=12, width=14, dtype="uint16",
        crs="EPSG:32633", transform=from_origin(5e5, 5e6, 5, 5),
    ) as raster:  # fmt: skip
        raster.write(image)
    return tmp_path


def test_the_page_s_commands_work(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in _blocks("docs/plugins.md", "sh") for line in block.splitlines()]
    assert len(lines) == 7
    for line in lines:
        name, *arguments = shlex.split(line)
        assert name == "ultrares"
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code, line
    assert (workplace / "sr.tif").exists()
    said = capsys.readouterr().out
    assert re.search(r"photos_x4 +wavediffur .*in steps of x4 +any number, 3 at a time", said)
    assert "who may use the weights" in said
    assert re.search(r"kind +ONNX\n", said)
    assert re.search(r"native scales +2, 4\n", said)


def test_the_page_s_program_works() -> None:
    (code,) = _blocks("docs/plugins.md", "python")
    assert "assert" in code
    # Our own documentation, run so that it cannot rot.
    exec(compile(code, "plugins.md", "exec"), {})  # noqa: S102


def test_the_backbone_in_twenty_lines_works() -> None:
    (code,) = _blocks("CONTRIBUTING.md", "python")
    (body,) = re.findall(r"^class .*?(?=^\S)", code, re.DOTALL | re.MULTILINE)
    assert len(body.strip().splitlines()) <= 20
    assert "assert" in code
    # Our own documentation, run so that it cannot rot.
    exec(compile(code, "CONTRIBUTING.md", "exec"), {})  # noqa: S102


def test_a_wrong_model_is_one_sentence(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "net.card.toml").unlink()
    with pytest.raises(SystemExit) as stop:
        main(["upscale", "scene.tif", "out.tif", "--scale", "2", "--model", "net.onnx"])
    assert stop.value.code == 1
    assert "card net.card.toml cannot be read" in capsys.readouterr().err
    assert not (workplace / "out.tif").exists()
