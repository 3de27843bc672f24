"""The self-cascade: repeat a level until the scale is reached, rebuilding the condition at each.

Line 14 to 19 of Algorithm 1 (arXiv 2412.18996): I_LR becomes I_SR, d = ceil(log_k K) times. The paper's
Table 6 names two kinds, and so do we:

- ``progressive``: every level looks at the level before it (and may have weights of its own);
- ``reuse``: every level reuses the first condition, tau restored from the scene itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from ultrares.errors import ScaleError
from ultrares.methods.place import Place, Solve
from ultrares.methods.steps import steps_to
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.backprojection import back_project, back_projection_reach
from ultrares.sensor.models import Box, SensorModel
from ultrares.types import Cell, SizeRule

Condition = Literal["progressive", "reuse"]

MAX_SCALE = 128
"""The largest magnification of the paper, and of our tests."""

ORIGINAL_FACTOR = 8
"""Up to this magnification a level is held to the scene through the sensor model. Beyond it, the mean of
each block is held to the level before, which by then resolves the sensor's footprint; that keeps
the context a level needs from growing with the scale."""

ITERATIONS = 2
"""Corrections of a back-projection through a sensor other than the box."""

SAMPLING_HALO = 16
"""Context for the denoiser's chain of calls. Its receptive field adds up to more, but beyond this distance
the influence was measured to vanish in rounding (benchmarks/seams.py)."""

CORE, FINE_CORE = 256, 768
"""Most pixels along a cell's side, of a level's input and of its result: large against the halo, small
against the memory."""


def number_of_levels(scale: float, factor: int = 2) -> int:
    """How many levels of ``factor`` reach ``scale``: ceil(log_factor(scale)).

    Raises:
        ScaleError: The scale is not a whole number from 2 to 128.
    """
    if scale != scale or scale in (float("inf"), float("-inf")) or scale <= 1:
        raise ScaleError(
            f"scale {scale:g} does not enlarge: pass a whole number from 2 to {MAX_SCALE}"
        )
    if scale != int(scale):
        raise ScaleError(
            f"scale {scale:g} is not a whole number, which a cascade of x{factor} levels needs; "
            f"nearest that it can do: {max(2, int(scale))} or {int(scale) + 1}"
        )
    if scale > MAX_SCALE:
        raise ScaleError(
            f"scale {scale:g} is beyond {MAX_SCALE}, the largest this model was made for"
        )
    levels, reached = 0, 1
    while reached < scale:
        levels, reached = levels + 1, reached * factor
    return levels


@dataclass(frozen=True)
class CascadeLevel:
    """One level of a cascade as the scene drives it: solve, then back-project.

    Attributes:
        solver: The level's solver.
        level: Its number from 0.
        factor: Pixels of the image it sees per pixel of the scene, along one side.
        how: How to solve.
        sensor: The degradation that leads to the scene's pixels.
        condition: Whether tau is rebuilt from the level's image or reused from the scene.
    """

    solver: WaveDiffUR
    level: int
    factor: int
    how: Solve
    sensor: SensorModel
    condition: Condition = "progressive"

    @property
    def scale(self) -> int:
        """Output pixels per input pixel."""
        return self.solver.scale

    @property
    def size_rule(self) -> SizeRule:
        """Even sides and origins for the transform and the denoiser, whole windows for attention."""
        multiple = self.solver.multiple_of
        return SizeRule(minimum=multiple, multiple_of=multiple)

    @property
    def core(self) -> int:
        """Side of the square of input pixels that is computed at once."""
        side = min(CORE, FINE_CORE // self.scale)
        if self.how.mode == "perceptual" and self.how.draws > 2:
            # All draws of a cell are computed side by side.
            side //= 2
        multiple = self.size_rule.multiple_of
        if self.original_margin is not None:
            multiple = lcm(multiple, self.factor)
        return max(side // multiple, 1) * multiple

    @property
    def uses_reference(self) -> bool:
        """Whether the solver takes one."""
        return self.solver.uses_reference

    @property
    def halo(self) -> int:
        """Context of the conditional mean, the denoiser's chain, and the back-projection."""
        sampling = SAMPLING_HALO if self.how.mode == "perceptual" else 0
        reach = 0
        if self._sees_original:
            reach = back_projection_reach(self.sensor, iterations=ITERATIONS) * self.factor
        return self.solver.context + sampling + reach

    @property
    def edge(self) -> int:
        """None, for networks are trained with crops that end.

        A mirrored scene around it was measured to cost up to 0.02 dB against nothing at all. What fills
        whole windows is mirrored nevertheless.
        """
        return 0

    @property
    def original_margin(self) -> int | None:
        """Two pixels for the interpolation of a reused condition; none for the back-projection."""
        if self.condition == "reuse":
            return 2
        return 0 if self._sees_original else None

    @property
    def _sees_original(self) -> bool:
        return not isinstance(self.sensor, Box) and self.factor * self.scale <= ORIGINAL_FACTOR

    def __call__(self, cell: Cell) -> Tensor:
        """Return the cell's window ``scale`` times finer."""
        cell = cell.to(self.solver.device)
        return self.hold(self.fine(cell), cell)

    def fine(self, cell: Cell) -> Tensor:
        """Solve the level, without holding the result to anything."""
        reused = self._reused_condition(cell) if self.condition == "reuse" else None
        return self.solver.solve(
            cell.image, self._place(cell), self.how, reference=cell.reference, condition=reused
        )

    def hold(self, fine: Tensor, cell: Cell) -> Tensor:
        """Back-project a result onto the scene, or onto the level's input where the scene is far."""
        if not self._sees_original:
            return back_project(fine, cell.image, Box(), self.scale)
        margin = self.original_margin or 0
        rows, cols = cell.original.shape[-2:]
        footprint = cell.original[..., margin : rows - margin, margin : cols - margin]
        factor = cell.factor * self.scale
        return back_project(fine, footprint, self.sensor, factor, iterations=ITERATIONS)

    def _place(self, cell: Cell) -> Place:
        """Where the cell is and what made its image.

        A cascade of means has trained networks for each depth. A cascade of samples is a Markov chain:
        its images are as sharp as a sensor's, and each level stands to the next as the sensor does.
        """
        if self.how.mode == "fidelity":
            return Place(cell.origin, self.level, self.sensor.mtf, depth=self.level)
        held = self.sensor if self._sees_original else Box()
        return Place(cell.origin, self.level, held.mtf, depth=0)

    @staticmethod
    def _reused_condition(cell: Cell) -> Tensor:
        """The scene's own pixels, enlarged to the level's grid."""
        enlarged = F.interpolate(
            cell.original, scale_factor=cell.factor, mode="bicubic", antialias=True
        )
        row = cell.origin.row - cell.original_origin.row * cell.factor
        col = cell.origin.col - cell.original_origin.col * cell.factor
        rows, cols = cell.image.shape[-2:]
        return enlarged[..., row : row + rows, col : col + cols]


def cascade(
    solvers: Sequence[WaveDiffUR],
    scale: float,
    how: Solve,
    sensor: SensorModel,
    *,
    condition: Condition = "progressive",
) -> list[CascadeLevel]:
    """Lay out the levels that reach ``scale``; their product may exceed it.

    Args:
        solvers: One shared by all levels, or one per level, the last repeated. If they differ in scale,
            this holds for those of each scale, and every level takes one that makes its step.
        scale: Whole number from 2 to 128.
        how: How each level is solved.
        sensor: The degradation that leads to the scene's pixels.
        condition: Where each level's tau comes from.

    Raises:
        ScaleError: The scale cannot be reached.
    """
    number_of_levels(scale)
    able: dict[int, list[WaveDiffUR]] = {}
    for solver in solvers:
        able.setdefault(solver.scale, []).append(solver)
    steps = [
        able[step][min(level, len(able[step]) - 1)]
        for level, step in enumerate(steps_to(int(scale), able))
    ]
    return chain(steps, how, sensor, condition=condition)


def chain(
    steps: Sequence[WaveDiffUR],
    how: Solve,
    sensor: SensorModel,
    *,
    condition: Condition = "progressive",
) -> list[CascadeLevel]:
    """Lay out levels whose solvers may differ in scale, such as x4 and then x2 for x8."""
    levels, factor = [], 1
    for number, solver in enumerate(steps):
        levels.append(CascadeLevel(solver, number, factor, how, sensor, condition))
        factor *= solver.scale
    return levels
