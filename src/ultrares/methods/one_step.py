"""One step instead of a cascade: what the paper compares the self-cascade with (Table 5, Proposed-1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from ultrares.methods.cascade import CascadeLevel, Condition
from ultrares.methods.place import Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import SensorModel
from ultrares.types import Cell, Fusion, Origin, SizeRule

CORE = 64
"""Side of a cell, in scene pixels; a single step makes ``scale`` times as many of them."""


@dataclass(frozen=True)
class OneStep:
    """Reaches ``scale`` at once: interpolate to what a level lacks of it, then solve that level there.

    The networks are those of the cascade. The paper trains its one-step model for its scale instead.

    Attributes:
        level: The level that is solved.
        scale: Output pixels per scene pixel, a multiple of the level's scale.
    """

    level: CascadeLevel
    scale: int

    @property
    def _enlargement(self) -> int:
        return self.scale // self.level.scale

    @property
    def halo(self) -> int:
        """The level's halo in scene pixels, and what the interpolation reaches for."""
        return -(-self.level.halo // self._enlargement) + 3

    @property
    def core(self) -> int:
        """Side of the square of scene pixels that is computed at once."""
        return CORE

    @property
    def edge(self) -> int:
        """As the level's."""
        return self.level.edge

    @property
    def original_margin(self) -> int | None:
        """The scene is the level's own input."""
        return None

    @property
    def uses_reference(self) -> bool:
        """Whether the solver takes one."""
        return self.level.uses_reference

    @property
    def fusion(self) -> Fusion | None:
        """The level's."""
        return self.level.fusion

    @property
    def size_rule(self) -> SizeRule:
        """What keeps the interpolated image to the level's rule."""
        multiple = self.level.size_rule.multiple_of
        return SizeRule(minimum=multiple, multiple_of=multiple)

    def __call__(self, cell: Cell) -> Tensor:
        """Return the cell's window ``scale`` times finer."""
        by = self._enlargement
        enlarged = F.interpolate(cell.image, scale_factor=by, mode="bicubic", antialias=True)
        origin = Origin(by * cell.origin.row, by * cell.origin.col)
        inner = replace(cell, image=enlarged, origin=origin, original=cell.image, factor=by)
        return self.level.hold(self.level.fine(inner), inner)


def one_step(
    solvers: Sequence[WaveDiffUR],
    scale: int,
    how: Solve,
    sensor: SensorModel,
    *,
    condition: Condition = "progressive",
) -> OneStep:
    """Lay out the single step that reaches ``scale``, or least more.

    Args:
        solvers: Of those that come nearest, the one that leaves least to interpolation is taken.
        scale: Whole number of at least 2.
        how: How it is solved.
        sensor: The degradation that leads to the scene's pixels.
        condition: As for a cascade, whose first level this is.
    """

    def reached(solver: WaveDiffUR) -> int:
        return -(-scale // solver.scale) * solver.scale

    solver = min(solvers, key=lambda each: (reached(each), -each.scale))
    level = CascadeLevel(solver, 0, 1, how, sensor, condition)
    return OneStep(level, reached(solver))
