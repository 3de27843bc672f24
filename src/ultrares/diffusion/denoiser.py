"""From what a network was trained to say to the clean signal that a solver wants to hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ultrares.diffusion.sde import SDE
from ultrares.types import Denoiser

Network = Callable[[Tensor, Tensor], Tensor]
"""A raw network: called with the state (B, ...) and the times (B,), conditions bound beforehand."""


class Prediction(Protocol):
    """What a network predicts, in standard coordinates y = (x - mu) / lam.

    There y = signal y_0 + noise e with signal^2 + noise^2 = 1, for both kinds of process.
    """

    def target(self, clean: Tensor, normal: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """What the network should say, given y_0 and e."""

    def clean(self, output: Tensor, noisy: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The estimate of y_0, given what the network said about y."""


class NoisePrediction:
    """The network predicts e (Ho et al. 2020)."""

    def target(self, clean: Tensor, normal: Tensor, signal: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002
        """The noise itself."""
        return normal

    def clean(self, output: Tensor, noisy: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """(y - noise e) / signal."""
        return (noisy - noise * output) / signal


class VelocityPrediction:
    """The network predicts v = signal e - noise y_0 (Salimans and Ho 2022)."""

    def target(self, clean: Tensor, normal: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The velocity."""
        return signal * normal - noise * clean

    def clean(self, output: Tensor, noisy: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Signal y - noise v."""
        return signal * noisy - noise * output


class CleanPrediction:
    """The network predicts y_0."""

    def target(self, clean: Tensor, normal: Tensor, signal: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002
        """The clean signal itself."""
        return clean

    def clean(self, output: Tensor, noisy: Tensor, signal: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002
        """The output itself."""
        return output


EPS = NoisePrediction()
V = VelocityPrediction()
X0 = CleanPrediction()


def estimate_clean(
    output: Tensor, noisy: Tensor, time: float | Tensor, sde: SDE, prediction: Prediction
) -> Tensor:
    """The clean signal that a network's output stands for.

    Args:
        output: What the network said, of the shape of ``noisy``.
        noisy: The state x_t.
        time: A number, or a tensor that broadcasts against ``noisy``.
        sde: The process that made ``noisy``.
        prediction: What the network was trained to say.
    """
    signal = sde.signal(time).to(noisy)
    noise = (sde.noise(time) / sde.lam).to(noisy)
    standard = (noisy - sde.mu) / sde.lam
    return sde.mu + sde.lam * prediction.clean(output, standard, signal, noise)


def denoiser(
    network: Network,
    sde: SDE,
    prediction: Prediction,
    *,
    clip: tuple[float, float] | None = None,
) -> Denoiser:
    """Wrap a raw network so that it returns the clean signal.

    Args:
        network: Called with the state as it is and its time, repeated to shape (B,), float32.
        sde: The process the network was trained on.
        prediction: ``EPS``, ``V`` or ``X0``.
        clip: Range that the clean estimate is held to, in the state's units.
    """

    def denoise(noisy: Tensor, time: float) -> Tensor:
        times = torch.full(noisy.shape[:1], time, dtype=torch.float32, device=noisy.device)
        clean = estimate_clean(network(noisy, times), noisy, time, sde, prediction)
        return clean if clip is None else clean.clamp(*clip)

    return denoise
