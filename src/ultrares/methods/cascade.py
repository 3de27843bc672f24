"""The self-cascade: repeat a level until the scale is reached, rebuilding the condition at each.

Line 14 to 19 of Algorithm 1 (arXiv 2412.18996): I_LR becomes I_SR, d = ceil(log_k K) times. The paper's
Table 6 names two kinds, and so do we:

- ``progressive``: every level looks at the level before it (and may have weights of its own);
- ``reuse``: every level reuses the first condition, tau restored from the scene itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from ultrares.types import Cell, Fusion, SizeRule, Window

Condition = Literal["progressive", "reuse"]

MAX_SCALE = 128
"""The largest magnification of the paper, and of our tests."""

ORIGINAL_FACTOR = 8
"""Up to this magnification a level is held to the scene through the sensor model. Beyond it, the mean of
each block is held to the level before, which by then resolves the sensor's footprint (at x16 the one of x4, where
the last two are made at once); that keeps the context a level needs from growing with the scale."""

ITERATIONS = 2
"""Corrections of a back-projection through a sensor other than the box."""

SAMPLING_HALO, FEW_CALLS_HALO = 16, 12
"""Context for the denoiser's chain of calls, and for the one or two that each of several draws takes. Its receptive
field adds up to more, but beyond these distances the influence was measured to be a hundredth of a digital number
(benchmarks/seams.py)."""

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
        multiple = self.size_rule.multiple_of
        if self.original_margin is not None:
            multiple = lcm(multiple, self.factor)
        return max(side // multiple, 1) * multiple

    @property
    def at_once(self) -> int:
        """How many images its networks see side by side: the draws of a backbone that draws, else one."""
        several = self.how.mode == "perceptual" and self.solver.prior is None
        return self.how.draws if several else 1

    @property
    def uses_reference(self) -> bool:
        """Whether the solver takes one."""
        return self.solver.uses_reference

    @property
    def fusion(self) -> Fusion | None:
        """The solver's, for scenes that the sensor took."""
        return self.solver.fusion(self.sensor)

    @property
    def halo(self) -> int:
        """Context of the conditional mean, the denoiser's chain, and the back-projection."""
        return self.solver.context + self._wanted_around

    @property
    def _wanted_around(self) -> int:
        """Pixels around a cell's core whose result the core's depends on."""
        sampling = 0
        if self.how.mode == "perceptual":
            sampling = FEW_CALLS_HALO if self.few_calls else SAMPLING_HALO
        if not self._sees_original:
            return sampling
        return sampling + back_projection_reach(self.sensor, iterations=ITERATIONS) * self.factor

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

    @property
    def few_calls(self) -> bool:
        """Whether there are several draws, each in as few denoiser calls as their mean and spread bear."""
        prior = self.solver.prior
        several = self.how.mode == "perceptual" and self.how.draws > 1 and self.how.steps is None
        return several and prior is not None and prior.draw_steps is not None

    def fine(self, cell: Cell) -> Tensor:
        """Solve the level, without holding the result to anything."""
        reused = self._reused_condition(cell) if self.condition == "reuse" else None
        if not self.few_calls:
            place = (
                self._place_of_sample(cell) if self.how.mode == "perceptual" else self._place(cell)
            )
            return self.solver.solve(
                cell.image, place, self.how, reference=cell.reference, condition=reused
            )
        # So few calls leave a draw almost as smooth as a mean, and it is restored as one.
        means = self.solver.means(
            cell.image, self._place(cell), self.how, reference=cell.reference, condition=reused
        )
        assert self.solver.prior is not None
        # They follow the probability flow: what they differ in is where they start.
        how = replace(self.how, steps=self.solver.prior.draw_steps, eta=0.0)
        return self.solver.sample(cell.image, means, self._place_of_sample(cell), how)

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
        """Where the cell is; means made its image, and networks are trained for how many."""
        return Place(cell.origin, self.level, self.sensor.mtf, depth=self.level)

    def _place_of_sample(self, cell: Cell) -> Place:
        """Where the cell is; a sample is its image.

        A cascade of samples is a Markov chain: its images are as sharp as a sensor's, and each level stands
        to the next as the sensor does.
        """
        held = self.sensor if self._sees_original else Box()
        return Place(cell.origin, self.level, held.mtf, depth=0, sampled=self._sampled(cell))

    def _sampled(self, cell: Cell) -> Window | None:
        """Pixels of the cell's image where samples are wanted: its core and what that depends on."""
        if cell.core is None or self.solver.prior is None:
            return None
        multiple = self.size_rule.multiple_of
        margin = -(-self._wanted_around // multiple) * multiple
        spans = []
        for first, length, start, size in zip(
            cell.core[:2], cell.core[2:], cell.origin, cell.image.shape[-2:], strict=True
        ):
            begin = max(first - start - margin, 0)
            spans.append((begin, min(first - start + length + margin, size) - begin))
        (row, height), (col, width) = spans
        return Window(row, col, height, width)

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
