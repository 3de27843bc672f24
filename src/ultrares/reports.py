"""What the Python face answers with: plain values, for people, programs and the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ModelInfo:
    """One line of ``ultrares models``.

    Attributes:
        name: What :func:`ultrares.load` takes.
        method: The algorithm.
        scales: Which scales it can produce, in words.
        bands: Which bands it can take, in words.
        parameters: Number of weights; None if the file does not tell.
        licence: Of the weights.
        trained_on: Data that it was trained on.
        present: Whether the weights are there and whole.
        path: Folder or file of the model; None if it has none.
    """

    name: str
    method: str
    scales: str
    bands: str
    parameters: int | None
    licence: str
    trained_on: str
    present: bool
    path: str | None


@dataclass(frozen=True)
class UpscaleReport:
    """What :func:`ultrares.upscale_scene` did.

    Attributes:
        target: The product.
        width: Of the product, in pixels.
        height: Of the product, in pixels.
        bands: Number of bands of the product.
        dtype: Data type of the product.
        scale: Output pixels per scene pixel, along one side.
        model: The model's name.
        mode: ``fidelity`` or ``perceptual``.
        sensor: The degradation that the product is held to.
        seed: Seed of the draws.
        draws: Number of draws that were averaged, as it was asked for.
        seconds: From the call to the published files.
        megapixels_per_second: Output pixels a second, in millions.
        radiometry: What the product keeps, in words.
        reference: The finer raster that details came from; None without one.
        uncertainty: The file of the draws' standard deviation; None without one.
        reference_shift: Rows and columns, in scene pixels, that the reference was moved by to lie on the
            scene; None without a reference.
        moved: How far an edge of the product lies from the scene's at most, in scene pixels; 0 unless the
            product lies on the grid of another raster.
        resumed: Tiles that an earlier run, which ended early, had made.
    """

    target: str
    width: int
    height: int
    bands: int
    dtype: str
    scale: float
    model: str
    mode: str
    sensor: str
    seed: int
    draws: int
    seconds: float
    megapixels_per_second: float
    radiometry: str
    reference: str | None = None
    uncertainty: str | None = None
    reference_shift: tuple[float, float] | None = None
    moved: float = 0.0
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DegradeReport:
    """What :func:`ultrares.degrade` did.

    Attributes:
        target: The reduced raster.
        width: Of the reduced raster, in pixels.
        height: Of the reduced raster, in pixels.
        sensor: The degradation.
    """

    target: str
    width: int
    height: int
    sensor: str

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)
