"""Somebody else's networks, small and with random weights that matter everywhere."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

CARD = """\
scale = 2
bands = 3
value_range = [0, 255]
halo = 3
size_rule = { multiple_of = 4, minimum = 8 }
"""


class TinyNet(nn.Module):
    """Two convolutions and a pixel shuffle; it computes in [0, 255] and takes sides that are multiples of 4."""

    def __init__(self, scale: int = 2, bands: int = 3) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(bands, 8, 5, padding=2)
        self.last = nn.Conv2d(8, bands * scale**2, 3, padding=1)
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)

    def forward(self, image: Tensor) -> Tensor:
        """Nearest neighbours plus a little of what the convolutions make."""
        assert image.shape[-2] % 4 == 0
        assert image.shape[-1] % 4 == 0
        detail = nn.functional.pixel_shuffle(self.last(torch.relu(self.first(image))), self.scale)
        return nn.functional.interpolate(image, scale_factor=float(self.scale)) + 0.2 * detail


def torchscript_file(folder: Path, card: str = CARD) -> Path:
    """A tiny network as TorchScript, and its card."""
    path = folder / "tiny_ts.ts"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(TinyNet())
        torch.jit.save(scripted, str(path))
    path.with_suffix(".card.toml").write_text(card)
    return path


def onnx_file(folder: Path, card: str = CARD) -> Path:
    """The same network as an ONNX graph, node by node, and its card."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, to_array = onnx.helper, onnx.numpy_helper.from_array
    net = TinyNet()
    weights = {f"{key}": value.numpy() for key, value in net.state_dict().items()}
    weights["gain"] = torch.tensor(0.2).numpy()
    weights["scales"] = torch.tensor([1.0, 1.0, 2.0, 2.0]).numpy()
    nodes = [
        helper.make_node("Conv", ["image", "first.weight", "first.bias"], ["a"], pads=[2] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "last.weight", "last.bias"], ["c"], pads=[1] * 4),
        helper.make_node("DepthToSpace", ["c"], ["d"], blocksize=2, mode="CRD"),
        helper.make_node("Mul", ["d", "gain"], ["e"]),
        helper.make_node(
            "Resize",
            ["image", "", "scales"],
            ["f"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Add", ["e", "f"], ["fine"]),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", floats, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("fine", floats, ["b", 3, "H", "W"])],
        [to_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "tiny_onnx.onnx"
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".card.toml").write_text(card)
    return path


def spandrel_file(folder: Path, scale: int = 2) -> Path:
    """A published architecture (SRVGGNetCompact) with random weights, as safetensors."""
    pytest.importorskip("spandrel")
    from safetensors.torch import save_file

    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8)]
    layers += [nn.Conv2d(8, 8, 3, padding=1), nn.PReLU(8), nn.Conv2d(8, 3 * scale**2, 3, padding=1)]
    body = nn.Sequential(*layers)
    generator = torch.Generator().manual_seed(4)
    for parameter in body.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    path = folder / f"compact_x{scale}.safetensors"
    save_file({f"body.{key}": value for key, value in body.state_dict().items()}, path)
    path.with_suffix(".card.toml").write_text("halo = 3\nlocal = true\n")
    return path
