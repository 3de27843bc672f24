"""Anybody's super-resolver as a backbone: ``ultrares.Backbone.wrap(net, scales=(4,), halo=16)``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ultrares.errors import ModelError
from ultrares.types import NoiseAt, SizeRule

Net = Callable[..., Tensor]
"""A super-resolver: an image (B, C, h, w) in its own value range in, the finer one out."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network behind the contract of :class:`ultrares.types.Backbone`; made by :meth:`wrap`.

    A class of one's own that fulfils the contract need not derive from this one.

    Attributes:
        nets: The network of each scale.
        name: How it is called in models and tables.
        bands: The number of bands it takes, or None for any.
        halo: Input pixels of context that it is given.
        local: Whether no pixel beyond the halo has any influence.
        size_rule: Sides that it accepts.
        value_range: What black and full scale are in its own units.
        autocast: Whether it computes in bfloat16 where torch does so by itself.
        licence: Of its weights, in words.
        trained_on: Data that it was trained on, in words.
        stochastic: Whether two calls may differ; never.
    """

    nets: Mapping[int, Net]
    name: str
    bands: int | None
    halo: int
    local: bool = True
    size_rule: SizeRule = field(default_factory=SizeRule)
    value_range: tuple[float, float] = (0.0, 1.0)
    autocast: bool = False
    licence: str | None = None
    trained_on: str | None = None
    stochastic: bool = False

    @classmethod
    def wrap(  # noqa: PLR0913 - each is a property of the network that only its owner knows
        cls,
        net: Net | Mapping[int, Net],
        *,
        halo: int,
        scales: Sequence[int] = (4,),
        bands: int | None = 3,
        value_range: tuple[float, float] = (0.0, 1.0),
        size_rule: SizeRule | None = None,
        local: bool = True,
        name: str | None = None,
        licence: str | None = None,
        trained_on: str | None = None,
        autocast: bool = False,
    ) -> Backbone:
        """Make a backbone of a network; modules are put into evaluation mode.

        Args:
            net: A module or any callable: an image (B, bands, h, w) in ``value_range`` in, the finer image
                out. With several ``scales`` it is called with the scale as its second argument. A mapping
                holds a network for each scale instead, and then ``scales`` is not looked at.
            halo: Input pixels of context that a result depends on: the radius of the receptive field.
            scales: The factors it enlarges by.
            bands: The number of bands it takes; None for any. Scenes of other numbers are shown to it in
                groups.
            value_range: What black and full scale are in its units, such as (0, 255) or (-1, 1).
            size_rule: Sides that it accepts; images of other sides are mirrored at their edges.
            local: Say False if pixels beyond the halo have a little influence (attention over the whole
                image, say): then cells of 256 pixels may differ a little where they meet.
            name: How it is called; by default as its class.
            licence: Of its weights.
            trained_on: Data that it was trained on.
            autocast: Compute in bfloat16 where torch does so by itself: faster, with 8 bits of precision.

        Raises:
            ModelError: A property has a value that makes no sense.
        """
        nets = _by_scale(net, scales)
        for each in nets.values():
            _freeze(each)
        backbone = cls(
            nets=nets,
            name=name or _name_of(net),
            bands=bands,
            halo=halo,
            local=local,
            size_rule=size_rule or SizeRule(),
            value_range=value_range,
            autocast=autocast,
            licence=licence,
            trained_on=trained_on,
        )
        _check(backbone)
        return backbone

    @property
    def scales(self) -> tuple[int, ...]:
        """The factors it can enlarge by."""
        return tuple(self.nets)

    @property
    def parameters(self) -> int | None:
        """Number of weights; None if its networks do not tell."""
        modules = {id(module): module for module in map(_module_of, self.nets.values()) if module}
        if not modules:
            return None
        return sum(p.numel() for module in modules.values() for p in module.parameters())

    def to(self, device: str) -> Backbone:
        """The same backbone with its networks on a device; plain callables stay where they are."""
        return replace(self, nets={scale: _moved(net, device) for scale, net in self.nets.items()})

    def __call__(
        self,
        image: Tensor,
        *,
        scale: int = 2,
        mtf: float = 0.5,
        depth: int = 0,
        noise: NoiseAt | None = None,
    ) -> Tensor:
        """Return ``image`` (B, C, h, w) in [0, 1] ``scale`` times finer; sensor and depth make no difference.

        Raises:
            ModelError: The image or what the network makes of it has another shape than was promised.
        """
        del mtf, depth, noise
        if scale not in self.nets:
            raise ModelError(f"backbone {self.name!r} is not made for x{scale}: has {self._has}")
        if self.bands not in (None, image.shape[1]):
            raise ModelError(
                f"backbone {self.name!r} takes {self.bands} bands, but got {image.shape[1]}"
            )
        low, high = self.value_range
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.autocast):
            fine: Any = self.nets[scale](low + (high - low) * image.clamp(0, 1))
        rows, cols = image.shape[-2:]
        expected = (*image.shape[:2], scale * rows, scale * cols)
        found = tuple(fine.shape) if isinstance(fine, Tensor) else type(fine).__name__
        if found != expected:
            raise ModelError(
                f"backbone {self.name!r} made {found} of {tuple(image.shape)}, but x{scale} is "
                f"{expected}: say its true scales and bands"
            )
        return (fine.float() - low) / (high - low)

    @property
    def _has(self) -> str:
        return ", ".join(f"x{scale}" for scale in self.nets)


def _freeze(net: Net) -> None:
    """Make the module behind a network, if there is one, ready to be used."""
    module = _module_of(net)
    if module is not None:
        module.eval()
        # Modules of TorchScript have no shorter way.
        for parameter in module.parameters():
            parameter.requires_grad = False


def _by_scale(net: Net | Mapping[int, Net], scales: Sequence[int]) -> dict[int, Net]:
    """The network of each scale, the scales in order."""
    if isinstance(net, Mapping):
        return dict(sorted(net.items()))
    if len(scales) == 1:
        return {scales[0]: net}
    return {scale: partial(_with_scale, net, scale) for scale in sorted(scales)}


def _with_scale(net: Net, scale: int, image: Tensor) -> Tensor:
    return net(image, scale)


def _check(backbone: Backbone) -> None:
    """Refuse properties that make no sense.

    Raises:
        ModelError: One does not.
    """
    low, high = backbone.value_range
    rule = backbone.size_rule
    wrong = {
        "scales are whole numbers of 2 or more, at least one": not backbone.nets
        or not all(_is_whole(scale, 2) for scale in backbone.nets),
        "halo is a whole number of 0 or more": not _is_whole(backbone.halo, 0),
        "bands is a whole number of 1 or more, or None": backbone.bands is not None
        and not _is_whole(backbone.bands, 1),
        "value_range is (black, full scale), two finite numbers, the smaller first": not (
            low < high and math.isfinite(low) and math.isfinite(high)
        ),
        "size_rule counts whole pixels from 1": not (
            _is_whole(rule.minimum, 1) and _is_whole(rule.multiple_of, 1)
        ),
    }
    for sentence, applies in wrong.items():
        if applies:
            raise ModelError(f"backbone {backbone.name!r} cannot be wrapped: {sentence}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _name_of(net: Net | Mapping[int, Net]) -> str:
    first: Any = next(iter(net.values()), net) if isinstance(net, Mapping) else net
    return str(getattr(first, "__name__", type(first).__name__))


def _module_of(net: Any) -> nn.Module | None:
    """The module behind a network, if it is one, or a method or partial call of one."""
    if isinstance(net, partial):
        net = net.args[0] if net.func is _with_scale else net.func
    net = getattr(net, "__self__", net)
    held = net if isinstance(net, nn.Module) else getattr(net, "model", None)
    return held if isinstance(held, nn.Module) else None


def _moved(net: Any, device: str) -> Any:
    """The network on a device."""
    if isinstance(net, partial) or hasattr(net, "__self__"):
        # The module behind a call is moved in place, as torch does it.
        module = _module_of(net)
        if module is not None:
            module.to(device)
        return net
    return net.to(device) if hasattr(net, "to") else net
