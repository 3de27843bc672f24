"""One call for all metrics: the same figures as theirs alone, with masks, and however it is cut."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.metrics.test_lpips import made_up
from tests.metrics.test_niqe import photograph
from ultrares.errors import InputError, ModelError, OptionError
from ultrares.metrics import Scores, score
from ultrares.metrics.consistency import lr_psnr
from ultrares.metrics.definitions import DEFINITIONS
from ultrares.metrics.ergas import ergas
from ultrares.metrics.fidelity import mae_dn, psnr, sre, sre_db
from ultrares.metrics.histogram import histogram_distance
from ultrares.metrics.lpips import Lpips
from ultrares.metrics.niqe import Pristine, niqe
from ultrares.metrics.patch import Pair, patches
from ultrares.metrics.resolution import mtf50
from ultrares.metrics.seams import seam_visibility
from ultrares.metrics.setting import BYTES, Setting
from ultrares.metrics.sharpness import average_gradient
from ultrares.metrics.spectral import sam
from ultrares.metrics.ssim import ssim
from ultrares.metrics.suite import NAMES, Suite
from ultrares.metrics.tools import Tools
from ultrares.sensor.models import Bicubic
from ultrares.types import Shape, Window

__all__ = ["made_up"]

PRISTINE = Pristine(np.full(36, 0.5), np.eye(36) / 10)


def images(height: int = 200, width: int = 260) -> tuple[np.ndarray, np.ndarray]:
    truth = photograph(5, height, width)
    noise = np.random.default_rng(6).normal(2, 9, size=truth.shape)
    return np.clip(truth + noise, 0, 255).round().astype(np.uint8), truth


def test_the_figures_are_those_of_each_metric_alone(made_up: Path) -> None:
    estimate, truth = images()
    coarse = truth[:, ::4, ::4]
    found = score(estimate, truth, coarse, sensor="bicubic", tile=64, weights=made_up)
    expected = {
        "psnr": psnr(estimate, truth),
        "mae_dn": mae_dn(estimate, truth),
        "sre": sre(estimate, truth),
        "sre_db": sre_db(estimate, truth),
        "ssim": ssim(estimate, truth),
        "sam": sam(estimate, truth),
        "ergas": ergas(estimate, truth, scale=4),
        "ag": average_gradient(estimate),
        "ag_true": average_gradient(truth),
        "histogram_distance": np.mean(histogram_distance(estimate, truth)),
        "histogram_distance_band_2": histogram_distance(estimate, truth)[1],
        "mtf50": mtf50(estimate, truth),
        "seam": seam_visibility(estimate, tile=64, period=4),
        "lpips": Lpips(made_up)(estimate, truth),
        "lr_psnr": lr_psnr(estimate, coarse, Bicubic()),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert found.pixels == 200 * 260
    assert found.notes == ()


def suite(shape: Shape, side: int, pair: Pair) -> Scores:
    """All that can be streamed, in squares of a side."""
    setting = Setting(3, shape, 0.0, 255.0, BYTES, True, 4, 64, Tools(pristine=PRISTINE))
    metrics = Suite(setting, [name for name in NAMES if name not in ("lpips", "lr_psnr")])

    def read(window: Window) -> Pair:
        rows = slice(window.row, window.row + window.height)
        cols = slice(window.col, window.col + window.width)
        return Pair(*(part[..., rows, cols] for part in pair))

    for patch in patches(shape, read, halo=metrics.halo, side=side):
        metrics.add(patch)
    return metrics.scores({}, {})


@pytest.mark.parametrize("holes", [False, True])
def test_squares_give_the_figures_of_the_whole(holes: bool) -> None:
    shape = Shape(205, 403)
    estimate, truth = (torch.from_numpy(image).double() for image in images(*shape))
    valid = torch.ones(shape, dtype=torch.bool)
    if holes:
        valid[150:153, 100:104] = False
        valid[200:, 398:] = False
    pair = Pair(estimate * valid, truth * valid, valid, ~valid)
    whole, parts = suite(shape, 1920, pair), suite(shape, 192, pair)
    assert not any(math.isnan(value) for value in whole.values.values())
    assert dict(parts.values) == pytest.approx(dict(whole.values), rel=1e-9)
    assert (parts.pixels, parts.notes) == (whole.pixels, whole.notes)


def test_niqe_of_the_suite_is_that_of_the_image() -> None:
    estimate, truth = images(205, 403)
    valid = torch.ones(205, 403, dtype=torch.bool)
    pair = Pair(
        torch.from_numpy(estimate).double(), torch.from_numpy(truth).double(), valid, ~valid
    )
    found = suite(Shape(205, 403), 192, pair)
    assert found["niqe"] == pytest.approx(niqe(estimate, PRISTINE), rel=1e-9)
    assert found["niqe_true"] == pytest.approx(niqe(truth, PRISTINE), rel=1e-9)


def spoilt(image: np.ndarray, hole: tuple[slice, slice], value: float) -> np.ndarray:
    copy = image.astype(np.float64)
    copy[(0, *hole)] = value
    return copy


def test_what_is_masked_does_not_count() -> None:
    estimate, truth = images(96, 140)
    mask = np.ones(truth.shape[1:], dtype=bool)
    hole = slice(20, 30), slice(40, 47)
    mask[hole] = False
    expected = score(estimate, truth, mask=mask)
    assert expected["psnr"] == pytest.approx(psnr(estimate[:, mask], truth[:, mask]), rel=1e-12)
    assert expected["sam"] == pytest.approx(
        sam(estimate[:, mask][:, None], truth[:, mask][:, None]), rel=1e-9
    )
    assert score(spoilt(estimate, hole, 1e6), truth, mask=mask, peak=255)["psnr"] == pytest.approx(
        expected["psnr"]
    )
    by_nan = score(spoilt(estimate, hole, math.nan), truth, peak=255)
    by_nodata = score(spoilt(estimate, hole, -9999), truth, nodata=-9999, peak=255)
    for found in (by_nan, by_nodata):
        assert found["ssim"] == pytest.approx(expected["ssim"], rel=1e-9)
        assert found["mtf50"] == pytest.approx(expected["mtf50"], rel=1e-9)
        assert found["histogram_distance"] == pytest.approx(
            expected["histogram_distance"], abs=255 / 65535
        )
        assert found.pixels == mask.sum()
        assert "70 pixels of the truth (0.52%) have no data in the result" in found.notes[0]


def test_tensors_and_arrays_are_the_same() -> None:
    estimate, truth = images(64, 64)
    one, other = torch.from_numpy(estimate), torch.from_numpy(truth)
    assert score(one, other).values == score(estimate, truth).values


def test_the_peak_is_that_of_bytes_or_the_range_of_the_truth() -> None:
    estimate, truth = images(64, 64)
    reflectances = estimate / 1e4, truth / 1e4
    found = score(*reflectances)
    span = float(np.ptp(reflectances[1]))
    assert found["psnr"] == pytest.approx(psnr(*reflectances, peak=span))
    assert f"peak {span:.10g}" in found.definitions["psnr"]
    assert score(*reflectances, peak=255e-4)["psnr"] == pytest.approx(psnr(estimate, truth))
    assert "peak 255" in score(estimate, truth).definitions["psnr"]


def test_every_figure_says_what_it_is(made_up: Path) -> None:
    estimate, truth = images(64, 64)
    found = score(estimate, truth, truth[:, ::2, ::2], tile=32, weights=made_up)
    assert set(found.definitions) == set(found.values)
    assert not any("{" in text for text in found.definitions.values())
    plain = found.as_dict()
    assert plain["settings"]["sensor"] == "box"
    assert plain["scores"]["psnr"] == found["psnr"]
    same = score(truth, truth).as_dict()["scores"]
    assert same["psnr"] == "inf"


def test_only_what_is_asked_for_is_answered() -> None:
    estimate, truth = images(64, 64)
    assert set(score(estimate, truth, metrics=["psnr", "sam"]).values) == {"psnr", "sam"}
    assert set(score(estimate, truth, truth, metrics=["lr_psnr"]).values) == {"lr_psnr"}
    assert set(NAMES) <= set(DEFINITIONS)


def test_constant_images_are_pointed_out() -> None:
    flat = np.full((3, 64, 64), 9, dtype=np.uint8)
    found = score(flat, flat)
    assert [note.partition(":")[0] for note in found.notes] == [
        "the result is 9 everywhere",
        "the truth is 9 everywhere",
    ]
    assert math.isnan(found["ag_ratio"])
    assert math.isnan(found["mtf50"])
    with pytest.raises(InputError, match=r"9 everywhere.*pass the largest value"):
        score(flat.astype(float), flat.astype(float))


EMPTY = np.full((3, 16, 16), math.nan)
SOME = np.arange(768.0).reshape(3, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((SOME, SOME[:, :8]), {}, "sr has shape .* and hr"),
        ((SOME[:2], SOME), {}, "sr has 2 bands and hr has 3"),
        ((SOME[0], SOME[0]), {}, r"shape \(16, 16\): pass \(C, H, W\)"),
        ((EMPTY, SOME), {}, "no pixel has data in both"),
        ((SOME, SOME), {"mask": np.zeros((16, 16))}, "no pixel has data in both"),
        ((SOME, SOME), {"mask": np.zeros((16, 16)), "peak": 9}, "no pixel has data in both"),
        ((SOME, SOME), {"mask": np.ones((8, 16))}, "the mask has shape"),
        ((SOME, SOME, SOME[:, :5, :5]), {}, "no whole multiple"),
        ((SOME, SOME), {"peak": 0}, "above 0"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments, options, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        score(*arguments, **options)


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("beauty", "unknown metric 'beauty': choose from psnr"),
        ("lpips", "lpips needs its network"),
        ("niqe", "niqe needs its model"),
        ("ergas", "ergas needs the scale"),
        ("seam", "seam needs the side of the tiles"),
        ("lr_psnr", "lr_psnr needs the coarse image"),
    ],
)
def test_what_a_metric_needs_is_asked_for(metric: str, sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        score(SOME, SOME, metrics=[metric])


def test_metrics_of_colour_refuse_what_has_none(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="sam needs two bands"):
        score(SOME[:1], SOME[:1], metrics=["sam"])
    assert "sam" not in score(SOME[:1], SOME[:1]).values
    with pytest.raises(ModelError, match="holds neither"):
        score(SOME, SOME, weights=tmp_path)
