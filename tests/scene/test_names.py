from __future__ import annotations

from pathlib import Path

import pytest

from ultrares.scene.names import is_file_name, printable, short_name, shown

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"https://me:{SECRET}@host/a/b.tif?sig={SECRET}", "https://host/a/b.tif?..."),
        (f"/vsicurl/https://host/b.tif?se=1&sig={SECRET}", "/vsicurl/https://host/b.tif?..."),
        (f"/vsicurl?url=https%3A%2F%2Fh%2Fb.tif&sig={SECRET}", "/vsicurl?..."),
        ("s3://bucket/a/b.tif", "s3://bucket/a/b.tif"),
        (f"zip+https://u:{SECRET}@host/a.zip!b.tif", "zip+https://host/a.zip!b.tif"),
        ("/data/scene.tif", "/data/scene.tif"),
    ],
)
def test_no_sentence_and_no_tag_tells_a_secret(source: str, expected: str) -> None:
    assert shown(source) == expected
    assert SECRET not in short_name(source)
    assert short_name(source) == expected.rsplit("/", 1)[-1]


def test_a_file_may_be_called_what_it_likes(tmp_path: Path) -> None:
    for name in ("what?.tif", "a@b.tif", "x:y.tif", "sp ace 'q' \"d\".tif", "λ.tif"):
        path = tmp_path / name
        path.touch()
        assert short_name(path) == name
        assert is_file_name(str(path))


@pytest.mark.parametrize(
    "source", ["https://h/a.tif", "/vsizip/a.zip/b.tif", "NETCDF:a.nc:x", "<VRTDataset/>"]
)
def test_what_is_no_file_name(source: str) -> None:
    assert not is_file_name(source)


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[31mb\nc\u202ed") == "a\\x1b[31mb\\nc\\u202ed"
    assert printable("caf\udce9") == "caf\\udce9"
    assert printable("søt 雪") == "søt 雪"


def test_a_signed_url_may_be_longer_than_any_file_name() -> None:
    url = "https://host/scene.tif?" + "x" * 5000
    assert not is_file_name(url)
    assert short_name(url) == "scene.tif?..."
