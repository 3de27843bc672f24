"""Read the convolutions of a net that was saved for ncnn.

A net is two files. The ``.param`` text has a magic number, a line of counts, and a line a layer: kind, name,
numbers of inputs and outputs, their names, then ``key=value`` settings. The ``.bin`` holds the weights of the
layers in that order and nothing between them. A convolution's weights begin with a flag of four bytes, which
says how they are stored, and end on a multiple of four bytes; its bias follows as float32, without a flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

MAGIC = "7767517"
FLOAT32, FLOAT16 = 0x00000000, 0x01306B47
WEIGHTLESS = {"Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp"}
OUTPUTS, SIDE, HAS_BIAS, WEIGHTS = "0", "1", "5", "6"


class Convolution(NamedTuple):
    """The weights of one layer, as torch lays them out."""

    name: str
    weight: Tensor
    bias: Tensor


def convolutions(param: Path, binary: Path) -> list[Convolution]:
    """All convolutions of a net, in the order of the file.

    Raises:
        ValueError: The files hold something that is not read here, or do not fit each other.
    """
    data = binary.read_bytes()
    place = 0
    found = []
    for name, settings in _layers(param):
        shape = _shape(settings)
        weight, place = _flagged(data, place, int(settings[WEIGHTS]))
        bias = np.zeros(shape[0], dtype=np.float32)
        if settings.get(HAS_BIAS) == "1":
            bias = np.frombuffer(data, "<f4", shape[0], place)
            place += bias.nbytes
        found.append(Convolution(name, torch.from_numpy(weight.reshape(shape)), torch.tensor(bias)))
    if place != len(data):
        raise ValueError(f"{binary} has {len(data)} bytes; {param} accounts for {place}")
    return found


def _layers(param: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Names and settings of the convolutions."""
    magic, _, *lines = param.read_text(encoding="utf-8").splitlines()
    if magic.strip() != MAGIC:
        raise ValueError(f"{param} is no ncnn net")
    for line in lines:
        kind, name, inputs, outputs, *rest = line.split()
        if kind == "Convolution":
            settings = rest[int(inputs) + int(outputs) :]
            yield name, dict(setting.split("=", 1) for setting in settings)
        elif kind not in WEIGHTLESS:
            raise ValueError(f"{param} has a layer {name} of kind {kind}, which is not read here")


def _shape(settings: dict[str, str]) -> tuple[int, int, int, int]:
    outputs, side = int(settings[OUTPUTS]), int(settings[SIDE])
    return outputs, int(settings[WEIGHTS]) // (outputs * side**2), side, side


def _flagged(data: bytes, place: int, count: int) -> tuple[np.ndarray, int]:
    """Numbers that begin with a flag, as float32, and the place after them."""
    flag = int.from_bytes(data[place : place + 4], "little")
    place += 4
    if flag == FLOAT32:
        return np.frombuffer(data, "<f4", count, place).copy(), place + 4 * count
    if flag == FLOAT16:
        values = np.frombuffer(data, "<f2", count, place).astype(np.float32)
        return values, place + (2 * count + 3) // 4 * 4
    raise ValueError(f"weights at byte {place - 4} are stored as {flag:#010x}, which is not read")
