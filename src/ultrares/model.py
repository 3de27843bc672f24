"""A loaded model, ready to upscale images in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import torch

from ultrares.arrays import Image, upscale_array
from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.errors import ModelError, OptionError, ReferenceImageError
from ultrares.methods.cascade import Condition, cascade, number_of_levels
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR, Part
from ultrares.methods.manifest import Manifest
from ultrares.methods.neurop_diff import NeurOpDiff
from ultrares.methods.one_step import one_step
from ultrares.methods.options import check_spread, solve_of
from ultrares.methods.place import Details, Solve
from ultrares.methods.route import Route, check_scale, route_of_cascade, route_of_operator
from ultrares.methods.saved import SavedModel
from ultrares.methods.saved_operator import SavedOperator
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Mode, Upscaler


@dataclass(frozen=True)
class Configuration:
    """How a cascade's networks are put to use.

    Attributes:
        solvers: Of one level, one per weight set; none if the model is no cascade.
        x4: Of two levels at once; None to climb in levels of x2 alone.
        residual: Loads what reaches where no level does; None to make one level more and average it.
        one_step: Whether a scale is reached in one step instead of a cascade.
        condition: Where each level's condition comes from.
        words: What a result's identity says of all that.
    """

    solvers: tuple[WaveDiffUR, ...]
    x4: WaveDiffUR | None
    residual: Callable[[], SavedOperator] | None
    one_step: bool
    condition: Condition
    words: str


class Model:
    """A loaded model, ready to upscale arrays; made by :func:`ultrares.load`.

    Attributes:
        manifest: What the model is and where it comes from.
    """

    def __init__(
        self,
        saved: SavedModel | SavedOperator,
        *,
        one_step: bool = False,
        condition: Condition = "progressive",
        residual: Callable[[], SavedOperator] | None = None,
    ) -> None:
        self.manifest = saved.manifest
        self._operator = saved if isinstance(saved, SavedOperator) else None
        self._configuration = Configuration(
            solvers=() if isinstance(saved, SavedOperator) else saved.solvers,
            x4=None if isinstance(saved, SavedOperator) else saved.x4,
            residual=residual,
            one_step=one_step,
            condition=condition,
            words=("one step" if one_step else "all") if residual else "levels only",
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def uses_reference(self) -> bool:
        """Whether any level of its cascade makes use of a reference."""
        return any(solver.uses_reference for solver in self._configuration.solvers)

    def widening(self, scale: float) -> float | None:
        """What turns the spread of draws at a scale into an expected error, if it was measured."""
        measured = None if self.manifest.denoiser is None else self.manifest.denoiser.widening
        if not isinstance(measured, tuple):
            return measured
        levels = number_of_levels(math.ceil(scale - 1e-9))
        return measured[min(levels, len(measured)) - 1]

    def effective_pixel(self, scale: float) -> float | None:
        """The pixel that could carry as much true detail, in output pixels, as the model's card measured it.

        It holds for fidelity mode, the sensor ``box`` and no reference; None for scales that were not measured.
        """
        if not isinstance(self.manifest, Manifest):
            return None
        return self.manifest.effective_pixel.get(int(scale)) if scale == int(scale) else None

    def identity(self, route: Route) -> dict[str, str] | None:
        """All that a result depends on beside the scene and the options, in words.

        Args:
            route: How the scale is reached.

        Returns:
            None where weights have no checksum, so that nobody can tell whether they are the same.
        """
        nets = [self._operator] if self._operator is not None else list(self._configuration.solvers)
        checksums = [self.manifest.sha256]
        if isinstance(route.last, NeurOpDiff) and self._operator is None:
            assert self._configuration.residual is not None
            checksums.append(self._configuration.residual().manifest.sha256)
        weightless = [
            type(solver.backbone) is BicubicBackbone for solver in self._configuration.solvers
        ]
        if None in checksums and not (weightless and all(weightless)):
            return None
        return {
            "model": self.name,
            "weights": " and ".join(str(checksum) for checksum in checksums),
            "parts": self._configuration.words,
            "precision": " and ".join(sorted({_precision(net) for net in nets})),
            "device": " and ".join(sorted({_device(net.device) for net in nets})),
            "torch": torch.__version__,
        }

    def with_parts(
        self, part: Part, *, one_step: bool = False, condition: Condition = "progressive"
    ) -> Model:
        """The same model with parts of Algorithm 2 switched off, in steps of x2, as in Table 5 and 6 of the paper.

        Args:
            part: ``baseline``, ``model-1`` (conditions only), ``model-2`` (high frequency only) or
                ``proposed``.
            one_step: Reach the scale in one step instead of a cascade.
            condition: ``progressive``, or ``reuse``: every level's condition is that of the scene.

        Raises:
            OptionError: The model is not of Algorithm 2.
        """
        csp = [
            solver for solver in self._configuration.solvers if isinstance(solver, CSPWaveDiffUR)
        ]
        if not csp or len(csp) != len(self._configuration.solvers):
            raise OptionError(f"model {self.name!r} has no parts: only models of CSP-WaveDiffUR do")
        made = replace(
            self._configuration,
            solvers=tuple(solver.with_parts(part) for solver in csp),
            x4=None,
            one_step=one_step,
            condition=condition,
        )
        return self._configured(made, f"{part}, {'one step' if one_step else condition}")

    def without_residual(self) -> Model:
        """The same model, making one level more instead of an operator's step where no level reaches a scale.

        Raises:
            OptionError: The model is no cascade.
        """
        return self._configured(replace(self._configuration, residual=None), "levels only")

    def without_x4(self) -> Model:
        """The same model, climbing in steps of x2 alone: for comparisons of cascades.

        Raises:
            OptionError: The model is no cascade.
        """
        return self._configured(replace(self._configuration, x4=None), "steps of x2")

    def without_fusion(self) -> Model:
        """The same model, offering its levels references as they were taken: for seeing what fusion is worth.

        Raises:
            OptionError: The model brings no reference to the scene's date.
        """
        solvers = self._configuration.solvers
        csp = [solver for solver in solvers if isinstance(solver, CSPWaveDiffUR)]
        if not any(solver.parts.fusion for solver in csp):
            raise OptionError(f"model {self.name!r} fuses no references")
        raw = tuple(solver.without_fusion() if solver in csp else solver for solver in solvers)
        return self._configured(replace(self._configuration, solvers=raw), "raw references")

    def _configured(self, made: Configuration, words: str) -> Model:
        """The same weights, configured otherwise, which ``words`` keep from being taken for this model."""
        if not self._configuration.solvers:
            raise OptionError(f"model {self.name!r} is no cascade and has no levels")
        model = copy(self)
        model._configuration = replace(made, words=f"{words} of {self._configuration.words}")
        return model

    def upscale(
        self,
        image: Image,
        *,
        scale: float,
        reference: Image | None = None,
        mode: Mode = "fidelity",
        draws: int = 1,
        steps: int | None = None,
        seed: int = 0,
        sensor: str = "box",
    ) -> Image:
        """Return an image ``scale`` times finer along both sides.

        Averaged back over each input pixel, the result equals the input exactly (sensor ``box``). At scales
        that are not whole, output pixels are shared between input pixels, and what is kept is the
        area-weighted mean, to half a digital number.

        Args:
            image: Shape (C, H, W), array or tensor. Integers keep their type and its full range; floats
                are taken as they are, not-a-number marks pixels without data.
            scale: Above 1, to 128. Sides of the result are rounded to whole pixels; the footprint is kept.
            reference: A finer image of the same place and extent, shape (C', H', W'), in any units; only
                for models that use one.
            mode: ``fidelity`` for the conditional mean, ``perceptual`` for a sample.
            draws: Samples to average in perceptual mode.
            steps: Denoiser calls per level of a sample; None for the model's own number.
            seed: Seed of the samples.
            sensor: Degradation that the result is held to: ``box``, ``bicubic`` or ``mtf:VALUE``.

        Raises:
            InputError: The image, the scale or an option cannot be used.
        """
        how = {"mode": mode, "draws": draws, "steps": steps, "seed": seed}
        fine, _ = self._run(image, scale, parse_sensor(sensor), reference, how, with_spread=False)
        return fine

    def upscale_with_spread(
        self,
        image: Image,
        *,
        scale: float,
        reference: Image | None = None,
        draws: int = 8,
        steps: int | None = None,
        seed: int = 0,
        sensor: str = "box",
    ) -> tuple[Image, Image]:
        """Return the mean of several draws, and how far they lie apart at each pixel.

        The mean is that of :meth:`upscale` in perceptual mode with the same draws. The spread is their
        standard deviation in the units of the image, float32 of the same shape, without bias; it is
        taken before rounding, with the block means of every draw moved onto the input's (sensor ``box``),
        and is not-a-number where the image has no data.

        Args:
            image: Shape (C, H, W), array or tensor.
            scale: Above 1, to 128.
            reference: A finer image of the same place and extent, for models that use one.
            draws: Number of draws, at least 2.
            steps: Denoiser calls per level of a draw; None for the model's own number.
            seed: Seed of the draws.
            sensor: Degradation that the draws are held to: ``box``, ``bicubic`` or ``mtf:VALUE``.

        Raises:
            InputError: The image, the scale or an option cannot be used.
            ModelError: The model cannot draw.
        """
        check_spread("perceptual", draws)
        how = {"mode": "perceptual", "draws": draws, "steps": steps, "seed": seed}
        fine, spread = self._run(
            image, scale, parse_sensor(sensor), reference, how, with_spread=True
        )
        assert spread is not None
        return fine, spread

    def levels(
        self,
        scale: float,
        *,
        mode: Mode,
        draws: int,
        steps: int | None,
        seed: int,
        sensor: SensorModel,
        details: Details = "sampled",
    ) -> list[Upscaler]:
        """The cascade of a whole scale, or the least one that is finer.

        Raises:
            OptionError: An option has a value that makes no sense.
            ScaleError: The scale cannot be reached.
            ModelError: Samples are asked of a model without denoiser, or it is no cascade.
        """
        number_of_levels(scale)
        if not self._configuration.solvers:
            raise ModelError(f"model {self.name!r} is no cascade and has no levels")
        how = solve_of(mode=mode, draws=draws, steps=steps, seed=seed, details=details)
        self._check_can_draw(how)
        if self._configuration.one_step:
            return [
                one_step(
                    self._configuration.solvers,
                    int(scale),
                    how,
                    sensor,
                    condition=self._configuration.condition,
                )
            ]
        return list(
            cascade(
                self._configuration.solvers,
                scale,
                how,
                sensor,
                condition=self._configuration.condition,
            )
        )

    def route(
        self,
        scale: float,
        *,
        mode: Mode,
        draws: int,
        steps: int | None,
        seed: int,
        sensor: SensorModel,
        with_reference: bool = False,
    ) -> Route:
        """How a scale is reached, for the tiler to drive.

        With a reference all of it is x2 levels, for neither the x4 backbone nor the continuous operator would
        learn anything from one.

        Raises:
            OptionError: An option has a value that makes no sense.
            ScaleError: The scale cannot be reached.
            ModelError: Samples are asked of a model without denoiser.
        """
        check_scale(scale)
        how = solve_of(mode=mode, draws=draws, steps=steps, seed=seed)
        self._check_can_draw(how)
        if self._operator is not None:
            return route_of_operator(self._operator, how, sensor)
        if self._configuration.one_step:
            levels = self.levels(
                scale, mode=mode, draws=draws, steps=steps, seed=seed, sensor=sensor
            )
            return Route(levels, None)
        if with_reference:
            return route_of_cascade(
                self._configuration.solvers,
                scale,
                how,
                sensor,
                condition=self._configuration.condition,
            )
        return route_of_cascade(
            [solver.unguided() for solver in self._configuration.solvers],
            scale,
            how,
            sensor,
            x4=self._configuration.x4,
            residual=self._configuration.residual,
            condition=self._configuration.condition,
        )

    def _check_can_draw(self, how: Solve) -> None:
        """Refuse samples where nothing draws, and other steps than a system was trained for.

        Raises:
            ModelError: The model has nothing to draw with.
            OptionError: The steps belong to the weights.
        """
        able = (
            self._configuration.solvers[0].draws
            if self._operator is None
            else self._operator.prior is not None
        )
        if how.mode == "perceptual" and not able:
            raise ModelError(
                f"model {self.name!r} has no denoiser and cannot draw samples; use --mode fidelity"
            )
        if self._operator is not None:
            return
        first = self._configuration.solvers[0]
        if how.steps is not None and first.prior is None and first.backbone.stochastic:
            raise OptionError(
                f"model {self.name!r} draws in the number of steps that is stored with its weights, not in "
                f"{how.steps}: leave steps out"
            )

    def check_takes_reference(self) -> None:
        """Refuse a reference that nothing would be learnt from.

        Raises:
            ReferenceImageError: The model uses none.
        """
        if not self.uses_reference:
            raise ReferenceImageError(
                f"model {self.name!r} uses no reference image; leave the reference out"
            )

    def _run(
        self,
        image: Image,
        scale: float,
        sensor: SensorModel,
        reference: Image | None,
        how: Mapping[str, Any],
        *,
        with_spread: bool,
    ) -> tuple[Image, Image | None]:
        """Upscale an image in memory, by the options of :meth:`route`."""
        if reference is not None:
            self.check_takes_reference()

        def route_of(*, with_reference: bool) -> Route:
            return self.route(scale, **how, sensor=sensor, with_reference=with_reference)

        return upscale_array(
            image,
            scale,
            route_of,
            reference=reference,
            exact=isinstance(sensor, Box),
            with_spread=with_spread,
            widening=self.widening(scale),
        )


def _precision(net: Any) -> str:
    """How a network convolves."""
    inner = getattr(net, "backbone", net)
    return "bf16" if getattr(inner, "autocast", False) else "fp32"


def _device(name: str) -> str:
    """The kind of a device, for another kind rounds otherwise."""
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(name)
    if name.startswith("cpu"):
        return f"cpu with {torch.backends.cpu.get_cpu_capability()}"
    return name
