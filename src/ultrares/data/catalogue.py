"""The data sets that papers measure on, and ours: how each lies in a folder, and which images count.

Nothing is ever downloaded. A data set that is not there is described by a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ultrares.data.splits import dior_classes, dota_classes, drawn, per_class
from ultrares.errors import OptionError, RasterError

ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
AID_TESTED = 0.2
"""2,000 of 10,000."""
PER_CLASS = 30
"""Images of each of DOTA's 16 and DIOR's 20 classes."""
EARLIER = ("_2020_", "_2018_")
"""What tells a NAIP tile from that of the same place two years before."""


@dataclass(frozen=True)
class Picture:
    """One image of a data set.

    Attributes:
        name: Its path below the data set, without the ending.
        path: The file.
        earlier: The same place and extent at an earlier date, if there is one.
    """

    name: str
    path: Path
    earlier: Path | None = None


@dataclass(frozen=True)
class DataSet:
    """How a data set is found and which of its images are tested on.

    Attributes:
        title: How papers call it.
        folders: Where it may lie below the data folder, the first that exists is taken.
        patterns: Glob patterns of its images there.
        expected: How its folder should look, in words.
        source: Where it can be had, in words.
        split: Which images are tested on, in words.
        choose: Takes these from all files in the order of their names, and the data set's folder.
    """

    title: str
    folders: tuple[str, ...]
    patterns: tuple[str, ...]
    expected: str
    source: str
    split: str
    choose: Callable[[Sequence[Path], Path], Sequence[Path]]

    def find(self, root: Path) -> list[Picture]:
        """The images that are tested on, in the order that a smaller number is taken from.

        Raises:
            RasterError: The data set is not there.
        """
        for folder in (root / name for name in self.folders):
            files = sorted(
                file
                for pattern in self.patterns
                for file in folder.glob(pattern)
                if file.suffix.lower() in ENDINGS
            )
            if files:
                return [_picture(file, folder) for file in self.choose(files, folder)]
        raise RasterError(
            f"data set {self.title} is not in {root}: put it there as {self.expected}; "
            f"it can be had from {self.source}"
        )


def data_set(name: str) -> DataSet:
    """An entry of the catalogue.

    Raises:
        OptionError: There is none of this name.
    """
    if name not in DATA_SETS:
        raise OptionError(f"unknown data set {name!r}: choose {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def _picture(file: Path, folder: Path) -> Picture:
    name = file.relative_to(folder).with_suffix("").as_posix()
    earlier = file.with_name(file.name.replace(*EARLIER))
    return Picture(name, file, earlier if earlier != file and earlier.is_file() else None)


def _all(files: Sequence[Path], _: Path) -> Sequence[Path]:
    return files


def _newest(files: Sequence[Path], _: Path) -> Sequence[Path]:
    """Without the files that are another's earlier date."""
    later, earlier = EARLIER
    return [
        file
        for file in files
        if earlier not in file.name
        or not file.with_name(file.name.replace(earlier, later)).exists()
    ]


def _first_fifth(files: Sequence[Path], folder: Path) -> Sequence[Path]:
    return drawn(files, folder)[: max(1, round(AID_TESTED * len(files)))]


def _by_dota(files: Sequence[Path], folder: Path) -> Sequence[Path]:
    return per_class(drawn(files, folder), dota_classes, PER_CLASS)


def _by_dior(files: Sequence[Path], folder: Path) -> Sequence[Path]:
    return per_class(drawn(files, folder), dior_classes, PER_CLASS)


_UNKNOWN_SPLIT = "all images, in an order drawn by their names: the paper's split is not published"

DATA_SETS: Mapping[str, DataSet] = {
    "imagenet": DataSet(
        "ImageNet",
        ("ImageNet/val", "imagenet/val", "ImageNet", "imagenet"),
        ("*/*",),
        "ImageNet/val/<class>/<image>.JPEG",
        "image-net.org, after registration",
        "images of the folder, in an order drawn by their names",
        drawn,
    ),
    "aid": DataSet(
        "AID",
        ("AID", "AID_dataset", "aid"),
        ("*/*",),
        "AID/<class>/<class>_<number>.jpg, 10,000 images of 600 x 600 pixels in 30 folders",
        "its authors at Wuhan University, captain-whu.github.io/AID",
        "2,000 of 10,000, drawn by their names: the paper's own draw is not published",
        _first_fifth,
    ),
    "dota": DataSet(
        "DOTA",
        ("DOTA/val", "DOTA", "dota"),
        ("images/*",),
        "DOTA/images/<name>.png with DOTA/labelTxt/<name>.txt",
        "its authors at Wuhan University, captain-whu.github.io/DOTA",
        "30 of each class by the labels (480 of 16), drawn by their names; all without labels",
        _by_dota,
    ),
    "dior": DataSet(
        "DIOR",
        ("DIOR", "dior"),
        ("JPEGImages*/*",),
        "DIOR/JPEGImages-test/<number>.jpg with DIOR/Annotations/<number>.xml",
        "its authors at Northwestern Polytechnical University, gcheng-nwpu.github.io",
        "30 of each class by the labels (600 of 20), drawn by their names; all without labels",
        _by_dior,
    ),
    "ucmerced": DataSet(
        "UCMerced",
        ("UCMerced_LandUse/Images", "UCMerced/Images", "UCMerced", "ucmerced"),
        ("*/*",),
        "UCMerced_LandUse/Images/<class>/<class><number>.tif, 2,100 images of 256 x 256 pixels",
        "weegee.vision.ucmerced.edu/datasets/landuse.html",
        _UNKNOWN_SPLIT,
        drawn,
    ),
    "rsscn7": DataSet(
        "RSSCN7",
        ("RSSCN7", "rsscn7", "RSSCN7-master"),
        ("*/*",),
        "RSSCN7/<class>/<name>.jpg, 2,800 images of 400 x 400 pixels in 7 folders",
        "its authors, github.com/palewithout/RSSCN7",
        _UNKNOWN_SPLIT,
        drawn,
    ),
    "nwpu": DataSet(
        "NWPU-RESISC45",
        ("NWPU-RESISC45", "NWPU_RESISC45", "nwpu"),
        ("*/*",),
        "NWPU-RESISC45/<class>/<class>_<number>.jpg, 31,500 images of 256 x 256 pixels in 45 folders",
        "its authors at Northwestern Polytechnical University, gcheng-nwpu.github.io",
        _UNKNOWN_SPLIT,
        drawn,
    ),
    "naip": DataSet(
        "NAIP, Chico",
        ("naip/val", "naip"),
        ("*.tif",),
        "naip/val/<city>_2020_<site>.tif with <city>_2018_<site>.tif beside them as real references",
        "the project's shared imagery (urban-tree-detection-data, CC BY 4.0)",
        "all sites of a city that no training tile shows, in the order of their names",
        _newest,
    ),
    "drone": DataSet(
        "drone photographs, Duluth",
        ("drone",),
        ("*",),
        "drone/<name>.JPG",
        "the project's shared imagery (drone_dataset_brighton_beach, BSD-2-Clause)",
        "all",
        _all,
    ),
    "scenes": DataSet(
        "Sentinel-2 scenes",
        ("scenes",),
        ("*.tif",),
        "scenes/<name>.tif",
        "the project's shared imagery (Copernicus Sentinel data)",
        "all",
        _all,
    ),
}
"""By the names that plans use, in the order of the papers."""
