"""A finer image of a scene's place, brought onto the scene's grids, in the scene's radiometry.

Opening a reference looks at it once: how far it lies beside the scene on the whole, which affine map of its bands
explains the scene's best, and how far the two usually disagree. After that a window is a function of its place alone, though how far
the reference lies beside the scene just there is found when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader, MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rasterio.windows import Window as RasterWindow

from ultrares.errors import ReferenceImageError
from ultrares.scene.coregistration import Shift, find_shift, large_enough, whole_parts
from ultrares.scene.displaced import REACH, displaced
from ultrares.scene.local_shifts import LocalShifts, Look
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.source import ArraySource
from ultrares.scene.spectral_match import Floats, Moments
from ultrares.scene.windows import tiles, whole
from ultrares.types import Shape, Window

LARGEST_SHIFT = 3.0
"""Scene pixels up to which a reference that lies beside the scene is moved; beyond, it is refused."""

LOOKED_AT, LOOKED_AT_SIDE = 64, 256
"""Windows of the scene, and their side in pixels, that a reference is matched on at most."""

REGISTERED = 9
"""Windows that its shift is estimated from at most."""

LEAST_CORRELATION, JUDGED = 0.15, 1024
"""Correlation of details below which a reference shows another place, and scene pixels that it takes to tell. Of 46 places
of the training city, the same two years before had .33 or more at x2 to x8, and another one .17 or less."""

ALIKE = 0.3
"""Correlation of details from which parts of a pixel that the reference lies beside the scene are looked for."""

FINEST = 4
"""Pixels per scene pixel, along one side, that they are looked for in at most."""

MARGIN = 4
"""Scene pixels around the scene that are read, too, where a displacement leads beyond it."""

REGISTRATION = "least-squares-1"
"""How places are told: a run that was begun when they were told otherwise is not gone on with."""

GROSS, LEAST_GROSS = 4.0, 0.08
"""Disagreement that counts as change: so many robust standard deviations, and at least this share of the
scene's range. Clouds and new buildings exceed it, seasons do not."""


class _Scene(Protocol):
    @property
    def shape(self) -> Shape: ...

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]: ...


class RasterReference:
    """A reference on a scene's grids; made by :func:`ultrares.scene.reference_opening.open_reference`, and to be closed.

    Attributes:
        factor: Reference pixels per scene pixel, along one side.
        shift: Rows and columns, in scene pixels, that its content was found to lie beside the scene's on the whole and
            was moved back by; places differ from it by parts of the reference's pixels.
        correlation: Of the details of both at the scene's resolution; not-a-number where there are none.
        shows_the_scene: Whether nothing speaks against its being of the scene's place.
        was_judged: Whether it and the scene hold data together on enough pixels to tell, or the scene is too small to.
        weights: What each scene band (row) takes of each reference band.
    """

    def __init__(
        self,
        dataset: DatasetReader,
        grid: tuple[Affine, CRS],
        scene: _Scene,
        radiometry: Radiometry,
    ) -> None:
        self._dataset, self._grid = dataset, grid
        self._scene, self._radiometry = scene, radiometry
        self._views: dict[int, WarpedVRT] = {}
        self._stack = ExitStack()
        self._moved: tuple[float, float] = (0.0, 0.0)
        self._beside: LocalShifts | None = None
        self.factor = _finer(dataset, grid, scene.shape)
        if self.factor <= 1:
            raise ReferenceImageError(
                f"reference {dataset.name} is not finer than the scene: its pixels are "
                f"{1 / self.factor:.3g} times as large; pass a finer image, or none"
            )
        found, judged = self._register()
        self.correlation = found.correlation
        self.shows_the_scene = judged < JUDGED or not found.correlation < LEAST_CORRELATION
        self.was_judged = judged >= JUDGED or math.prod(scene.shape) < JUDGED
        if self.shows_the_scene and self.was_judged and self.correlation >= ALIKE:
            self._beside = LocalShifts(self._look, scene.shape, self.factor)
            self.weights, self._offsets = self._match()
        self._gross = self._usual_disagreement()
        usual = (0.0, 0.0) if self._beside is None else self._beside.usual
        self.shift = found.rows + usual[0], found.cols + usual[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._forget_views()
        self._stack.close()
        self._dataset.close()

    @property
    def fingerprint(self) -> str:
        """What was found when it was matched to the scene: another image is matched otherwise.

        Rounded to six digits, for processors of different makes differ in the last of sixteen.
        """
        found = (self.factor, *self.shift, *self.weights.ravel(), *self._offsets)
        return f"{REGISTRATION} " + " ".join(f"{number:.6g}" for number in found)

    def read(self, window: Window, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A window of the grid ``factor`` times finer than the scene's, inside the scene.

        Returns:
            Pixels matched to the scene's lit bands and normalised as the scene is, (L, h, w), and where
            they can be believed, (h, w).
        """
        pixels, valid = self._in_place(window, factor)
        first = Window(window.row // factor, window.col // factor, 1, 1)
        bottom = -(-(window.row + window.height) // factor)
        right = -(-(window.col + window.width) // factor)
        below = Window(first.row, first.col, bottom - first.row, right - first.col)
        agrees = self._agrees(below).repeat(factor, axis=0).repeat(factor, axis=1)
        top, left = window.row - below.row * factor, window.col - below.col * factor
        agrees = agrees[top : top + window.height, left : left + window.width]
        return self._matched(pixels), valid & agrees

    def _matched(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        # Band by band in a fixed order, so that a pixel does not depend on how many are read with it.
        result = np.empty((len(self.weights), *pixels.shape[1:]), dtype=np.float32)
        for band, (row, offset) in enumerate(zip(self.weights, self._offsets, strict=True)):
            result[band] = np.float32(offset)
            for weight, plane in zip(row, pixels, strict=True):
                result[band] += np.float32(weight) * plane
        return result

    def _in_place(
        self, window: Window, factor: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The reference's own bands where they belong, to parts of their pixels."""
        if self._beside is None:
            return self._warped(window, factor)
        return self._displaced(window, factor, self._beside.at(window, factor))

    def _usually_in_place(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The reference's own bands on the scene's grid, moved as it is on the whole: enough to match it by, and quick."""
        if self._beside is None:
            return self._warped(window, 1)
        return self._displaced(window, 1, _everywhere(self._beside.usual, window))

    def _displaced(
        self, window: Window, factor: int, displacement: Floats
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        wide = window.padded(math.ceil(np.abs(displacement).max()) + REACH)
        pixels, valid = self._warped(wide, factor)
        # Beyond the scene the reference goes on, or its last pixel there is repeated.
        extent = Shape(*(factor * side for side in self._scene.shape))
        if wide.clipped(extent) != wide:
            rows = np.arange(wide.height) + wide.row
            cols = np.arange(wide.width) + wide.col
            beyond = ~np.logical_and.outer(
                (rows >= 0) & (rows < extent.height), (cols >= 0) & (cols < extent.width)
            )
            down = np.clip(rows, 0, extent.height - 1) - wide.row
            right = np.clip(cols, 0, extent.width - 1) - wide.col
            lacking = beyond & ~valid
            pixels = np.where(lacking, pixels[:, down][:, :, right], pixels)
            valid = np.where(lacking, valid[down][:, right], valid)
        corner = window.row - wide.row, window.col - wide.col
        return displaced(pixels, valid, corner, displacement)

    def _look(self, window: Window, beside: tuple[float, float], every: int) -> Look:
        """What a window of the scene shows where it and the reference are valid, to tell by how much they differ in place."""
        array, valid = self._scene.read(window)
        lit = self._radiometry.lit
        unit = self._radiometry.normalise(array, valid)[0].numpy()
        # One more on each side, for gradients.
        finer = min(FINEST, max(2, round(self.factor)))
        wide = window.padded(1).clipped(self._scene.shape)
        fine = Window(*(finer * each for each in wide))
        displacement = finer * _everywhere(beside, fine)
        pixels, there = self._displaced(fine, finer, displacement)
        matched = self._matched(pixels).astype(np.float64)
        slopes = [finer * np.gradient(matched, axis=axis) for axis in (1, 2)]
        top, left = window.row - wide.row, window.col - wide.col
        inner = (
            ...,
            slice(top, top + window.height, every),
            slice(left, left + window.width, every),
        )
        reference, down, right = (_reduced(image, finer)[inner] for image in (matched, *slopes))
        seen = _reduced(there[None].astype(np.float64), finer)[0][inner]
        both = (seen == 1) & valid[lit][:, ::every, ::every].all(axis=0)
        look = Look(
            unit[:, ::every, ::every][:, both].astype(np.float64),
            reference[:, both],
            np.stack([down[:, both], right[:, both]]),
        )
        finite = np.isfinite(look.scene).all(axis=0) & np.isfinite(look.slopes).all(axis=(0, 1))
        return Look(*(each[..., finite] for each in look))

    def _warped(self, window: Window, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The reference's own bands, zero where missing, and where none is; up to ``MARGIN`` scene pixels beyond the scene."""
        view, margin = self._view(factor), MARGIN * factor
        place = RasterWindow(window.col + margin, window.row + margin, window.width, window.height)
        indexes = _light(view)
        # Where it reads large windows at once, GDAL approximates places from the window's corner.
        with rasterio.Env(GDAL_VRT_WARP_USE_DATASET_RASTERIO="NO"):
            pixels = view.read(indexes, window=place, out_dtype=np.float32)
            valid = (view.read_masks(indexes, window=place) > 0).all(axis=0)
        valid &= np.isfinite(pixels).all(axis=0)
        return np.where(valid, pixels, 0), valid

    def _view(self, factor: int) -> WarpedVRT:
        """The whole reference on a grid of the scene and its margin; GDAL warps it block by absolute block."""
        if factor not in self._views:
            transform, crs = self._grid
            rows, cols = self._moved
            corner = Affine.translation(cols - MARGIN, rows - MARGIN)
            moved = transform @ corner @ Affine.scale(1 / factor)
            dataset, extra = self._dataset, {}
            if dataset.nodata is None and np.dtype(dataset.dtypes[0]).kind == "f":
                extra = {"src_nodata": np.nan, "nodata": np.nan}
            elif dataset.nodata is None:
                extra = {"add_alpha": not _has_alpha(dataset)}
            self._views[factor] = WarpedVRT(
                dataset,
                crs=crs,
                transform=moved,
                width=(self._scene.shape.width + 2 * MARGIN) * factor,
                height=(self._scene.shape.height + 2 * MARGIN) * factor,
                resampling=Resampling.average if factor < self.factor else Resampling.cubic,
                # Of a pixel; rasterio cannot warp with none at all.
                tolerance=0.01,
                **extra,
            )
        return self._views[factor]

    def _forget_views(self) -> None:
        for view in self._views.values():
            view.close()
        self._views.clear()

    def _looked_at(
        self, limit: int
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]]:
        """Scene (L, h, w), reference (C, h, w) and where both are valid, window by window."""
        every = list(tiles(whole(self._scene.shape), LOOKED_AT_SIDE))
        for window in every[:: -(-len(every) // limit)]:
            array, valid = self._scene.read(window)
            lit = self._radiometry.lit
            unit = self._radiometry.normalise(array, valid)[0].numpy()
            pixels, there = self._usually_in_place(window)
            # A fill value that nobody declared may be beyond what a float holds.
            yield unit, pixels, there & valid[lit].all(axis=0) & np.isfinite(unit).all(axis=0)

    def _match(self) -> tuple[Floats, Floats]:
        moments = Moments(int(self._radiometry.lit.sum()), len(_light(self._view(1))))
        for scene, reference, both in self._looked_at(LOOKED_AT):
            moments.add(scene[:, both], reference[:, both])
        if not moments.count:
            raise ReferenceImageError(
                f"reference {self._dataset.name} has no valid pixel where the scene has one; pass one that "
                "shows some of it, or none"
            )
        return moments.solve()

    @property
    def unlike_the_scene(self) -> str:
        """The warning about a reference that does not show the scene."""
        return (
            f"the reference does not show the scene: their details correlate by {self.correlation:.2f}; it is left "
            "out, as nothing can be learnt from it"
        )

    @property
    def hardly_on_the_scene(self) -> str:
        """The warning about a reference that could not be judged."""
        return (
            "the reference and the scene hold data together on too few connected pixels to tell whether it shows the scene "
            "or lies beside it; it is used as it lies"
        )

    def _register(self) -> tuple[Shift, int]:
        """Match the reference, find how far it lies beside the scene, and undo it; also on how many pixels."""
        self.weights, self._offsets = self._match()
        pairs = []
        for scene, pixels, both in self._looked_at(REGISTERED):
            ours, theirs = (
                image.mean(axis=0).astype(np.float64) for image in (scene, self._matched(pixels))
            )
            pairs += [(ours[part], theirs[part]) for part in whole_parts(both)]
        pairs = large_enough(pairs, JUDGED)
        found = find_shift(pairs)
        if max(abs(found.rows), abs(found.cols)) > LARGEST_SHIFT:
            raise ReferenceImageError(
                f"reference {self._dataset.name} lies {found.rows:+.1f} rows and {found.cols:+.1f} columns of "
                f"the scene beside it, more than the {LARGEST_SHIFT:g} that are corrected: "
                "co-register it, or leave it out"
            )
        if found.rows or found.cols:
            self._forget_views()
            self._moved = found.rows, found.cols
            self.weights, self._offsets = self._match()
        return found, sum(scene.size for scene, _ in pairs)

    def _usual_disagreement(self) -> float:
        """What counts as gross, in the scene's unit range."""
        sample = [
            np.abs(scene - self._matched(pixels))[:, both].max(axis=0)
            for scene, pixels, both in self._looked_at(LOOKED_AT)
        ]
        middle = float(np.median(np.concatenate(sample)))
        return max(LEAST_GROSS, GROSS * 1.4826 * middle)

    def _agrees(self, window: Window) -> NDArray[np.bool_]:
        """Scene pixels of a window that neither disagree grossly nor touch one that does."""
        wide = window.padded(1).clipped(self._scene.shape)
        array, valid = self._scene.read(wide)
        lit = self._radiometry.lit
        with np.errstate(invalid="ignore"):
            unit = self._radiometry.normalise(array, valid)[0].numpy()
        pixels, there = self._in_place(wide, 1)
        off = np.abs(unit - self._matched(pixels)).max(axis=0) > self._gross
        off &= there & valid[lit].all(axis=0)
        grown = np.pad(off, 2)
        near = np.zeros_like(off, shape=(off.shape[0] + 2, off.shape[1] + 2))
        for row in range(3):
            for col in range(3):
                near |= grown[row : row + near.shape[0], col : col + near.shape[1]]
        top, left = window.row - wide.row + 1, window.col - wide.col + 1
        return ~near[top : top + window.height, left : left + window.width]


class ArrayReference(RasterReference):
    """A reference in memory that covers the same ground as its scene.

    Args:
        array: Shape (C', H', W'), finer than the scene.
        scene: The scene.
        radiometry: The scene's range.

    Raises:
        ReferenceImageError: It is not finer than the scene, or its proportions are others.
    """

    def __init__(self, array: np.ndarray, scene: ArraySource, radiometry: Radiometry) -> None:
        bands, height, width = array.shape
        tall, wide = height / scene.shape.height, width / scene.shape.width
        if abs(tall - wide) > 0.02 * max(tall, wide):
            raise ReferenceImageError(
                f"reference of {width} x {height} pixels cannot cover the same ground as a scene of "
                f"{scene.shape.width} x {scene.shape.height}: crop both to the same extent"
            )
        grid = Affine(1, 0, 0, 0, -1, scene.shape.height), CRS.from_epsg(3857)
        memory = MemoryFile()
        dtype = np.float32 if array.dtype.kind == "f" else array.dtype
        with memory.open(
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=dtype,
            crs=grid[1],
            transform=grid[0] @ Affine.scale(1 / wide, 1 / tall),
            photometric="minisblack",
            alpha="unspecified",
        ) as writer:
            writer.write(array.astype(dtype))
        super().__init__(memory.open(), grid, scene, radiometry)
        self._stack.callback(memory.close)


def _finer(dataset: DatasetReader, grid: tuple[Affine, CRS], shape: Shape) -> float:
    """Reference pixels per scene pixel, along one side, at the middle of the scene."""
    transform, crs = grid
    middle = shape.width / 2, shape.height / 2
    corners = [transform @ (middle[0] + x, middle[1] + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    xs, ys = zip(*corners, strict=True)
    there = zip(*transform_points(crs, dataset.crs, xs, ys), strict=True)
    (x, y), (right_x, right_y), (down_x, down_y) = (~dataset.transform @ point for point in there)
    area = (right_x - x) * (down_y - y) - (right_y - y) * (down_x - x)
    return float(abs(area) ** 0.5)


def _everywhere(shift: tuple[float, float], window: Window) -> Floats:
    """One displacement for all pixels of a window, (2, h, w)."""
    return np.broadcast_to(np.array(shift)[:, None, None], (2, window.height, window.width))


def _reduced(image: Floats, factor: int) -> Floats:
    """Means over squares of an image (C, h, w)."""
    bands, height, width = image.shape
    blocks = image.reshape(bands, height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float64)


def _has_alpha(dataset: DatasetReader | WarpedVRT) -> bool:
    return ColorInterp.alpha in dataset.colorinterp


def _light(dataset: DatasetReader | WarpedVRT) -> list[int]:
    """Numbers of the bands that carry light."""
    return [
        number
        for number, kind in enumerate(dataset.colorinterp, start=1)
        if kind != ColorInterp.alpha
    ]
