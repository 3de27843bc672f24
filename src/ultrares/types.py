"""The vocabulary of ultrares: values that carry meaning, and the contracts where layers meet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Precision = Literal["auto", "fp32", "bf16"]
"""How to convolve; ``auto`` is bf16 where the processor has it."""

Mode = Literal["fidelity", "perceptual"]
"""``fidelity`` returns the conditional mean; ``perceptual`` draws a sample around it."""


class Origin(NamedTuple):
    """Absolute position of a window's first pixel, in pixels of the grid it belongs to."""

    row: int
    col: int


class Shape(NamedTuple):
    """Height and width in pixels."""

    height: int
    width: int


class Window(NamedTuple):
    """A rectangle of pixels on an absolute grid; it may reach outside the image."""

    row: int
    col: int
    height: int
    width: int

    @property
    def origin(self) -> Origin:
        """The first pixel."""
        return Origin(self.row, self.col)

    def scaled(self, factor: int) -> Window:
        """The same rectangle on a grid ``factor`` times finer."""
        return Window(*(factor * value for value in self))

    def reduced(self, factor: int) -> Window:
        """The same rectangle on a grid ``factor`` times coarser, whose pixels it must not cut."""
        assert not any(value % factor for value in self), f"{self} cuts pixels of {factor}"
        return Window(*(value // factor for value in self))

    def padded(self, margin: int) -> Window:
        """The rectangle grown by ``margin`` pixels on every side."""
        return Window(
            self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin
        )

    def clipped(self, shape: Shape) -> Window:
        """The part of the rectangle that lies inside an image; they must overlap."""
        top, left = max(self.row, 0), max(self.col, 0)
        bottom = min(self.row + self.height, shape.height)
        right = min(self.col + self.width, shape.width)
        assert min(bottom - top, right - left) > 0, f"{self} lies outside an image of {shape}"
        return Window(top, left, bottom - top, right - left)


@dataclass(frozen=True)
class SizeRule:
    """Which sides a model accepts."""

    minimum: int = 1
    multiple_of: int = 1

    def accepts(self, height: int, width: int) -> bool:
        """Whether an image of this size can be given to the model."""
        return all(
            side >= self.minimum and side % self.multiple_of == 0 for side in (height, width)
        )

    def enough(self, side: int) -> int:
        """The smallest accepted side that is no smaller."""
        return -(-max(side, self.minimum) // self.multiple_of) * self.multiple_of


class AlignedReference(NamedTuple):
    """A reference image on the grid of what a level makes.

    Attributes:
        image: Shape (1, C, k * h, k * w) or (B, C, k * h, k * w), matched to the scene, in [0, 1].
        valid: Where it can be believed, 0 or 1, shape (1, 1, k * h, k * w) or (B, 1, k * h, k * w).
    """

    image: Tensor
    valid: Tensor

    def to(self, device: str) -> AlignedReference:
        """The same reference on a device."""
        return AlignedReference(self.image.to(device), self.valid.to(device))


class Fusion(Protocol):
    """Brings a reference to the scene's date: a pure function of a window of both."""

    @property
    def ratios(self) -> Collection[int]:
        """How many times finer than the scene a reference can be to be fused, along one side."""

    def core(self, factor: int) -> int:
        """Side of the square of pixels, on the absolute grid, that is fused at once: whole scene pixels."""

    def halo(self, factor: int) -> int:
        """Pixels of context around it: whole scene pixels."""

    def __call__(
        self, scene: Tensor, reference: AlignedReference, factor: int, core: Window | None = None
    ) -> Tensor:
        """The pixels of a window's core, or all, as they would be on the scene's date.

        The reference has ``factor`` times as many pixels as the scene, (1, C, h, w), along each side; the core is
        counted from its first.
        """


@dataclass(frozen=True)
class Cell:
    """What one call of an :class:`Upscaler` gets to see.

    Attributes:
        image: The level's input with its halo, shape (N, C, h, w), in [0, 1]: one image for each of N
            draws, or a single one that all draws start from.
        origin: Absolute position of ``image[..., 0, 0]`` on the level's input grid.
        original: The scene's own pixels, shape (1, C, h0, w0), in [0, 1]: at least the footprint of
            ``image``, grown by the level's ``original_margin``; the same tensor as ``image`` at the
            first level when both are 0 wide apart.
        original_origin: Absolute position of ``original[..., 0, 0]`` on the scene's grid.
        factor: Pixels of the level's input per pixel of the scene, along one side.
        reference: A finer image of the same window, or None where there is none.
        core: Pixels of the level's input whose result is wanted, the others being context; None for all.
    """

    image: Tensor
    origin: Origin
    original: Tensor
    original_origin: Origin
    factor: int
    reference: AlignedReference | None = None
    core: Window | None = None

    def to(self, device: str) -> Cell:
        """The same cell with its pixels on a device."""
        return replace(
            self,
            image=self.image.to(device),
            original=self.original.to(device),
            reference=None if self.reference is None else self.reference.to(device),
        )


class Upscaler(Protocol):
    """One level: turns a window of pixels into a finer one, as a pure function of its cell.

    The result covers the whole window, but only pixels farther than ``halo`` (in input pixels) from the
    window's edge are promised not to depend on what lies outside it.
    """

    @property
    def scale(self) -> int:
        """Output pixels per input pixel, along one side."""

    @property
    def halo(self) -> int:
        """Input pixels of context around a window that its result depends on."""

    @property
    def edge(self) -> int:
        """Input pixels that it wants to see of the mirrored scene beyond the scene's edge, at most its halo."""

    @property
    def core(self) -> int:
        """Side of the square of input pixels, on the absolute grid, that is computed at once."""

    @property
    def original_margin(self) -> int | None:
        """Scene pixels needed around the footprint, or None if the scene is not looked at."""

    @property
    def uses_reference(self) -> bool:
        """Whether a finer image of the place is made use of."""

    @property
    def fusion(self) -> Fusion | None:
        """What brings such an image to the scene's date before the level sees it; None for nothing."""

    @property
    def size_rule(self) -> SizeRule:
        """Sides and origins of the windows that the level accepts."""

    def __call__(self, cell: Cell) -> Tensor:
        """The finer window, shape (N, C, scale * h, scale * w), in [0, 1] and a little beyond."""


@dataclass(frozen=True)
class GridCell:
    """What one call of a :class:`GridUpscaler` gets to see.

    Attributes:
        image: The input with its halo, shape (N, C, h, w), in [0, 1].
        rows: Edges of the output rows wanted, in pixels of ``image`` from its upper edge, shape (H + 1,),
            float64, evenly spaced; the first and last may lie outside the image.
        cols: Edges of the output columns wanted, shape (W + 1,).
        place: Absolute position of the first output pixel on the output's grid.
    """

    image: Tensor
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    place: Origin


class GridUpscaler(Protocol):
    """The last step to an output grid of any scale: a pure function of its cell and of integrals.

    What is global by nature, the sums of a kernel integral, is gathered over the output in ``passes``
    passes beforehand and handed in as a value, so that tiles agree.
    """

    @property
    def halo(self) -> int:
        """Input pixels of context around what the output pixels cover."""

    @property
    def margin(self) -> int:
        """Output pixels of context."""

    @property
    def multiple_of(self) -> int:
        """What the sides and the place of the output pixels of a cell must be multiples of."""

    @property
    def core(self) -> int:
        """Side of the square of output pixels that is computed at once."""

    @property
    def passes(self) -> int:
        """How many integrals there are; each needs those before it."""

    def products(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """The sum over the cell's output pixels of what the next integral averages."""

    def __call__(self, cell: GridCell, integrals: Sequence[Tensor]) -> Tensor:
        """The output pixels, shape (N, C, H, W), in [0, 1] and a little beyond."""


NoiseAt = Callable[[int, int, int], "Tensor"]
"""Standard normal noise for a backbone that draws: called with the number of a step, bands and a factor.

For an image of shape (B, C, h, w) it returns (B, bands, factor * h, factor * w), a pure function of seed,
draw, level, step, factor and absolute place, so that windows that overlap get the same numbers."""


class Backbone(Protocol):
    """A plug-in super-resolver: the paper's ``SR(.)``.

    A backbone is called with ``image`` of shape (B, C, h, w) in [0, 1], one of its ``scales``, and the
    sensor's modulation transfer at the Nyquist frequency of ``image`` (backbones that do not adapt to
    the sensor ignore it) together with the ``depth`` of the cascade it stands at (0 for an image that a
    sensor took, 1 and more for an image that a backbone made). It returns (B, C, scale * h, scale * w).
    One that is ``stochastic`` draws all its randomness from ``noise``; without any it takes the fixed
    field of seed 0 at the origin (0, 0), the same for every image of the batch.
    """

    @property
    def name(self) -> str:
        """How the backbone is called in models and tables."""

    @property
    def scales(self) -> tuple[int, ...]:
        """The factors it can enlarge by."""

    @property
    def bands(self) -> int | None:
        """The number of bands it takes, or None for any."""

    @property
    def halo(self) -> int | None:
        """Input pixels of context that a result depends on; None if on the whole image, as by attention."""

    @property
    def size_rule(self) -> SizeRule:
        """Sides that it accepts, and what origins must be multiples of for windows to agree."""

    @property
    def stochastic(self) -> bool:
        """Whether two calls with different noise differ."""

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Return the image ``scale`` times finer."""


class Denoiser(Protocol):
    """Best guess of the clean signal, given a noisy one and its noise level.

    ``noisy`` has any shape; ``time`` is a point of the SDE's own clock. Conditions are bound beforehand.
    """

    def __call__(self, noisy: Tensor, time: float) -> Tensor:
        """Return the estimate of the clean signal, of the shape of ``noisy``."""


NoiseSource = Callable[[int], "Tensor"]
"""Standard normal noise for a step: called with the step's index, returns a tensor of the state's shape."""


class Source(Protocol):
    """Where pixels come from: any raster, read window by window."""

    @property
    def shape(self) -> Shape:
        """Height and width of the whole scene."""

    @property
    def bands(self) -> int:
        """Number of bands."""

    @property
    def dtype(self) -> np.dtype:
        """Data type of the pixels."""

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and validity of a window that lies inside the scene, both of shape (C, h, w)."""


class Reference(Protocol):
    """A finer image of a scene's place, on whatever grid and of whatever bands."""

    @property
    def factor(self) -> float:
        """Its pixels per pixel of the scene, along one side."""

    def read(self, window: Window, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A window of the grid ``factor`` times finer than the scene's, inside the scene.

        Returns:
            Pixels matched to the scene's lit bands, (L, h, w), normalised as the scene is, and their
            validity, (h, w).
        """


class Sink(Protocol):
    """Where pixels go: written window by window, published all at once or not at all."""

    def write(self, window: Window, array: np.ndarray, valid: np.ndarray) -> None:
        """Store the pixels (C, h, w) and their validity at a place."""

    def commit(self) -> None:
        """Verify what was written and publish it under its name."""
