"""The sample scene is what its README says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

SAMPLE = Path(__file__).parents[1] / "examples" / "data" / "olinda.tif"
ORIGINAL = Path(__file__).parents[2] / "shared" / "data" / "landsat" / "landsat7_olinda.tif"


def test_the_sample_has_its_place_and_names():
    with rasterio.open(SAMPLE) as sample:
        assert sample.crs.to_epsg() == 31985
        assert sample.shape == (160, 160)
        assert sample.dtypes == ("uint8",) * 6
        assert sample.descriptions == ("blue", "green", "red", "nir", "swir1", "swir2")
        assert sample.res == pytest.approx((28.5, 28.5))


@pytest.mark.skipif(not ORIGINAL.exists(), reason="the shared data are not beside the project")
def test_the_sample_is_the_same_place_in_the_original():
    with rasterio.open(SAMPLE) as sample, rasterio.open(ORIGINAL) as original:
        window = original.window(*sample.bounds)
        assert np.array_equal(sample.read(), original.read(window=window.round()))
