"""The way to an output grid: levels of a cascade, and what goes on from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

from ultrares.backbones.wavelet_residual import WaveletResidualBackbone
from ultrares.errors import ScaleError
from ultrares.methods.area_average import AreaAverage
from ultrares.methods.cascade import MAX_SCALE, CascadeLevel, Condition, cascade, chain
from ultrares.methods.place import Solve
from ultrares.methods.saved_operator import SavedOperator
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import SensorModel
from ultrares.types import GridUpscaler, Upscaler


@dataclass(frozen=True)
class Route:
    """How a scale is reached.

    Attributes:
        levels: The cascade, from the scene up; empty if the last step does it all.
        last: What goes on from the last level to the output grid; None where that is as fine as the output,
            or finer and whole pixels of the scene are blocks of whole output pixels, which are averaged.
    """

    levels: Sequence[Upscaler]
    last: GridUpscaler | None


def check_scale(scale: float) -> None:
    """Refuse a scale that no route leads to.

    Raises:
        ScaleError: It does not enlarge, or is beyond 128.
    """
    given: object = scale
    if not isinstance(given, Real):
        raise ScaleError(f"scale {scale!r} is no number: pass one above 1, to {MAX_SCALE}")
    if not (math.isfinite(scale) and scale > 1):
        raise ScaleError(f"scale {scale:g} does not enlarge: pass a number above 1, to {MAX_SCALE}")
    if scale > MAX_SCALE * (1 + 1e-9):
        raise ScaleError(
            f"scale {scale:g} is beyond {MAX_SCALE}, the largest this model was made for: pixels of the result cannot "
            f"be smaller than 1/{MAX_SCALE} of the scene's"
        )


def route_of_operator(operator: SavedOperator, how: Solve, sensor: SensorModel) -> Route:
    """Straight to the grid, whatever the scale: NeurOp-Diff."""
    return Route((), operator.step(how, sensor))


def route_of_cascade(
    solvers: Sequence[WaveDiffUR],
    scale: float,
    how: Solve,
    sensor: SensorModel,
    *,
    x4: WaveDiffUR | None = None,
    residual: Callable[[], SavedOperator] | None = None,
    condition: Condition = "progressive",
) -> Route:
    """Levels of WaveDiffUR, and for what is left of the scale the continuous operator (x10 = 2 * 2 * 2 * 1.25).

    Args:
        solvers: As for :func:`~ultrares.methods.cascade.cascade`.
        scale: Above 1, to 128.
        how: How each level is solved.
        sensor: The degradation that leads to the scene's pixels.
        x4: Makes the last two x2 levels of a conditional mean at once.
        residual: Loads what reaches where no level does. Without it, for samples, whose texture it would not
            go on drawing, and between 2 and 4, where ``x4`` knows more than a x2 level and what goes on from it, one
            level more is made, and averaged; so it is where no level of somebody else's network would be left.
        condition: Where each level's tau comes from.

    Raises:
        ScaleError: The scale cannot be reached.
    """
    check_scale(scale)
    above = max(2, math.ceil(scale - 1e-9))
    steps = [level.solver for level in cascade(solvers, above, how, sensor, condition=condition)]

    def laid_out(steps: list[WaveDiffUR]) -> list[CascadeLevel]:
        last = [solver.scale for solver in steps[-2:]]
        if x4 is not None and how.mode == "fidelity" and last == [2, 2]:
            steps = [*steps[:-2], x4]
        return chain(steps, how, sensor, condition=condition)

    if math.isclose(math.prod(solver.scale for solver in steps), scale, rel_tol=1e-9):
        return Route(laid_out(steps), None)
    at_once = x4 is not None and [solver.scale for solver in steps] == [2, 2]
    ours = all(isinstance(solver.backbone, WaveletResidualBackbone) for solver in solvers)
    # Who asks for a network does not want the pixels of another alone.
    goes_on = len(steps) > 1 or ours
    if residual is not None and how.mode == "fidelity" and not at_once and goes_on:
        return Route(laid_out(steps[:-1]), residual().step(how, sensor))
    whole = math.isclose(scale, round(scale), rel_tol=1e-9)
    return Route(laid_out(steps), None if whole else AreaAverage())
