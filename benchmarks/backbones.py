"""The papers' systems in their small preset: each alone against bicubic, and inside WaveDiffUR against itself.

**Alone**, at x2 and x4, on tiles of `naip/val` 2020, reduced by the sensor model and rounded. A system that
was trained for the mean of what is possible (RefVAE) is judged by PSNR, one that was trained to look real or that
draws (GAN, diffusion, LAR-SR) by LPIPS; `yes` says that it is better than bicubic. A system that draws, draws once,
with seed 0: a draw of the true distribution has 3 dB less PSNR than the mean of all, for its error is that of the
mean and a deviation as large.

**Inside**, at x4, x16 and x64 (the papers give 64 x 64 pixels; here they are as many as make `--side` pixels, at most 64):

- `one step`: bicubic to a quarter of the scale, then the system's own x4: what the papers call the system at that scale;
- `held`: the same, and then held to the input by back-projection, which tells its share from the cascade's;
- `cascade`: the system's x2 again and again, held to the input at each level, as `ultrares upscale --model NAME` does.

Cells say PSNR in dB / LPIPS. The paper's direction is that the cascade is better than one step; both figures say for
themselves whether it is, with the difference. x4 is measured on tiles of `naip/val`, x16 and x64 on squares of larger
imagery, whose truth is true: assembled tiles first, then scenes of other sensors.

Seconds are of processor time, after a first call on a small image that does not count. A system without weights
gets a row that says how to have them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import typer
from cases import cases
from imagery import command, data_folder, header, row
from large_scenes import enlarged, large_pairs
from torch import Tensor

import ultrares
from ultrares.api import Model
from ultrares.backbones.systems import SYSTEMS
from ultrares.catalogue import load_saved, locate
from ultrares.errors import ModelError, OptionError
from ultrares.methods.fitting import fitted
from ultrares.methods.plugged import plugged
from ultrares.metrics.fidelity import psnr
from ultrares.metrics.lpips import Lpips
from ultrares.metrics.ssim import ssim
from ultrares.types import Backbone

Pair = tuple[np.ndarray, np.ndarray]
Enlarge = Callable[[np.ndarray], np.ndarray]
"""Unsigned bytes (3, h, w) to those of the truth's size."""

JUDGED: dict[str, Literal["PSNR", "LPIPS"]] = {
    "sr3": "LPIPS",
    "ir-sde": "LPIPS",
    "ediffsr": "LPIPS",
    "lwtdm": "LPIPS",
    "esrgan-dp": "LPIPS",
    "le-gan": "LPIPS",
    "ref-vae": "PSNR",
    "lar-sr": "LPIPS",  # around a regression, but what it answers with is a draw
}
"""What a system was made to be good at."""

LARGEST_INPUT, WARM = 64, 16


class Figures(NamedTuple):
    """Means over images."""

    psnr: float
    ssim: float
    lpips: float
    seconds_per_megapixel: float

    def briefly(self) -> str:
        """The two that are judged by."""
        return f"{self.psnr:.2f} / {self.lpips:.3f}"


@dataclass(frozen=True)
class Bench:
    """What everything is measured with."""

    lpips: Lpips
    sensor: str

    def figures(self, method: Enlarge, pairs: Sequence[Pair]) -> Figures:
        """Run a method on every pair."""
        coarse, _ = pairs[0]
        method(coarse[:, :WARM, :WARM])
        found = []
        for coarse, truth in pairs:
            start = time.process_time()
            fine = method(coarse)
            seconds = time.process_time() - start
            quality = psnr(fine, truth), ssim(fine, truth), self.lpips(fine, truth)
            found.append((*quality, seconds / (truth[0].size / 1e6)))
        return Figures(*(float(value) for value in np.mean(found, axis=0)))


@dataclass(frozen=True)
class Ways:
    """One system with weights, and the ways it is asked for an image."""

    kind: str
    backbone: Backbone
    sensor: str

    def alone(self, scale: int) -> Enlarge:
        """One native call, after bicubic to where the largest one begins."""
        native = scale if scale in self.backbone.scales else max(self.backbone.scales)

        def method(coarse: np.ndarray) -> np.ndarray:
            image = torch.from_numpy(enlarged(coarse, scale // native))[None] / 255
            with torch.inference_mode():
                fine = fitted(image, self.backbone.size_rule, native, self._call(native))
            return (fine[0] * 255).round().clamp(0, 255).byte().numpy()

        return method

    def held(self, scale: int) -> Enlarge:
        """The product's one step, whose result is held to the input."""
        model = Model(plugged([self.backbone], name=self.kind), one_step=True)
        return lambda coarse: model.upscale(coarse, scale=scale, sensor=self.sensor)

    def cascade(self, scale: int) -> Enlarge:
        """The product as it is."""
        model = ultrares.load(folder_of(self.kind))
        return lambda coarse: model.upscale(coarse, scale=scale, sensor=self.sensor)

    def _call(self, scale: int) -> Callable[[Tensor], Tensor]:
        return lambda image: self.backbone(image, scale=scale)


DIRECTORY: list[Path] = []
"""Where ``--models`` says that models are; empty for where names lead."""


def folder_of(kind: str) -> Path:
    """A system's model: DIR/kind, DIR/kind/model as runs leave it, or by its name.

    Raises:
        ModelError: There is none.
    """
    for directory in DIRECTORY:
        for folder in (directory / kind, directory / kind / "model"):
            if (folder / "config.json").is_file():
                return folder
        raise ModelError(f"no weights in {directory / kind} nor in its folder model")
    return locate(kind)


def ways_of(kind: str, sensor: str) -> Ways | str:
    """A system that is ready, or the sentence why it is not."""
    try:
        saved = load_saved(folder_of(kind), precision="auto", device="cpu")
    except ModelError as error:
        return str(error)
    return Ways(kind, saved.solvers[0].backbone, sensor)


def bicubic(scale: int) -> Enlarge:
    """The floor of every figure."""
    return lambda coarse: enlarged(coarse, scale).round().clip(0, 255).astype(np.uint8)


def verdict(gain: float, digits: int, unit: str) -> str:
    """A gain and whether it is one."""
    return f"{'yes' if gain > 0 else 'no'} ({gain:+.{digits}f}{unit})"


def gain_of(figure: str, figures: Figures, than: Figures) -> str:
    """How much better some figures are in one of them."""
    if figure == "PSNR":
        return verdict(figures.psnr - than.psnr, 2, " dB")
    return verdict(than.lpips - figures.lpips, 3, "")


def print_alone(
    systems: dict[str, Ways | str], bench: Bench, scales: Sequence[int], limit: int
) -> None:
    """Print the table of systems by themselves."""
    print(f"\n### Alone\n\n{limit} tiles of naip/val, sensor {bench.sensor}\n")
    header(
        "system", "scale", "PSNR dB", "SSIM", "LPIPS", "CPU s / MPix",
        "judged by", "better by PSNR", "better by LPIPS",
    )  # fmt: skip
    for scale in scales:
        pairs = [(case.coarse, case.truth) for case in cases(scale, bench.sensor, limit)]
        floor = bench.figures(bicubic(scale), pairs)
        row("bicubic", f"x{scale}", *_cells(floor), *[""] * 3)
        for kind, ways in systems.items():
            if isinstance(ways, str):
                row(kind, f"x{scale}", ways, *[""] * 6)
                continue
            found = bench.figures(ways.alone(scale), pairs)
            gains = (gain_of(figure, found, floor) for figure in ("PSNR", "LPIPS"))
            row(kind, f"x{scale}", *_cells(found), JUDGED[kind], *gains)


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.psnr:.2f}",
        f"{figures.ssim:.4f}",
        f"{figures.lpips:.3f}",
        f"{figures.seconds_per_megapixel:.1f}",
    )


def print_inside(
    systems: dict[str, Ways | str], bench: Bench, scale: int, pairs: Sequence[Pair]
) -> None:
    """Print the table of a scale: each system in one step and in a cascade."""
    (_, height, width), out = pairs[0][0].shape, pairs[0][1].shape[-1]
    print(
        f"\n### Inside WaveDiffUR, x{scale}\n\n{len(pairs)} images, {height} x {width} to {out} x {out}, "
        f"sensor {bench.sensor}; PSNR dB / LPIPS\n"
    )
    header(
        "system", "bicubic", "one step", "held", "cascade",
        "cascade better by PSNR", "cascade better by LPIPS", "CPU s / MPix",
    )  # fmt: skip
    floor = bench.figures(bicubic(scale), pairs)
    for kind, ways in systems.items():
        if isinstance(ways, str):
            row(kind, floor.briefly(), ways, *[""] * 5)
            continue
        made = (ways.alone(scale), ways.held(scale), ways.cascade(scale))
        one, held, cascade = (bench.figures(method, pairs) for method in made)
        row(
            kind,
            *(figures.briefly() for figures in (floor, one, held, cascade)),
            gain_of("PSNR", cascade, one),
            gain_of("LPIPS", cascade, one),
            f"{cascade.seconds_per_megapixel:.1f}",
        )


def inside_pairs(
    scale: int, sensor: str, tiles: int, scenes: int, side: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the systems are compared on inside: tiles where they suffice, else parts of larger images."""
    if LARGEST_INPUT * scale <= 256:
        return [(case.coarse, case.truth) for case in cases(scale, sensor, tiles)]
    fitting = min(LARGEST_INPUT * scale, side) // scale * scale
    if fitting < scale:
        raise OptionError(f"side {side} is less than one pixel at x{scale}: pass {scale} or more")
    return large_pairs(scale, fitting, sensor, scenes)


def chosen(names: str | None) -> list[str]:
    """The systems of a comma-separated list, or all.

    Raises:
        OptionError: There is no such system.
    """
    wanted = list(SYSTEMS) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in SYSTEMS:
            raise OptionError(f"no system {name!r}: choose of {', '.join(SYSTEMS)}")
    return wanted


def main(
    systems: Annotated[
        str | None, typer.Option(help="Systems, separated by commas; all if not given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many tiles of naip/val.")] = 2,
    scenes: Annotated[int, typer.Option(min=1, max=4, help="How many images at x16 and x64.")] = 1,
    side: Annotated[int, typer.Option(help="Their pixels along a side, at most 2048.")] = 512,
    scales: Annotated[
        str, typer.Option(help="Scales inside, separated by commas; '' for none.")
    ] = "4,16,64",
    models: Annotated[
        Path | None, typer.Option(help="Folder of the models; without it by name.")
    ] = None,
    sensor: Annotated[str, typer.Option(help="Sensor model of input and result.")] = "bicubic",
) -> None:
    """Print what each system reaches alone, and what the cascade makes of it."""
    DIRECTORY[:] = [] if models is None else [models]
    ready = {kind: ways_of(kind, sensor) for kind in chosen(systems)}
    bench = Bench(Lpips(data_folder("metrics")), sensor)
    print_alone(ready, bench, (2, 4), limit)
    for scale in (int(text) for text in scales.split(",") if text):
        print_inside(ready, bench, scale, inside_pairs(scale, sensor, limit, scenes, side))


if __name__ == "__main__":
    command(main)
