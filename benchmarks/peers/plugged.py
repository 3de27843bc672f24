"""A peer as the backbone of WaveDiffUR: the paper's first promise, with nets that are not ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ultrares.methods.cascade import chain
from ultrares.methods.place import Solve
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.sensor.models import SensorModel
from ultrares.types import SizeRule, Upscaler


class Plugged:
    """One net for each native scale, as a backbone.

    Args:
        nets: (B, 3, h, w) in [0, 1] to (B, 3, k * h, k * w), by k.
        halo: Pixels of context to give them.
        name: What it is called.
    """

    bands: int | None = 3
    size_rule = SizeRule()
    stochastic = False

    def __init__(
        self, nets: Mapping[int, Callable[[Tensor], Tensor]], *, halo: int, name: str
    ) -> None:
        self._nets = nets
        self.scales = tuple(nets)
        self.halo = halo
        self.name = name

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,  # noqa: ARG002
        depth: int = 0,  # noqa: ARG002
    ) -> Tensor:
        """Return the image ``scale`` times finer; what the nets were trained on does not vary."""
        return self._nets[scale](image.clamp(0, 1))


def levels(backbone: Plugged, steps: list[int], sensor: SensorModel) -> list[Upscaler]:
    """The cascade of Algorithm 1 around a peer, in its native steps."""
    return list(chain([WaveDiffUR(backbone, scale=step) for step in steps], Solve(), sensor))
