"""Generated fakes of each layout: empty files, for the catalogue looks at names and labels only."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from ultrares.data.catalogue import DATA_SETS, PER_CLASS, data_set
from ultrares.data.splits import dior_classes, dota_classes
from ultrares.errors import OptionError, RasterError

LAYOUTS = {
    "imagenet": "ImageNet/val/n0144{0}/ILSVRC_{1}.JPEG",
    "aid": "AID/Class{0}/class{0}_{1}.jpg",
    "dota": "DOTA/images/P{0}{1}.png",
    "dior": "DIOR/JPEGImages-test/{0}{1}.jpg",
    "ucmerced": "UCMerced_LandUse/Images/class{0}/class{0}{1}.tif",
    "rsscn7": "RSSCN7/aGrass{0}/a{1}.jpg",
    "nwpu": "NWPU-RESISC45/class{0}/class{0}_{1}.jpg",
    "naip": "naip/val/city_2020_{0}{1}.tif",
    "drone": "drone/DJI_{0}{1}.JPG",
    "scenes": "scenes/place_{0}{1}.tif",
}


def fake(root: Path, name: str, classes: int = 4, each: int = 10) -> list[Path]:
    files = [root / LAYOUTS[name].format(c, n) for c in range(classes) for n in range(each)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_every_entry_has_a_fake() -> None:
    assert set(LAYOUTS) == set(DATA_SETS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_found_among_others(tmp_path: Path, name: str) -> None:
    for other in LAYOUTS:
        if other != name:
            fake(tmp_path, other, 1, 1)
    files = fake(tmp_path, name)
    (files[0].parent / "Thumbs.db").touch()
    found = data_set(name).find(tmp_path)
    paths = [picture.path for picture in found]
    assert len(paths) == len(set(paths)) == (8 if name == "aid" else 40)
    assert set(paths) <= set(files)
    assert [Path(picture.name).name for picture in found] == [path.stem for path in paths]


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_absent_is_described(tmp_path: Path, name: str) -> None:
    entry = data_set(name)
    with pytest.raises(RasterError) as caught:
        entry.find(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert entry.expected in text
    assert entry.source in text


def test_draws_are_of_names_alone_and_smaller_ones_begin_larger_ones(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    fake(here, "rsscn7")
    fewer = fake(there, "rsscn7")
    fewer[7].unlink()
    every = [picture.name for picture in data_set("rsscn7").find(here)]
    rest = [picture.name for picture in data_set("rsscn7").find(there)]
    assert [name for name in every if name in rest] == rest
    assert every != sorted(every)

    def digest(name: str) -> str:
        return hashlib.sha256(f"{name}.jpg".encode()).hexdigest()

    assert every == sorted(every, key=digest)


def test_dota_and_dior_have_thirty_of_each_class_by_their_labels(tmp_path: Path) -> None:
    for name, label in (
        ("dota", "DOTA/labelTxt/P{0}{1}.txt"),
        ("dior", "DIOR/Annotations/Horizontal Bounding Boxes/{0}{1}.xml"),
    ):
        fake(tmp_path, name, classes=3, each=40)
        for c in range(3):
            for n in range(40):
                path = tmp_path / label.format(c, n)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(
                    f"imagesource:x\ngsd:0.1\n1 2 3 4 5 6 7 8 class{c} 0\n"
                    if name == "dota"
                    else f"<annotation><name>no</name><object><name>class{c}</name></object></annotation>"
                )
        classes = {"dota": dota_classes, "dior": dior_classes}[name]
        found = data_set(name).find(tmp_path)
        shown = Counter(each for picture in found for each in classes(picture.path))
        assert shown == {f"class{c}": PER_CLASS for c in range(3)}


def test_an_image_of_two_classes_counts_once(tmp_path: Path) -> None:
    fake(tmp_path, "dota", classes=1, each=40)
    labels = tmp_path / "DOTA/labelTxt"
    labels.mkdir()
    for n in range(40):
        (labels / f"P0{n}.txt").write_text("1 2 3 4 5 6 7 8 ship 0\n1 2 3 4 5 6 7 8 plane 1\n")
    assert len(data_set("dota").find(tmp_path)) == 40


def test_an_earlier_date_is_a_reference_and_no_image(tmp_path: Path) -> None:
    files = fake(tmp_path, "naip", 1, 2)
    earlier = files[0].with_name("city_2018_00.tif")
    alone = files[0].with_name("city_2018_77.tif")
    for file in (earlier, alone):
        file.touch()
    found = {picture.path: picture.earlier for picture in data_set("naip").find(tmp_path)}
    assert found == {files[0]: earlier, files[1]: None, alone: None}


def test_unknown_names_are_told_the_known_ones() -> None:
    with pytest.raises(OptionError, match="rsscn7"):
        data_set("cifar")
