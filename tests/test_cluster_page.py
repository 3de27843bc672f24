"""The pages about clusters and xarray: their commands and programs work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

from ultrares.cli.app import main

ROOT = Path(__file__).parents[1]


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 4000, (3, 16, 20)).astype(np.uint16)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray) -> Path:
    monkeypatch.chdir(tmp_path)
    with rasterio.open(
        "scene.tif", "w", driver="GTiff", count=3, height=16, width=20, dtype="uint16",
        crs="EPSG:32633", transform=from_origin(5e5, 5e6, 5, 5),
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return tmp_path


def test_the_first_command_writes_the_file_of_a_single_process(workplace):
    lines = [line for line in _blocks("docs/cluster.md", "")[0].splitlines() if "upscale" in line]
    command = [*shlex.split(lines[0])[1:], "--model", "bicubic"]
    for arguments in (command, [*command[:2], "alone.tif", *command[3:-4], *command[-2:]]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code in (None, 0)
    assert (workplace / "sr.tif").read_bytes() == (workplace / "alone.tif").read_bytes()


@pytest.mark.usefixtures("workplace")
def test_the_program_for_xarray_runs(pixels):
    coords = {"y": np.arange(16.0), "x": np.arange(20.0)}
    scene = xr.DataArray(pixels.astype("int16"), coords=coords, dims=("band", "y", "x"))
    scene.to_netcdf("scene.nc")
    exec(_blocks("docs/xarray.md", "python")[0], {})  # noqa: S102 - it is what is tested
    with xr.open_dataarray("corner.nc") as corner:
        assert corner.sizes == {"band": 3, "y": 64, "x": 80}
        np.testing.assert_allclose(corner.x[:3], [-0.375, -0.125, 0.125])
