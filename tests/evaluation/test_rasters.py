"""Rasters against their truth: the figures of the arrays, in the memory of a square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from tests.metrics.test_niqe import photograph
from tests.scene.conftest import UTM, Writer
from ultrares.errors import InputError, OptionError, RasterError
from ultrares.evaluation.files import evaluate
from ultrares.evaluation.rasters import evaluate_rasters
from ultrares.evaluation.request import Request
from ultrares.metrics import score
from ultrares.metrics.patch import SIDE
from ultrares.metrics.scores import Scores
from ultrares.scene.source import RasterSource
from ultrares.types import Window

ALL = Request(tile=64, sensor="bicubic")


def noisy(truth: np.ndarray, std: float = 6) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, std, size=truth.shape)
    return np.clip(truth + noise, 0, np.iinfo(truth.dtype).max).round().astype(truth.dtype)


def test_the_figures_are_those_of_the_arrays(raster: Writer) -> None:
    # more than one square of pixels along a side, and of coarse pixels too
    truth = photograph(3, 64, SIDE + 164)
    estimate = noisy(truth)
    coarse = estimate[:, ::4, ::4].copy()
    below = raster(coarse, "lr.tif", transform=UTM @ Affine.scale(4))
    fine = raster(estimate, "sr.tif"), raster(truth, "hr.tif")
    found = evaluate_rasters(fine[0], fine[1], below, request=ALL)
    expected = score(estimate, truth, coarse, sensor="bicubic", tile=64)
    assert dict(found.values) == pytest.approx(dict(expected.values), rel=1e-9)
    assert found.definitions == expected.definitions


def test_nodata_and_other_types(raster: Writer) -> None:
    truth = photograph(4, 140, 140).astype(np.uint16) * 30 + 2000
    estimate = noisy(truth, 200)
    estimate[:, 10:20, 30:50] = 0
    truth[:, 60:, :5] = 0
    found = evaluate_rasters(
        raster(estimate, "sr.tif", nodata=0), raster(truth, "hr.tif", nodata=0), request=Request()
    )
    expected = score(estimate, truth, nodata=0)
    assert dict(found.values) == pytest.approx(dict(expected.values), rel=1e-9)
    assert found.pixels == 140 * 140 - 200 - 400
    assert "200 pixels of the truth" in found.notes[0]


def test_the_sensor_is_the_one_that_the_files_name(raster: Writer) -> None:
    truth = photograph(4, 64, 64)
    fine = raster(truth, "hr.tif")
    for tag, sensor in (("bicubic", "bicubic"), ("mtf:0.3", "mtf:0.3"), ("nonsense", "box")):
        below = raster(
            truth[:, ::2, ::2].copy(),
            "lr.tif",
            transform=UTM @ Affine.scale(2),
            finish=lambda file, tag=tag: file.update_tags(ULTRARES_DEGRADED_SENSOR=tag),
        )
        found = evaluate_rasters(fine, fine, below, request=Request(metrics=("lr_psnr",)))
        assert found.settings["sensor"] == sensor


def test_alpha_is_validity_and_is_said_to_be(raster: Writer) -> None:
    truth = np.concatenate([photograph(4, 64, 64), np.full((1, 64, 64), 255, np.uint8)])
    truth[3, :, :10] = 0
    file = raster(truth, "hr.tif", photometric="RGB", alpha="YES")
    found = evaluate_rasters(file, file, request=Request())
    assert found.pixels == 64 * 54
    assert "band 4" in found.notes[0]
    assert "is marked as alpha" in found.notes[0]


def test_a_result_of_some_bands_is_compared_with_those_of_the_truth(raster: Writer) -> None:
    truth = photograph(4, 40, 50)
    ours = raster(truth[[2, 0]], "sr.tif")
    all_bands = raster(truth, "hr.tif")
    with pytest.raises(RasterError, match="--bands chooses those of the truth"):
        evaluate(ours, all_bands)
    for bands, same in (([3, 1], True), ([1, 3], False)):
        scores = evaluate(ours, all_bands, metrics=["mae_dn"], bands=bands)
        assert isinstance(scores, Scores)
        assert (scores.values["mae_dn"] == 0) is same


def sparse(path: Path, side: int) -> Path:
    """A raster of which one corner is written; the other blocks take no place on the disk."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", width=side, height=side,
        crs="EPSG:31985", transform=UTM, tiled=True, sparse_ok=True,
    ) as file:  # fmt: skip
        noise = np.random.default_rng(len(path.name)).integers(0, 256, (1, 64, 64), dtype=np.uint8)
        file.write(noise, window=((0, 64), (0, 64)))
    return path


def test_no_more_than_a_square_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums, histograms and features of squares are kept; pixels are those of one window of each file.

    A scene of 20 000 x 20 000 pixels is read in windows of the same size as this sparse one.
    """
    largest = 0
    read = RasterSource.read

    def watched(source: RasterSource, window: Window) -> tuple[np.ndarray, np.ndarray]:
        nonlocal largest
        largest = max(largest, window.height * window.width)
        return read(source, window)

    monkeypatch.setattr(RasterSource, "read", watched)
    one, other = (sparse(tmp_path / name, 2000) for name in ("sr.tif", "truth.tif"))
    found = evaluate(one, other, metrics=["psnr", "ssim"])
    assert found.as_dict()["pixels"] == 2000**2
    assert largest == (SIDE + 2 * 5) ** 2


def test_files_that_do_not_fit_are_refused(raster: Writer) -> None:
    image = photograph(4, 40, 40)
    truth = raster(image, "hr.tif")
    moved = raster(image, "moved.tif", transform=UTM @ Affine.translation(3, 0))
    elsewhere = raster(image, "elsewhere.tif", crs="EPSG:32633")
    smaller = raster(image[:, :32], "smaller.tif")
    fewer = raster(image[:2], "fewer.tif")
    for other, sentence in (
        (moved, "footprints of .*moved.tif and .*hr.tif differ: .* up to 3 pixels"),
        (elsewhere, "elsewhere.tif is in EPSG:32633 and .*hr.tif in EPSG:31985"),
        (smaller, "smaller.tif is 40 x 32 pixels and .*hr.tif 40 x 40"),
        (fewer, "fewer.tif has 2 bands and .*hr.tif has 3"),
    ):
        with pytest.raises(RasterError, match=sentence):
            evaluate(other, truth)
    with pytest.raises(RasterError, match="no whole multiple"):
        evaluate(truth, truth, smaller)


def test_empty_and_missing_files_are_refused(raster: Writer, tmp_path: Path) -> None:
    image = photograph(4, 40, 40)
    truth, empty = raster(image, "hr.tif"), raster(np.zeros_like(image), "empty.tif", nodata=0)
    with pytest.raises(InputError, match="no pixel has data in both"):
        evaluate(empty, truth)
    with pytest.raises(RasterError, match="does not exist"):
        evaluate(tmp_path / "missing.tif", truth)


def test_options_that_are_for_folders(raster: Writer, tmp_path: Path) -> None:
    file = raster(photograph(4, 40, 40))
    with pytest.raises(OptionError, match="is for folders"):
        evaluate(file, file, csv=tmp_path / "table.csv")
    with pytest.raises(OptionError, match="compare sets of images"):
        evaluate(file, file, metrics=["fid"])
    with pytest.raises(OptionError, match="unknown metric 'beauty'"):
        evaluate(file, file, metrics=["beauty"])
    with pytest.raises(OptionError, match="unknown sensor"):
        evaluate(file, file, sensor="eye")
