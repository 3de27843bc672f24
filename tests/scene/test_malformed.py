"""Broken files end in one sentence or in a right product, whatever was broken."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from rasterio.errors import NotGeoreferencedWarning

import ultrares
from tests.scene.malformed import bases, borders, broken, outcome
from ultrares import Model

pytestmark = pytest.mark.filterwarnings("ignore:.* is marked as alpha:UserWarning")


@pytest.fixture(scope="module")
def bicubic() -> Model:
    return ultrares.load("bicubic")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("malformed") / "spoilt.tif"


def test_what_is_broken_was_right_before(bicubic: Model, spoilt: Path) -> None:
    ends = []
    for data in bases():
        spoilt.write_bytes(data)
        ends.append(outcome(spoilt, bicubic))
    assert ends == ["right"] * (len(bases()) - 2) + ["looked at", "refused"]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=broken())
def test_a_broken_file_ends_well(bicubic: Model, spoilt: Path, data: bytes) -> None:
    spoilt.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        assert outcome(spoilt, bicubic) in ("refused", "right", "looked at", "unstable")


def test_a_file_cut_off_anywhere_is_refused_or_right(bicubic: Model, spoilt: Path) -> None:
    data = bases()[1]
    for border in borders(data):
        spoilt.write_bytes(data[:border])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            assert outcome(spoilt, bicubic) in ("refused", "right")
