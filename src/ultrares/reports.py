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
        evidence: The file of what the scene does not explain; None without one.
        stac: The STAC item beside the product; None without one.
        reference_shift: Rows and columns, in scene pixels, that the reference was moved by on the whole to lie on the
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
    evidence: str | None = None
    stac: str | None = None
    reference_shift: tuple[float, float] | None = None
    moved: float = 0.0
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class PlanReport:
    """What :func:`ultrares.plan_scene` found out: what a product will be and what it takes to make it.

    Attributes:
        width: Of the product, in pixels.
        height: Of the product, in pixels.
        bands: Number of bands of the product.
        dtype: Data type of the product.
        scale: Output pixels per scene pixel, along one side.
        model: The model's name.
        tile: Side of a tile in output pixels.
        tiles: Number of tiles.
        memory_bytes: What the process will use at its peak, estimated.
        memory_limit_bytes: What it may use.
        memory_limited_by: ``--memory`` or ``machine``.
        product_bytes: What the product will take on the disk, its uncertainty and overviews included, estimated
            from pieces of the scene.
        scratch_bytes: What lies beside it while it is made, estimated.
        disk_free_bytes: What is free for both, finished tiles of an earlier run included.
        hours: How long it will take on this device; None if it was not measured.
        megapixels_per_second: Output pixels a second, in millions; None if it was not measured.
    """

    width: int
    height: int
    bands: int
    dtype: str
    scale: float
    model: str
    tile: int
    tiles: int
    memory_bytes: int
    memory_limit_bytes: int
    memory_limited_by: str
    product_bytes: int
    scratch_bytes: int
    disk_free_bytes: int
    hours: float | None
    megapixels_per_second: float | None

    @property
    def lacks_memory(self) -> bool:
        """Whether it needs more memory than it may use."""
        return self.memory_bytes > self.memory_limit_bytes

    @property
    def lacks_disk(self) -> bool:
        """Whether it needs more room on the disk than is free."""
        return self.product_bytes + self.scratch_bytes > self.disk_free_bytes

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return not (self.lacks_memory or self.lacks_disk)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "fits": self.fits}


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
