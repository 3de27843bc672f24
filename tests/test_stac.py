"""STAC items beside products, checked by pystac and its schemas, and as input."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

import ultrares
from tests.scene.conftest import Writer
from tests.stac_schemas import FOLDER, REASON, extension_schemas, misfits
from ultrares import Model
from ultrares.errors import OptionError, OutputError, RasterError
from ultrares.scene.stac_input import asset_path
from ultrares.scene.stac_item import times_of

pystac = pytest.importorskip("pystac", reason="the oracle of STAC items")


def validated(path: Path) -> Any:
    """The item, after pystac has found it true to the schemas of STAC 1.1, and to those of extensions at hand."""
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    said = json.loads(path.read_text())
    how = (pystac.STACObjectType.ITEM, "1.1.0", str(path))
    JsonSchemaSTACValidator().validate_core(said, *how)
    with pytest.raises(pystac.STACValidationError):
        JsonSchemaSTACValidator().validate_core(said | {"properties": {}}, *how)
    assert not list(misfits(said))
    return pystac.Item.from_dict(said)


def run(scene: Path, model: Model, name: str = "sr.tif", **options: Any) -> dict[str, Any]:
    target = scene.with_name(name)
    report = ultrares.upscale_scene(
        scene, target, model=model, stac=True, **({"scale": 3} | options)
    )
    assert report.stac == str(target.with_suffix(".json"))
    found: dict[str, Any] = json.loads(Path(report.stac).read_text())
    return found


def test_an_item_is_valid_and_says_what_the_file_says(tiny: Model, scene: Path) -> None:
    said = run(
        scene,
        tiny,
        mode="perceptual",
        draws=2,
        seed=5,
        uncertainty=scene.with_name("std.tif"),
        evidence=scene.with_name("evidence.tif"),
    )
    item = validated(scene.with_name("sr.json"))
    with rasterio.open(scene.with_name("sr.tif")) as product:
        projection = pystac.extensions.projection.ProjectionExtension.ext(item)
        assert (projection.code, projection.shape) == ("EPSG:31985", list(product.shape))
        assert projection.transform == list(product.transform)[:6]
        assert product.nodata == 0
    assert set(item.assets) == {"product", "uncertainty", "evidence", "source"}
    for key, name in {"product": "sr", "uncertainty": "std", "evidence": "evidence"}.items():
        path = scene.with_name(f"{name}.tif")
        file = pystac.extensions.file.FileExtension.ext(item.assets[key])
        assert item.assets[key].href == f"./{name}.tif"
        assert file.size == path.stat().st_size
        assert file.checksum == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    bands = said["assets"]["product"]["bands"]
    assert [band["name"] for band in bands] == ["band 1", "band 2", "band 3"]
    assert bands[0]["raster:spatial_resolution"] == pytest.approx(9.5)
    assert (bands[0]["nodata"], bands[0]["data_type"]) == (0, "uint8")
    with rasterio.open(scene.with_name("sr.tif")) as product:
        values = product.read(1, masked=True)
        tags = {key: float(value) for key, value in product.tags(1).items()}
    assert bands[0]["statistics"]["mean"] == pytest.approx(values.mean())
    assert tags["STATISTICS_MEAN"] == pytest.approx(values.mean())
    assert tags["STATISTICS_STDDEV"] == pytest.approx(values.std())
    assert tags["STATISTICS_VALID_PERCENT"] == pytest.approx(100 * values.count() / values.size)
    assert said["assets"]["evidence"]["bands"][0]["nodata"] == "nan"
    model = said["properties"]["ultrares:model"]
    assert (model["name"], model["hyperparameters"]["seed"]) == ("tiny", "5")
    assert said["links"][0]["href"] == said["assets"]["source"]["href"] == "./scene.tif"


@pytest.mark.skipif(FOLDER is None, reason=REASON)
def test_an_item_is_true_to_the_schemas_of_its_extensions(bicubic: Model, scene: Path) -> None:
    said = run(scene, bicubic)
    at_hand = [
        each.split("/")[3] for each in said["stac_extensions"] if each in extension_schemas()
    ]
    assert at_hand
    assert not list(misfits(said))
    wrong: dict[str, dict[str, Any]] = {
        "projection": {"properties": said["properties"] | {"proj:code": 31985}},
        "processing": {"properties": said["properties"] | {"processing:software": "ultrares"}},
        "raster": {"assets": {"product": {"raster:spatial_resolution": "fine"}}},
        "file": {"assets": {"product": {"file:size": "large"}}},
    }
    for extension in at_hand:
        found = list(misfits(said | wrong[extension]))
        assert found
        assert all(f"/{extension}/" in misfit for misfit in found)


def test_the_same_run_makes_the_same_item(bicubic: Model, scene: Path) -> None:
    first = run(scene, bicubic)
    again = run(scene, bicubic, overwrite=True)
    assert first == again
    assert first["properties"]["datetime"] is None
    assert first["properties"]["start_datetime"] < first["properties"]["end_datetime"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2020:06:01 10:11:12", "2020-06-01T10:11:12Z"),
        ("2020-06-01T10:11:12.5+02:00", "2020-06-01T08:11:12.500000Z"),
        ("2020-06-01", "2020-06-01T00:00:00Z"),
        ("yesterday", None),
    ],
)
def test_dates_come_from_metadata(raster: Writer, text: str, instant: str | None) -> None:
    path = raster(
        np.ones((1, 8, 8), np.uint8), finish=lambda file: file.update_tags(TIFFTAG_DATETIME=text)
    )
    os.utime(path, (1e9, 1e9))
    from ultrares.scene.source import RasterSource

    with RasterSource(path) as source:
        found = times_of(source.profile, str(path))
    assert found["datetime"] == instant
    if instant is None:
        assert found["end_datetime"] == "2001-09-09T01:46:40Z"


def test_a_scene_without_place_has_an_item_without_geometry(bicubic: Model, raster: Writer) -> None:
    path = raster(np.ones((1, 8, 8), np.uint8), crs=None)
    said = run(path, bicubic)
    validated(path.with_name("sr.json"))
    assert said["geometry"] is None
    assert "bbox" not in said
    # Nothing in it is of the raster extension, and one that is named has to be used.
    assert not any("/raster/" in extension for extension in said["stac_extensions"])
    assert any("/projection/" in extension for extension in said["stac_extensions"])


def test_a_zarr_has_an_item_too(bicubic: Model, scene: Path) -> None:
    pytest.importorskip("zarr")
    said = run(scene, bicubic, "sr.zarr")
    validated(scene.with_name("sr.json"))
    files = [path for path in scene.with_name("sr.zarr").rglob("*") if path.is_file()]
    assert said["assets"]["product"]["file:size"] == sum(path.stat().st_size for path in files)
    assert said["assets"]["product"]["type"].startswith("application/vnd.zarr")


def test_an_item_that_exists_is_not_replaced_and_a_failure_leaves_nothing(
    bicubic: Model, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.with_name("sr.json").write_text("precious")
    with pytest.raises(OutputError, match=r"sr\.json exists"):
        run(scene, bicubic)
    assert scene.with_name("sr.json").read_text() == "precious"

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ultrares.scene.stac_item.StacFile.publish", fail)
    with pytest.raises(KeyboardInterrupt):
        run(scene, bicubic, overwrite=True)
    left = sorted(path.name for path in scene.parent.iterdir())
    # The tiles are kept for the next attempt.
    assert left == [".sr.tif.ultrares", "scene.tif", "sr.json"]
    assert scene.with_name("sr.json").read_text() == "precious"
    monkeypatch.undo()
    run(scene, bicubic, overwrite=True)
    assert sorted(path.name for path in scene.parent.iterdir()) == [
        "scene.tif",
        "sr.json",
        "sr.tif",
    ]


# --- input ----------------------------------------------------------------------------------------


def item(folder: Path, **assets: Any) -> Path:
    path = folder / "item.json"
    said = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "x",
        "properties": {"datetime": "2021-02-03T04:05:06Z"},
        "assets": assets,
    }
    path.write_text(json.dumps(said))
    return path


def test_the_raster_of_an_item_is_upscaled(bicubic: Model, scene: Path) -> None:
    path = item(
        scene.parent,
        image={"href": "./scene.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]},
        preview={"href": "preview.tif", "type": "image/tiff", "roles": ["thumbnail"]},
        metadata={"href": "scene.xml", "type": "application/xml"},
    )
    said = run(path, bicubic)
    validated(scene.with_name("sr.json"))
    assert said["properties"]["datetime"] == "2021-02-03T04:05:06Z"
    assert said["links"][0]["href"] == "./item.json"
    assert ultrares.check(scene.with_name("sr.tif"), path).ok
    # The product's own item names the product, not its source.
    assert Path(asset_path(scene.with_name("sr.json"))).name == "sr.tif"
    assert Path(asset_path(scene.with_name("sr.json"), "source")).name == "scene.tif"


@pytest.mark.parametrize(
    ("href", "sentence"),
    [
        ("../secret.tif", "outside the item's folder"),
        ("/etc/passwd", "outside the item's folder"),
        ("/vsizip//etc/x.zip", "outside the item's folder"),
        ("file:///etc/passwd", "outside the item's folder"),
        ("link.tif", "outside the item's folder"),
        ("nothing.tif", "does not exist"),
        ("<VRTDataset/>", "does not exist"),
        ("", "no href"),
    ],
)
def test_hrefs_cannot_leave_the_folder_of_an_item(tmp_path: Path, href: str, sentence: str) -> None:
    (tmp_path / "secret.tif").touch()
    folder = tmp_path / "items"
    folder.mkdir()
    (folder / "link.tif").symlink_to(tmp_path / "secret.tif")
    with pytest.raises(RasterError, match=sentence):
        asset_path(item(folder, image={"href": href, "type": "image/tiff"}))


def test_urls_are_passed_on(tmp_path: Path) -> None:
    url = "https://example.com/b4.tif?token=1"
    assert asset_path(item(tmp_path, image={"href": url})) == url


def test_what_is_ambiguous_is_refused(tmp_path: Path, scene: Path, bicubic: Model) -> None:
    tif = {"href": "scene.tif", "type": "image/tiff"}

    def refused(sentence: str, *, asset: str | None = None, **assets: Any) -> None:
        with pytest.raises(RasterError, match=sentence):
            asset_path(item(tmp_path, **assets), asset)

    refused(r"several rasters \(b4, b8\).*--asset: b4, b8", b4=tif, b8=tif)
    refused("no raster; .*--asset: text", text={"href": "x.txt", "type": "text/plain"})
    refused("no asset 'b9'; it has b4", asset="b9", b4=tif)
    path = item(tmp_path, b4=tif, b8=tif)
    ultrares.upscale_scene(path, tmp_path / "out.tif", scale=2, model=bicubic, asset="b8")
    with pytest.raises(OptionError, match="neither a STAC item nor a Zarr"):
        ultrares.upscale_scene(scene, tmp_path / "o.tif", scale=2, model=bicubic, asset="b8")
    break_it: list[tuple[Callable[[Path], object], str]] = [
        (lambda p: p.write_text("{"), "is no JSON"),
        (lambda p: p.write_text('{"type": "Catalog"}'), "is no STAC item"),
        (lambda p: p.unlink(), "cannot be read"),
    ]
    for action, sentence in break_it:
        action(path)
        with pytest.raises(RasterError, match=sentence):
            asset_path(path)


def test_effective_resolution_is_the_cards_or_not_told(bicubic: Model, scene: Path) -> None:
    card = bicubic.manifest.model_copy(update={"effective_pixel": {3: 2.5}})
    model = ultrares.load("bicubic")
    model.manifest = card
    name = "ULTRARES_EFFECTIVE_RESOLUTION"
    for options, told in (
        ({"scale": 3}, "2.5 output pixels, by the model's card"),
        ({"scale": 2}, "not measured"),
        ({"scale": 3, "sensor": "bicubic"}, "not measured"),
    ):
        run(scene, model, overwrite=True, **options)
        with rasterio.open(scene.with_name("sr.tif")) as product:
            assert product.tags()[name] == told
