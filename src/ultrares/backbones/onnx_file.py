"""ONNX files: a network as a graph of standard operators, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ultrares.backbones.card import Card
from ultrares.backbones.carded import carded
from ultrares.backbones.plugin import Plugin, needed
from ultrares.errors import ModelError


class OnnxNet:
    """A graph with one image in and one image out.

    It computes on the CPU wherever the image is, in the number of threads that torch uses.

    Args:
        session: onnxruntime's.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        (self._input,) = session.get_inputs()

    def __call__(self, image: Tensor) -> Tensor:
        """Return what the graph makes of an image (B, C, h, w).

        Raises:
            RuntimeError: It cannot take the image.
        """
        half = self._input.type == "tensor(float16)"
        array = image.to("cpu", torch.float16 if half else torch.float32).contiguous().numpy()
        try:
            (fine,) = self._session.run(None, {self._input.name: array})
        except Exception as error:
            # onnxruntime's errors share no class of their own.
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(fine).to(image.device)


def load_onnx(path: Path, card: Card) -> Plugin:
    """Read an ONNX network.

    Args:
        path: The graph.
        card: What it does not tell.

    Raises:
        ModelError: The file is no ONNX graph, or not one from an image to an image.
        MissingExtraError: onnxruntime is not installed.
    """
    onnxruntime = needed("onnxruntime", path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Errors only: warnings about graphs are for those who export them.
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error.strerror}") from error
    except Exception as error:
        # onnxruntime's errors share no class of their own.
        reason = str(error).splitlines()[0]
        raise ModelError(f"model file {path} is no readable ONNX graph: {reason}") from error
    counts = len(session.get_inputs()), len(session.get_outputs())
    if counts != (1, 1):
        raise ModelError(
            f"model file {path} has {counts[0]} inputs and {counts[1]} outputs; "
            "a backbone has one image in and one image out"
        )
    return Plugin(carded(OnnxNet(session), card, path), "ONNX")
