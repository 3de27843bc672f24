from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from tests.benchmark.pixels import read_png
from tests.scene.conftest import Writer
from ultrares.benchmark.baselines import bicubic_in_steps, bicubic_once, mean_image
from ultrares.benchmark.cases import Case, case_of, read_square, views
from ultrares.benchmark.pictures import nearest
from ultrares.benchmark.plan import DataEntry, ReferenceKind
from ultrares.data.catalogue import data_set
from ultrares.errors import RasterError, ReferenceImageError
from ultrares.metrics.fidelity import psnr
from ultrares.sensor.models import Bicubic, Box


def first(root: Path, scale: float, *, truth: int | None = None, coarse: int | None = None) -> Case:
    entry = DataEntry(name="naip", truth=truth, coarse=coarse)
    return case_of(views(entry, data_set("naip").find(root), 1)[0], scale, Bicubic())


def test_a_truth_of_fixed_size_is_the_middle_of_the_image(imagery: Path) -> None:
    case = first(imagery, 4, truth=64)
    whole = read_png(imagery / "naip/val/c_2020_1.tif")
    assert np.array_equal(case.truth, whole[:, 16:80, 24:88])
    expected = Bicubic().degrade(torch.from_numpy(case.truth)[None].float(), 4)[0]
    assert np.abs(case.coarse - expected.clamp(0, 255).numpy()).max() <= 0.5 + 1e-3
    assert (case.scale, case.pseudo) == (4, False)


def test_scales_between_are_ratios_of_whole_pixels(imagery: Path) -> None:
    case = first(imagery, 2.7, truth=64)
    assert case.coarse.shape == (3, 24, 24)
    assert case.scale == 64 / 24


def test_the_papers_protocol_stars_what_ends_too_early(imagery: Path) -> None:
    found = {scale: first(imagery, scale, coarse=32) for scale in (2, 3, 4)}
    assert {scale: case.pseudo for scale, case in found.items()} == {2: False, 3: False, 4: True}
    assert [case.truth.shape[-1] for case in found.values()] == [64, 96, 128]
    # The image itself is the same at every scale.
    assert all(np.array_equal(case.coarse, found[2].coarse) for case in found.values())
    whole = read_png(imagery / "naip/val/c_2020_1.tif")[:, :, 8:104]
    assert np.array_equal(found[3].truth, whole)


def test_references_of_each_kind(imagery: Path) -> None:
    entry = DataEntry(name="naip", truth=64)
    one, other = views(entry, data_set("naip").find(imagery), None)
    case = case_of(one, 4, Box())
    real, leak, itself, elsewhere = (given(case, kind) for kind in get_args(ReferenceKind)[1:])
    assert case.reference("none") is None
    assert leak.shape == itself.shape == (3, 24, 24)
    assert psnr(leak, reduced_by_area(case.truth, 24)) > 30
    assert np.array_equal(real, read_png(imagery / "naip/val/c_2018_1.tif")[:, 16:80, 24:88])
    assert psnr(reduced_by_area(itself, 16), case.coarse) > 30
    # The other place has no earlier date, so that its own leak stands in.
    assert np.array_equal(elsewhere, given(case_of(other, 4, Box()), "leak"))
    assert np.array_equal(given(case_of(other, 4, Box()), "elsewhere"), real)
    with pytest.raises(ReferenceImageError, match="another date"):
        case_of(other, 4, Box()).reference("real")


def given(case: Case, kind: ReferenceKind) -> np.ndarray:
    reference = case.reference(kind)
    assert reference is not None
    return reference


def test_the_only_image_has_no_other(imagery: Path) -> None:
    entry = DataEntry(name="scenes", truth=64)
    pictures = data_set("scenes").find(imagery)
    (alone,) = views(entry, pictures[:1], None)
    with pytest.raises(ReferenceImageError, match="only image"):
        case_of(alone, 4, Box()).reference("elsewhere")
    # How many images are used makes no difference to what another place is.
    (limited,) = views(entry, pictures, 1)
    first, last = views(entry, pictures, None)
    assert limited.following == first.following == last.picture
    assert last.following == first.picture


def reduced_by_area(image: np.ndarray, side: int) -> np.ndarray:
    return torch.nn.functional.interpolate(
        torch.from_numpy(image)[None].float(), size=(side, side), mode="area"
    )[0].numpy()


def test_crops_lie_side_by_side_and_inside(raster: Writer) -> None:
    array = np.arange(24 * 100, dtype=np.uint16).reshape(1, 24, 100) % 250
    path = raster(array.astype(np.uint8).repeat(3, axis=0))
    found = [read_square(path, 20, number, 3) for number in range(3)]
    starts = [20, 40, 60]
    for square, start in zip(found, starts, strict=True):
        assert np.array_equal(square[0], array[0, 2:22, start : start + 20])


def test_one_band_becomes_three_and_sixteen_bits_eight(raster: Writer) -> None:
    array = np.linspace(0, 4000, 32 * 32).reshape(1, 32, 32).astype(np.uint16)
    square = read_square(raster(array), None, 0, 1)
    assert square.shape == (3, 32, 32)
    assert square.dtype == np.uint8
    assert np.array_equal(square[0], square[2])
    assert np.all(np.diff(square[0].ravel().astype(int)) >= 0)
    assert np.ptp(square) > 200


def test_images_that_cannot_serve_are_refused(raster: Writer) -> None:
    array = np.full((3, 24, 30), 9, np.uint8)
    with pytest.raises(RasterError, match="30 x 24"):
        read_square(raster(array), 25, 0, 1)
    array[:, 12, 15] = 0
    with pytest.raises(RasterError, match="no data in parts"):
        read_square(raster(array, nodata=0), 24, 0, 1)


def test_the_baselines_are_what_they_say(imagery: Path) -> None:
    case = first(imagery, 8, truth=64)
    assert np.array_equal(mean_image(case)[:, 0, 0], case.coarse.mean(axis=(1, 2)).round())
    once, steps = bicubic_once(case), bicubic_in_steps(case)
    assert once.shape == steps.shape == case.truth.shape
    assert not np.array_equal(once, steps)
    assert psnr(once, steps) > psnr(once, case.truth) + 10
    blocks = nearest(case).reshape(3, 8, 8, 8, 8)
    assert np.array_equal(blocks[:, :, 0, :, 0], case.coarse)
    assert (blocks == blocks[:, :, :1, :, :1]).all()
    double = first(imagery, 2, truth=64)
    assert np.array_equal(bicubic_once(double), bicubic_in_steps(double))
