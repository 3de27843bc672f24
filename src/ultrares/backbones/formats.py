"""Which files may hold somebody else's network; nothing is opened here, and no torch is needed."""

from __future__ import annotations

from pathlib import Path

FORMATS = {
    ".pth": "a state dict",
    ".pt": "a state dict or TorchScript",
    ".ckpt": "a state dict",
    ".safetensors": "a state dict",
    ".ts": "TorchScript",
    ".onnx": "ONNX",
}
"""What a file's suffix says it holds."""

FOLDER_CARD = "card.toml"
"""What makes a folder a family of networks, one for each scale."""


def is_foreign(path: str | Path) -> bool:
    """Whether a path means somebody else's network: a file by its suffix, a folder by its card."""
    path = Path(path)
    return path.suffix.lower() in FORMATS or (path / FOLDER_CARD).is_file()
