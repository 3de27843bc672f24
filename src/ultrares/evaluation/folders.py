"""Folders of results against folders of truths, image by image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ultrares.errors import InputError
from ultrares.evaluation.rasters import evaluate_rasters
from ultrares.evaluation.request import Request
from ultrares.evaluation.table import Row, Table
from ultrares.metrics.definitions import DEFINITIONS, define
from ultrares.metrics.scores import plain
from ultrares.metrics.suite import check_names

ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".vrt")
SETS = ("fid", "kid")
"""Metrics of whole sets of images."""

_LEADERS = {"ag_true": "ag", "ag_ratio": "ag", "ag_difference": "ag", "effective_pixel": "mtf50"}
_LEADERS |= {"niqe_true": "niqe"}

Progress = Callable[[int, int], None]


class Trio(NamedTuple):
    """The files of one image.

    Attributes:
        name: Their common stem.
        estimate: The result.
        truth: The truth.
        coarse: What the result was made from, if there is a folder of it.
    """

    name: str
    estimate: Path
    truth: Path
    coarse: Path | None

    @property
    def stamp(self) -> str:
        """Sizes and times of the files."""
        files = [file for file in (self.estimate, self.truth, self.coarse) if file is not None]
        states = [file.stat() for file in files]
        return " ".join(f"{state.st_size}-{state.st_mtime_ns}" for state in states)


@dataclass(frozen=True)
class FolderScores:
    """The figures of a folder of images.

    Attributes:
        rows: Those of each image.
        means: Over the images where a figure is defined.
        counts: Number of those images, by name.
        sets: Distances of the whole sets, their names with the extractor.
        definitions: How each figure was computed.
        notes: What a reader of the figures should know.
    """

    rows: tuple[Row, ...]
    means: dict[str, float]
    counts: dict[str, int]
    sets: dict[str, float] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why images have no figures, a sentence each."""
        return tuple(f"{row.name}: {row.problem}" for row in self.rows if row.problem)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON knows."""
        return {
            "mean": {name: plain(value) for name, value in self.means.items()},
            "images": self.counts,
            "sets": {name: plain(value) for name, value in self.sets.items()},
            "rows": [
                {
                    "name": row.name,
                    "scores": {name: plain(value) for name, value in row.values.items()},
                    "pixels": row.pixels,
                    "notes": row.notes,
                    "problem": row.problem,
                }
                for row in self.rows
            ],
            "definitions": self.definitions,
            "notes": list(self.notes),
        }


def match(
    estimates: str | Path, truths: str | Path, coarse: str | Path | None = None
) -> tuple[list[Trio], list[str]]:
    """Pair the files of folders by their stems.

    Returns:
        The images in the order of their names, and notes on those that stand alone.

    Raises:
        InputError: A folder is none or is empty, a stem stands twice, or no two match.
    """
    ours, true = _by_stem(estimates), _by_stem(truths)
    below = None if coarse is None else _by_stem(coarse)
    both = sorted(ours.keys() & true.keys())
    if not both:
        raise InputError(
            f"no image of {estimates} has the name of one in {truths}: results and truths are matched "
            "by their names without endings"
        )
    notes = [
        f"{len(alone)} of {folder} without counterpart in {other}: {_listed(alone)}"
        for folder, other, alone in (
            (estimates, truths, sorted(ours.keys() - true.keys())),
            (truths, estimates, sorted(true.keys() - ours.keys())),
            (estimates, coarse, [] if below is None else sorted(set(both) - below.keys())),
        )
        if alone
    ]
    trios = [Trio(stem, ours[stem], true[stem], (below or {}).get(stem)) for stem in both]
    return trios, notes


def evaluate_folders(
    trios: Sequence[Trio],
    *,
    request: Request,
    table: str | Path | None = None,
    notes: Sequence[str] = (),
    progress: Progress | None = None,
) -> FolderScores:
    """Compare each image with its truth; one that cannot be compared does not stop the others.

    Args:
        trios: The images, of :func:`match`.
        request: The choices that figures depend on; ``fid`` and ``kid`` are not among its metrics.
        table: A CSV file that each row is appended to, and that a stopped run goes on with.
        notes: What is known already.
        progress: Called with the images done and their total.

    Raises:
        OptionError: A metric is unknown.
        OutputError: The table cannot be written, or belongs to another evaluation.
        InputError: Not one image can be compared.
    """
    if request.metrics is not None:
        check_names(request.metrics)
    columns = columns_of(request.metrics)
    kept = Table(table, columns, in_words(request))
    rows = []
    for done, trio in enumerate(trios, start=1):
        row = kept.known(trio.name, trio.stamp)
        if row is None:
            row = _compare(trio, request)
            kept.append(row)
        rows.append(row)
        if progress is not None:
            progress(done, len(trios))
    if all(row.problem for row in rows):
        raise InputError(f"{rows[0].name}: {rows[0].problem}")
    means, counts = _means(rows, columns)
    settings = _settings(request)
    definitions = {name: define(name, settings) for name in means}
    return FolderScores(tuple(rows), means, counts, definitions=definitions, notes=tuple(notes))


def columns_of(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """The figures that a table has room for; which of them an image has depends on its bands."""
    own = [name for name in DEFINITIONS if name not in SETS]
    if metrics is None:
        return tuple(own)
    return tuple(name for name in own if _LEADERS.get(name, name) in metrics)


def in_words(request: Request) -> str:
    """What figures depend on besides the files."""
    tools = request.tools
    facts = {
        "metrics": "all" if request.metrics is None else "+".join(request.metrics),
        "sensor": request.sensor,
        "peak": request.peak,
        "scale": request.scale,
        "tile": request.tile,
        "bands": None if request.bands is None else "+".join(request.bands),
        "lpips": None if tools.lpips is None else "alexnet",
        "niqe": None if tools.pristine is None else tools.pristine.name,
    }
    return " ".join(f"{name}={fact}" for name, fact in facts.items() if fact is not None)


def _compare(trio: Trio, request: Request) -> Row:
    try:
        scores = evaluate_rasters(trio.estimate, trio.truth, trio.coarse, request=request)
    except InputError as error:
        return Row(trio.name, trio.stamp, problem=str(error))
    values = {name: value for name, value in scores.values.items() if name in DEFINITIONS}
    return Row(trio.name, trio.stamp, values, scores.pixels, "; ".join(scores.notes))


def _settings(request: Request) -> dict[str, str]:
    """What the definitions depend on, where it may differ from image to image."""
    pristine = request.tools.pristine
    return {
        "peak": "255 for bytes, else the truth's range"
        if request.peak is None
        else f"{request.peak:.10g}",
        "scale": "the scale" if request.scale is None else f"{request.scale:g}",
        "sensor": request.sensor or "the sensor that the files name, else box",
        "tile": str(request.tile),
        "period": "the scale",
        "niqe": "none" if pristine is None else pristine.name,
    }


def _means(rows: Sequence[Row], columns: Sequence[str]) -> tuple[dict[str, float], dict[str, int]]:
    means, counts = {}, {}
    for name in columns:
        found = [row.values[name] for row in rows if name in row.values]
        defined = [value for value in found if not math.isnan(value)]
        if found:
            counts[name] = len(defined)
            means[name] = math.fsum(defined) / len(defined) if defined else math.nan
    return means, counts


def _by_stem(folder: str | Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in _images(Path(folder)):
        if file.stem in found:
            raise InputError(
                f"{folder} holds {found[file.stem].name} and {file.name}: names without endings must differ"
            )
        found[file.stem] = file
    if not found:
        raise InputError(f"{folder} holds no image ({', '.join(ENDINGS)})")
    return found


def _images(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: pass two files, or two folders")
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in ENDINGS and not file.name.startswith("."):
            yield file


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
