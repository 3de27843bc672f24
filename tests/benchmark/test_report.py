from __future__ import annotations

import base64
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from ultrares.benchmark import charts
from ultrares.benchmark.baselines import BASELINES
from ultrares.benchmark.pictures import COARSE, TRUTH, Pictures
from ultrares.benchmark.plan import Plan
from ultrares.benchmark.report import write_report
from ultrares.benchmark.results import Key, Result
from ultrares.errors import MissingExtraError


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def decoded(content: bytes) -> tuple[tuple[int, int], int]:
    """Height and width of a picture, and how far its values lie apart."""
    with (
        pytest.warns(NotGeoreferencedWarning),
        MemoryFile(content) as memory,
        memory.open() as image,
    ):
        return image.shape, int(np.ptp(image.read()))


LABELS = [*BASELINES, "bicubic, one-step", "bicubic, cascade"]
SCALES = (4.0, 8.0, 16.0)


@pytest.fixture
def whole(plan: Plan) -> Plan:
    return plan.model_copy(
        update={
            "title": "A <b>bold</b> plan & more",
            "scales": SCALES,
            "pictured": (4.0,),
            "metrics": ("psnr", "sre", "ag", "histogram_distance"),
            "published": ("table-4-dota-psnr", "table-2-aid-x4", "claims", "neurop-diff"),
            "claims": "csp",
        }
    )


def rows(folder: Path) -> list[Result]:
    """Figures by hand; pictures of the first image."""
    rng = np.random.default_rng(0)
    pictures, found = Pictures(folder), []
    for image in ("a", "b"):
        for scale in SCALES:
            for number, label in enumerate(LABELS):
                key = Key("scenes", image, scale, label)
                values = {"psnr": 20.0 + number + (image == "b"), "ag": 5.0, "ag_true": 8.0}
                values |= {"ag_ratio": 5 / 8, "sre": 9.0 - number, "histogram_distance": 1.0}
                found.append(
                    Result(
                        key, "bicubic", pseudo=scale == 16, parameters=7, cpu_seconds=1.0,
                        seconds=1.0, values=values, coarse_side=16, fine_side=int(16 * scale),
                    )
                )  # fmt: skip
                if image == "a" and scale == 4:
                    pictures.keep(key, rng.integers(0, 256, (3, 64, 64)).astype(np.uint8))
    for name in (TRUTH, COARSE):
        key = Key("scenes", "a", 4.0, name)
        pictures.keep(key, rng.integers(0, 256, (3, 64, 64)).astype(np.uint8))
    found.append(
        Result(Key("scenes", "a", 4.0, "no-such-model, cascade"), problem="not run: <lost>")
    )
    found.append(Result(Key("aid", "", 0, ""), problem="data set AID is not in here"))
    return found


@pytest.fixture
def page(whole: Plan, tmp_path: Path) -> Page:
    return Page(write_report(whole, rows(tmp_path), tmp_path).read_text())


def test_every_picture_decodes_and_says_what_it_is(page: Page) -> None:
    assert len(page.pictures) > 10
    kinds = set()
    for picture in page.pictures:
        assert len(picture["alt"] or "") > 10
        head, _, body = (picture["src"] or "").partition(";base64,")
        content = base64.b64decode(body, validate=True)
        kinds.add(head)
        if head == "data:image/svg+xml":
            root = ElementTree.fromstring(content)
            assert root.tag.endswith("svg")
            assert sum(1 for _ in root.iter()) > 20
            links = re.findall(r'href="([^"]*)"', content.decode())
            assert all(link.startswith("#") for link in links)
        else:
            shape, spread = decoded(content)
            # The overview, and the middle of a small picture, twice as large.
            assert shape in {(192, 192), (128, 128)}
            assert spread > 0
    assert kinds == {"data:image/svg+xml", "data:image/png", "data:image/jpeg"}


def test_nothing_is_fetched_from_elsewhere(page: Page, tmp_path: Path) -> None:
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "video"} & set(page.tags)
    text = re.sub(r"base64,[^\"]*", "", (tmp_path / "report.html").read_text())
    assert not re.search(r"https?:|url\(|@import", text)


def test_it_is_readable_by_anyone(page: Page, tmp_path: Path) -> None:
    text = (tmp_path / "report.html").read_text()
    assert '<html lang="en">' in text
    assert "prefers-color-scheme: dark" in text
    assert page.tags.count("table") == page.tags.count("caption") >= 8
    assert 'scope="row"' in text
    assert "A <b>bold</b> plan & more" in page.text
    assert "b" not in page.tags


def test_means_mandatory_rows_and_what_was_not_run(page: Page) -> None:
    words = " ".join(page.text.split())
    for label in BASELINES:
        assert label in words
    # The mean of 24 and 25, the best of a column.
    assert "24.5" in words
    assert page.tags.count("strong") > 5
    assert "not run: <lost>" in words
    assert "data set AID is not in here" in words
    assert "the truth itself" in words
    assert "NOT MEASURED" in words.upper()


def test_pseudo_truths_stand_apart(page: Page) -> None:
    words = " ".join(page.text.split())
    assert words.index("Sentinel-2 scenes, against the truth") < words.index(
        "Sentinel-2 scenes, against pseudo truths *"
    )
    assert "x16 16 to 256" in words.partition("against pseudo truths *")[2]
    assert "x16 16 to 256" not in words.partition("against pseudo truths *")[0]
    assert "bicubic enlargements" in words


def test_published_numbers_stand_beside_ours_with_their_warnings(page: Page) -> None:
    words = " ".join(page.text.split())
    rest = words.partition("Beside the published numbers")[2]
    assert "Published: WaveDiffUR, arXiv 2412.18996, Table 4, PSNR" in rest
    assert "28.32" in rest
    assert "Measured here, 2 other images" in rest
    assert "Warning: One-step rows at x128" in rest
    assert "tables of NeurOp-Diff are not in our copy" in rest


def test_uneven_rows_say_so(whole: Plan, tmp_path: Path) -> None:
    fewer = [
        row for row in rows(tmp_path) if (row.key.image, row.key.label) != ("b", "bicubic, cascade")
    ]
    page = Page(write_report(whole, fewer, tmp_path).read_text())
    assert "bicubic, cascade (only 2 of 4 images)" in " ".join(page.text.split())


def test_figures_that_are_not_defined_are_dashes(whole: Plan, tmp_path: Path) -> None:
    blank = [
        replace(row, values=row.values | {"sre": math.nan}) if row.values else row
        for row in rows(tmp_path)
    ]
    page = Page(write_report(whole, blank, tmp_path).read_text())
    assert not re.search(r"\bnan\b", page.text)


def test_without_its_packages_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ultrares\[report\]'"):
        charts.check_can_draw()
