"""A loaded model, ready to upscale images in memory."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, TypeVar, get_args

import numpy as np
import torch

from ultrares.errors import InputError, ModelError, OptionError, ReferenceImageError
from ultrares.methods.cascade import Condition, cascade, number_of_levels
from ultrares.methods.csp_wavediffur import CSPWaveDiffUR, Part
from ultrares.methods.one_step import OneStep
from ultrares.methods.place import Details, Solve
from ultrares.methods.saved import SavedModel
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import ArrayReference
from ultrares.scene.sink import ArraySink
from ultrares.scene.source import ArraySource
from ultrares.scene.upscale import upscale
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Mode, Shape, Upscaler

Image = TypeVar("Image", np.ndarray, torch.Tensor)


class Model:
    """A loaded model, ready to upscale arrays; made by :func:`ultrares.load`.

    Attributes:
        manifest: What the model is and where it comes from.
    """

    def __init__(self, saved: SavedModel, *, one_step: bool = False) -> None:
        self.manifest = saved.manifest
        self._solvers = saved.solvers
        self._one_step = one_step

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def uses_reference(self) -> bool:
        """Whether any level of its cascade makes use of a reference."""
        return any(solver.uses_reference for solver in self._solvers)

    @property
    def widening(self) -> float | None:
        """What turns the spread of draws into an expected error, if it was measured."""
        return None if self.manifest.denoiser is None else self.manifest.denoiser.widening

    def with_parts(self, part: Part, *, one_step: bool = False) -> Model:
        """The same model with parts of Algorithm 2 switched off, as in Table 5 of the paper.

        Args:
            part: ``baseline``, ``model-1`` (conditions only), ``model-2`` (high frequency only) or
                ``proposed``.
            one_step: Reach the scale in one step instead of a cascade.

        Raises:
            OptionError: The model is not of Algorithm 2.
        """
        if not all(isinstance(solver, CSPWaveDiffUR) for solver in self._solvers):
            raise OptionError(f"model {self.name!r} has no parts: only models of CSP-WaveDiffUR do")
        solvers = tuple(
            solver.with_parts(part) for solver in self._solvers if isinstance(solver, CSPWaveDiffUR)
        )
        return Model(SavedModel(self.manifest, solvers), one_step=one_step)

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

        Averaged back over each input pixel, the result equals the input exactly (sensor ``box``).

        Args:
            image: Shape (C, H, W), array or tensor. Integers keep their type and its full range; floats
                are taken as they are, not-a-number marks pixels without data.
            scale: Whole number from 2 to 128.
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
        parsed = parse_sensor(sensor)
        levels = self.levels(scale, mode=mode, draws=draws, steps=steps, seed=seed, sensor=parsed)
        fine, _ = self._run(image, levels, int(scale), parsed, reference, with_spread=False)
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
            scale: Whole number from 2 to 128.
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
        parsed = parse_sensor(sensor)
        levels = self.levels(
            scale, mode="perceptual", draws=draws, steps=steps, seed=seed, sensor=parsed
        )
        fine, spread = self._run(image, levels, int(scale), parsed, reference, with_spread=True)
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
        condition: Condition = "progressive",
        details: Details = "sampled",
    ) -> list[Upscaler]:
        """The cascade, for the tiler to drive.

        Raises:
            OptionError: An option has a value that makes no sense.
            ScaleError: The scale cannot be reached.
            ModelError: Samples are asked of a model without denoiser.
        """
        number_of_levels(scale)
        if mode not in get_args(Mode):
            raise OptionError(f"unknown mode {mode!r}: choose fidelity or perceptual")
        for name, value in (("draws", draws), ("steps", steps)):
            if value is not None and not (_is_whole(value) and value >= 1):
                raise OptionError(f"{name} is {value}: pass a whole number of at least 1")
        if not _is_whole(seed):
            raise OptionError(f"seed is {seed}: pass a whole number")
        self._check_can_draw(mode, steps)
        how = Solve(
            mode=mode,
            steps=steps,
            seed=seed,
            draws=1 if mode == "fidelity" else draws,
            details=details,
        )
        if self._one_step:
            (level,) = cascade(self._solvers, 2, how, sensor, condition=condition)
            return [OneStep(level, int(scale))]
        return list(cascade(self._solvers, scale, how, sensor, condition=condition))

    def _check_can_draw(self, mode: Mode, steps: int | None) -> None:
        """Refuse samples where nothing draws, and other steps than a system was trained for.

        Raises:
            ModelError: The model has nothing to draw with.
            OptionError: The steps belong to the weights.
        """
        first = self._solvers[0]
        if mode == "perceptual" and not first.draws:
            raise ModelError(
                f"model {self.name!r} has no denoiser and cannot draw samples; use --mode fidelity"
            )
        if steps is not None and first.prior is None and first.backbone.stochastic:
            raise OptionError(
                f"model {self.name!r} draws in the number of steps that is stored with its weights, not in "
                f"{steps}: leave steps out"
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
        levels: Sequence[Upscaler],
        scale: int,
        sensor: SensorModel,
        reference: Image | None,
        *,
        with_spread: bool,
    ) -> tuple[Image, Image | None]:
        """Drive the levels over an image in memory."""
        source = ArraySource(_as_array(image, "image"))
        radiometry = Radiometry.of(source)
        guide = None
        if reference is not None:
            self.check_takes_reference()
            guide = ArrayReference(_as_array(reference, "reference"), source, radiometry)
        shape = Shape(scale * source.shape.height, scale * source.shape.width)
        sink = ArraySink(source.bands, shape, source.dtype)
        spread = ArraySink(source.bands, shape, np.dtype(np.float32)) if with_spread else None
        upscale(
            source,
            sink,
            levels,
            scale,
            radiometry=radiometry,
            exact=isinstance(sensor, Box),
            reference=guide,
            spread=spread,
            widening=self.widening,
        )
        return _as_given(sink.array, image), None if spread is None else _as_given(
            spread.array, image
        )


def check_spread(mode: Mode, draws: int) -> None:
    """Refuse to measure how draws differ where there are none.

    Raises:
        OptionError: The mode draws nothing, or there is one draw only.
    """
    if mode != "perceptual" or draws < 2:
        raise OptionError(
            "the standard deviation of draws needs some: --uncertainty needs --mode perceptual and "
            "--draws 2 or more"
        )


def _as_array(image: Any, name: str) -> np.ndarray:
    if isinstance(image, torch.Tensor):
        if image.dtype == torch.bfloat16:
            raise InputError(f"{name} of bfloat16 cannot be upscaled: pass integers or float32")
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.ndim != 3:
        raise InputError(f"{name} must be an array or a tensor of shape (C, H, W)")
    return array


def _as_given(array: np.ndarray, image: Image) -> Image:
    """A result as the kind of array, and on the device, that the image came as."""
    if isinstance(image, torch.Tensor):
        return torch.from_numpy(array).to(image.device)
    return array


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)
