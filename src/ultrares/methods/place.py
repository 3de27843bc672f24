"""Where a level stands, and how it is to be solved: what both algorithms are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ultrares.types import Mode, Origin, Window

Details = Literal["sampled", "backbone", "bands"]
"""Where V, H, D come from: ``sampled`` jointly with A by the denoiser around the restored bands;
``backbone`` are the restored bands themselves; ``bands`` is Eq. 11 to the letter, SR_k applied to the
image's own V, H, D, which was measured to be worse than zeros and is kept for comparison."""


@dataclass(frozen=True)
class Solve:
    """How a level is solved.

    Attributes:
        mode: The conditional mean, or samples.
        steps: Denoiser calls of a sample; None takes the prior's own.
        eta: Share of the ancestral noise that each step of a sample puts back; None takes the prior's own.
        seed: Seed of the noise field.
        draws: Number of samples; their numbers are 0, 1, 2 and so on.
        details: Where V, H, D come from; fidelity mode takes ``backbone`` for ``sampled``.
        low_pass: Levels j of the Haar low-pass projector P_j in the low-frequency condition.
        input_noise: r of Eq. 11 and 17, the standard deviation of noise on the bands restored from.
        output_noise: s of Eq. 11 and 17, the standard deviation of noise on the restored bands.
    """

    mode: Mode = "fidelity"
    steps: int | None = None
    eta: float | None = None
    seed: int = 0
    draws: int = 1
    details: Details = "sampled"
    low_pass: int = 1
    input_noise: float = 0.0
    output_noise: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where a level's image stands, and what took it.

    Attributes:
        origin: Absolute position of its first pixel on the level's input grid.
        level: Number of the level, which its noise is keyed by.
        mtf: Modulation transfer at Nyquist of the sensor that leads from the finer image to this one.
        depth: How many levels made the image, if they made conditional means, which are smoother than
            what a sensor takes; 0 for a sensor's image and for a sample.
        sampled: Pixels of the image, counted from its first, where samples are wanted: even places and sides.
            Elsewhere they are the mean, whose context is the larger one. None for all.
    """

    origin: Origin
    level: int
    mtf: float
    depth: int
    sampled: Window | None = None
