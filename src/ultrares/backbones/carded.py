"""A network and its card as a backbone."""

from __future__ import annotations

from pathlib import Path

from ultrares.backbones.card import Card
from ultrares.backbones.wrap import Backbone, Net


def carded(net: Net, card: Card, path: Path, *, autocast: bool = False) -> Backbone:
    """Wrap a network as its card says.

    Raises:
        ModelError: The card makes no sense.
    """
    return Backbone.wrap(
        net,
        scales=(card.scale,),
        bands=None if card.bands == "any" else card.bands,
        value_range=card.value_range,
        halo=card.halo,
        local=card.local,
        size_rule=card.size_rule.rule(),
        name=card.name or path.stem,
        licence=card.licence,
        trained_on=card.trained_on,
        autocast=autocast,
    )
