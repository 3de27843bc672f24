"""Cut the sample scene of the demo out of the Landsat 7 scene of Olinda.

Run from the project's root, with the shared data beside it::

    python scripts/make_sample.py ../shared/data/landsat/landsat7_olinda.tif
"""

from __future__ import annotations

import sys
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

TARGET = Path(__file__).parents[1] / "examples" / "data" / "olinda.tif"
WINDOW = Window(col_off=175, row_off=170, width=160, height=160)  # town, ponds, beach and sea
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
DESCRIPTION = "Olinda, Brazil: Landsat 7 ETM+, USGS, public domain"


def make_sample(source: Path, target: Path) -> None:
    """Write the window, with its place on Earth and the names of its bands."""
    with rasterio.open(source) as scene:
        pixels = scene.read(window=WINDOW)
        profile = {
            "driver": "GTiff",
            "width": WINDOW.width,
            "height": WINDOW.height,
            "count": scene.count,
            "dtype": scene.dtypes[0],
            "crs": scene.crs,
            "transform": scene.window_transform(WINDOW),
            "compress": "deflate",
            "predictor": 2,
            "zlevel": 9,
        }
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(target, "w", **profile) as sample:
        sample.write(pixels)
        sample.descriptions = BANDS
        sample.colorinterp = (
            ColorInterp.blue,
            ColorInterp.green,
            ColorInterp.red,
            *(ColorInterp.undefined,) * (len(BANDS) - 3),
        )
        sample.update_tags(TIFFTAG_IMAGEDESCRIPTION=DESCRIPTION)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/make_sample.py LANDSAT7_OLINDA.TIF")
    make_sample(Path(sys.argv[1]), TARGET)
    print(f"{TARGET}  {TARGET.stat().st_size} bytes")
