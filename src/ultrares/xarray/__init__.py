"""``import ultrares.xarray`` gives every xarray.DataArray an ``ultrares.upscale`` method."""

from __future__ import annotations

try:
    import xarray  # noqa: F401 - to say what is missing
except ImportError as error:
    from ultrares.errors import MissingExtraError

    raise MissingExtraError(
        "ultrares.xarray needs xarray and dask: pip install 'ultrares[xarray]'"
    ) from error

from ultrares.xarray.accessor import UltraresAccessor

__all__ = ["UltraresAccessor"]
