"""Figures of a report, each a drawing that lies inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ultrares.benchmark.cases import Bytes
from ultrares.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by most kinds of colour vision (Okabe and Ito, 2008)."""
MARKERS = "osD^v<>PX*hd"
DASHES = ("-", "--", "-.", ":")
CHANNELS = ("red", "green", "blue")

Points = Sequence[tuple[float, float]]


def check_can_draw() -> None:
    """Refuse to begin what could not be reported in the end.

    Raises:
        MissingExtraError: A package that reports need is not installed.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib as mpl  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"a report needs {error.name}: pip install 'ultrares[report]'"
        ) from error


def curves(lines: Mapping[str, Points], ylabel: str) -> str:
    """Figures over the scale, one line a method, as a data URI."""
    figure, axes = _figure(7.2, 3.6)
    for number, (label, points) in enumerate(lines.items()):
        axes.plot(*zip(*points, strict=True), label=label, **_style(number))
    ticks = sorted({scale for points in lines.values() for scale, _ in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"x{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="scale", ylabel=ylabel)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=7, frameon=False)
    return _as_uri(figure)


def bars(values: Mapping[str, float], xlabel: str) -> str:
    """One bar a name, as a data URI."""
    figure, axes = _figure(7.2, 0.8 + 0.3 * len(values))
    drawn = axes.barh(list(values), list(values.values()), color=COLOURS[0])
    axes.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(xlabel=xlabel)
    return _as_uri(figure)


def distributions(images: Mapping[str, Bytes]) -> str:
    """How often each value occurs in each channel, one line an image, as a data URI."""
    import numpy as np

    figure, axes = _figure(10, 3.0, columns=3)
    for channel, axis in enumerate(axes):
        for number, (label, image) in enumerate(images.items()):
            counts = np.bincount(image[channel].ravel(), minlength=256) / image[channel].size
            # Bins of four values: single ones are mostly noise.
            shares = counts.reshape(64, 4).sum(axis=1)
            style = _style(number) | {"marker": "", "linewidth": 2 if number == 0 else 1}
            axis.plot(np.arange(2, 256, 4), shares, label=label if channel == 0 else None, **style)
        axis.set(title=CHANNELS[channel], xlabel="value")
    axes[0].set(ylabel="share of pixels")
    figure.legend(loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    return _as_uri(figure)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes: Axes | Any = figure.subplots(1, columns)
    return figure, axes


def _style(number: int) -> dict[str, Any]:
    """Colour, marker and dashes, no two methods the same."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
        "markersize": 4,
    }


def _as_uri(figure: Figure) -> str:
    text = io.BytesIO()
    # Without a date, so that the same figures give the same page.
    figure.savefig(text, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(text.getvalue()).decode()
