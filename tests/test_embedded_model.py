"""The weights in the package do what the tables say."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pytest
import rasterio
import torch
from torch.nn import functional as F

import ultrares
from tests.shared_data import FOLDER, needs_shared_data
from ultrares.errors import OptionError
from ultrares.methods.shelves import EMBEDDED, shelved
from ultrares.metrics.fidelity import psnr
from ultrares.sensor.models import Bicubic, Box
from ultrares.types import Mode

SITES = range(0, 30, 4)


@pytest.mark.parametrize(
    ("name", "megabytes"),
    [("csp-wavediffur-naip", 16), ("wavediffur-naip", 5), ("neurop-diff-naip", 6)],
)
def test_embedded_weights_fit_their_limits(name: str, megabytes: int) -> None:
    assert 0 < (EMBEDDED / name / "model.safetensors").stat().st_size < megabytes * 1e6


def test_nothing_else_is_embedded() -> None:
    assert len(list(EMBEDDED.rglob("*.safetensors"))) == 3


def test_a_result_names_the_weights_that_made_it() -> None:
    """Between 2 and 4 and at powers of two, the operator has no part in it."""
    model = ultrares.load()
    how: dict[str, Any] = {"draws": 1, "steps": None, "seed": 0, "sensor": Box()}
    named = {
        (scale, mode): str(model.identity(model.route(scale, mode=mode, **how))).count(" and ")
        for scale in (2, 2.2, 3, 5.8)
        for mode in get_args(Mode)
    }
    assert {case for case, others in named.items() if others} == {(5.8, "fidelity")}


@needs_shared_data
@pytest.mark.parametrize(("scale", "gain"), [(2, 3.9), (4, 2.4), (8, 1.25)])
def test_a_city_never_seen_gains_over_bicubic(scale: int, gain: float) -> None:
    model = ultrares.load()
    gains = []
    for site in SITES:
        with rasterio.open(FOLDER / f"naip/val/chico_2020_{site}.tif") as raster:
            truth = raster.read([1, 2, 3])
        coarse = Bicubic().degrade(torch.from_numpy(truth)[None].float(), scale)[0].round().byte()
        plain = F.interpolate(
            coarse[None].float(), scale_factor=scale, mode="bicubic", antialias=True
        )
        fine = model.upscale(coarse, scale=scale, sensor="bicubic").numpy()
        bicubic = plain[0].round().clamp(0, 255).numpy()
        gains.append(psnr(fine, truth) - psnr(bicubic, truth))
    assert np.mean(gains) >= gain


@needs_shared_data
# Most of the wrong ones are left out with a warning; that is tested elsewhere.
@pytest.mark.filterwarnings("ignore:the reference does not show the scene")
def test_a_reference_of_another_year_helps_and_another_place_does_no_harm() -> None:
    model = ultrares.load()
    gains: dict[str, list[float]] = {"real": [], "wrong": []}
    for site in range(0, 12, 3):
        truth, real, wrong = (
            _tile(year, number) for year, number in ((2020, site), (2018, site), (2018, site + 1))
        )
        coarse = Bicubic().degrade(torch.from_numpy(truth)[None].float(), 8)[0].round().byte()
        plain = psnr(model.upscale(coarse.numpy(), scale=8, sensor="bicubic"), truth)
        for name, reference in (("real", real), ("wrong", wrong)):
            fine = model.upscale(coarse.numpy(), scale=8, sensor="bicubic", reference=reference)
            gains[name].append(psnr(fine, truth) - plain)
    assert np.mean(gains["real"]) > 1.4
    assert np.mean(gains["wrong"]) > -0.1


@needs_shared_data
def test_a_reference_leaves_block_means_exact() -> None:
    truth, reference = _tile(2020, 5), _tile(2018, 5)
    coarse = np.rint(truth.reshape(3, 32, 8, 32, 8).mean(axis=(2, 4))).astype(np.uint8)
    for mode in get_args(Mode):
        fine = ultrares.load().upscale(coarse, scale=8, reference=reference, mode=mode)
        means = fine.reshape(3, 32, 8, 32, 8).sum(axis=(2, 4), dtype=np.int64)
        assert np.array_equal(means, 64 * coarse.astype(np.int64))


@needs_shared_data
def test_samples_are_sharper_than_means() -> None:
    """The average gradient of a sample lies between the mean's, far too low, and the truth's."""
    with rasterio.open(FOLDER / "naip/val/chico_2020_3.tif") as raster:
        truth = raster.read([1, 2, 3])
    coarse = Bicubic().degrade(torch.from_numpy(truth)[None].float(), 4)[0].round().byte().numpy()
    model = ultrares.load()
    mean, sample = (
        _average_gradient(model.upscale(coarse, scale=4, sensor="bicubic", mode=mode))
        for mode in get_args(Mode)
    )
    true = _average_gradient(truth)
    assert mean < 0.85 * true
    assert 1.05 * mean < sample < 1.15 * true


def _tile(year: int, site: int) -> np.ndarray:
    with rasterio.open(FOLDER / f"naip/val/chico_{year}_{site}.tif") as raster:
        image: np.ndarray = raster.read([1, 2, 3])
    return image


def _average_gradient(image: np.ndarray) -> float:
    down, across = (np.diff(image.astype(float), axis=axis) for axis in (1, 2))
    return float(np.sqrt((down[:, :, :-1] ** 2 + across[:, :-1] ** 2) / 2).mean())


@pytest.mark.parametrize("condition", ["progressive", "reuse"])
def test_each_level_has_a_condition_of_its_own_unless_one_is_reused(
    condition: Literal["progressive", "reuse"],
) -> None:
    options: dict[str, Any] = {"mode": "fidelity", "draws": 1, "steps": None, "seed": 0}
    model = ultrares.load().with_parts("model-1", condition=condition)
    route = model.route(8, **options, sensor=Box(), with_reference=True)
    assert [level.condition for level in route.levels] == 3 * [condition]  # type: ignore[attr-defined]


@needs_shared_data
def test_a_reference_brought_to_the_scene_s_date_is_worth_more() -> None:
    model, gains = ultrares.load(), []
    for left in (model.without_fusion(), model.without_fusion().with_parts("proposed")):
        assert all(solver.parts.fusion is None for solver in left._configuration.solvers)  # type: ignore[attr-defined]
    for site in SITES:
        truth, reference = _tile(2020, site), _tile(2018, site)
        coarse = Bicubic().degrade(torch.from_numpy(truth)[None].float(), 16)[0].round().byte()
        fused, raw = (
            psnr(
                one.upscale(coarse.numpy(), scale=16, sensor="bicubic", reference=reference), truth
            )
            for one in (model, model.without_fusion())
        )
        gains.append(fused - raw)
    assert np.mean(gains) > 0.1


def test_only_models_that_fuse_can_leave_it_out() -> None:
    for name in ("bicubic", "wavediffur-naip"):
        with pytest.raises(OptionError, match=f"'{name}' fuses no references"):
            ultrares.load(name).without_fusion()


@needs_shared_data
def test_the_middle_size_is_better_at_x2() -> None:
    middle = shelved("csp-wavediffur-mid")
    if middle is None:
        pytest.skip("it comes with a checkout, not with the package")
    models = {"middle": ultrares.load(middle), "default": ultrares.load()}
    gains = []
    for site in range(0, 12, 3):
        truth = _tile(2020, site)
        coarse = Bicubic().degrade(torch.from_numpy(truth)[None].float(), 2)[0].round().byte()
        scores = {
            name: psnr(model.upscale(coarse.numpy(), scale=2, sensor="bicubic"), truth)
            for name, model in models.items()
        }
        gains.append(scores["middle"] - scores["default"])
    assert np.mean(gains) > 0.05
