"""The weights that a stage starts from: fresh ones, or those of a model to fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from ultrares.api import locate
from ultrares.catalogue import manifest_of
from ultrares.errors import ModelError
from ultrares.methods.manifest import Manifest, Role
from ultrares.methods.saved import read_weights
from ultrares.methods.weights import load_weights, weights_of

AnyRole = Role | Literal["operator", "features"]
"""What a network is for, those of NeurOp-Diff included."""


def _saved_weights(name: str, role: AnyRole) -> dict[str, Tensor]:
    """One network of a saved model in single precision, of the first weight set; none if it has none.

    Raises:
        ModelError: There is no such model, or its weights are missing or corrupt.
    """
    folder = locate(name)
    manifest = manifest_of(folder)
    if isinstance(manifest, Manifest):
        return read_weights(folder, manifest, role)
    return weights_of(load_weights(folder, manifest.sha256), f"0.{role}.")


def start_encoder_from(encoder: nn.Module, name: str | None) -> None:
    """Fill an operator's encoder with the first layers of a saved model's backbone, which are built alike.

    Args:
        encoder: Updated in place; left alone if there is no name.
        name: A name from ``ultrares models``, a folder or a hub id.

    Raises:
        ModelError: There is no such model, or its backbone is not of the encoder's size.
    """
    if name is None:
        return
    saved = _saved_weights(name, "backbone")
    own = encoder.state_dict()
    if not own.keys() <= saved.keys() or any(own[key].shape != saved[key].shape for key in own):
        raise ModelError(
            f"encoder_from {name!r}: its backbone is not of the encoder's size: give net the features, blocks "
            f"and told that `ultrares info {name}` shows, or leave encoder_from out"
        )
    encoder.load_state_dict({key: saved[key] for key in own})


def start_from(
    net: nn.Module, role: AnyRole, name: str | None, *, fresh: tuple[str, ...] = ()
) -> None:
    """Fill a network with the weights of a saved model; of several weight sets, the first.

    Args:
        net: Updated in place; left alone if there is no name.
        role: Which network of the model.
        name: A name from ``ultrares models``, a folder or a hub id; None to keep fresh weights.
        fresh: Beginnings of names of weights that stay fresh where the model has none of that name.

    Raises:
        ModelError: There is no such model, or its network is not of the size that the recipe says.
    """
    if name is None:
        return
    saved = _saved_weights(name, role)
    if not saved:
        raise ModelError(
            f"start_from {name!r}: this model has no {role} with weights to start from; "
            f"remove start_from from the {role} of the recipe"
        )
    misfit = start_with(net, saved, fresh=fresh)
    if misfit is not None:
        raise ModelError(
            f"start_from {name!r}: its {role} is of another size than net in the recipe ({misfit}): give net the "
            f"sizes that `ultrares info {name}` shows"
        )


def start_with(
    net: nn.Module, saved: Mapping[str, Tensor], *, fresh: tuple[str, ...] = ()
) -> str | None:
    """Fill a network with weights by their names.

    Args:
        net: Updated in place, if they fit.
        saved: The weights.
        fresh: As for :func:`start_from`.

    Returns:
        What does not fit, in words; None if all does.
    """
    own = net.state_dict()
    filled = {}
    for key in sorted(own.keys() | saved.keys()):
        here, there = own.get(key), saved.get(key)
        if here is not None and there is not None and here.shape == there.shape:
            filled[key] = there
        elif here is not None and there is None and key.startswith(fresh):
            filled[key] = here
        else:
            sizes = [
                "nothing" if value is None else " x ".join(map(str, value.shape))
                for value in (there, here)
            ]
            return f"{key} is {sizes[0]} there and {sizes[1]} here"
    net.load_state_dict(filled)
    return None
