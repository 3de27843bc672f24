"""The options of a result, checked before anything is computed."""

from __future__ import annotations

from numbers import Integral
from typing import get_args

from ultrares.errors import OptionError
from ultrares.methods.place import Details, Solve
from ultrares.types import Mode


def solve_of(
    *,
    mode: Mode,
    draws: int,
    steps: int | None,
    seed: int,
    details: Details = "sampled",
) -> Solve:
    """What a method is asked for.

    Args:
        mode: ``fidelity`` or ``perceptual``.
        draws: Samples, at least 1; in fidelity mode there are none to be drawn, so no more than 1.
        steps: Denoiser calls per level, at least 1; None for the model's own number.
        seed: Seed of the samples, any whole number.
        details: Which details a sample gets.

    Raises:
        OptionError: An option has a value that makes no sense.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"unknown mode {mode!r}: choose fidelity or perceptual")
    for name, value in (("draws", draws), ("steps", steps)):
        if value is not None and not (_is_whole(value) and value >= 1):
            raise OptionError(f"{name} is {value}: pass a whole number of at least 1")
    if not _is_whole(seed):
        raise OptionError(f"seed is {seed}: pass a whole number")
    if mode == "fidelity" and draws > 1:
        raise OptionError(
            f"draws is {draws}, but fidelity mode draws nothing: use --mode perceptual, or leave draws out"
        )
    return Solve(mode=mode, steps=steps, seed=seed, draws=draws, details=details)


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


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)
