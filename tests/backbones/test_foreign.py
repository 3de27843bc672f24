from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ultrares
from tests.backbones.foreign_files import (
    CARD,
    TinyNet,
    onnx_file,
    spandrel_file,
    torchscript_file,
)
from ultrares.api import describe_model
from ultrares.backbones.foreign import load_file, load_foreign
from ultrares.errors import MissingExtraError, ModelError
from ultrares.types import SizeRule

WRITERS = {"onnx": onnx_file, "torchscript": torchscript_file}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_file_does_what_its_network_does(writer: Any, tmp_path: Path) -> None:
    backbone = load_file(writer(tmp_path)).backbone
    image = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = TinyNet()(255 * image) / 255
        torch.testing.assert_close(backbone(image, scale=2), expected, atol=1e-5, rtol=0)
    assert backbone.size_rule == SizeRule(minimum=8, multiple_of=4)
    assert (backbone.halo, backbone.local, backbone.bands) == (3, True, 3)


def test_a_state_dict_tells_its_architecture(tmp_path: Path) -> None:
    backbone, kind = load_file(spandrel_file(tmp_path, scale=4))
    assert backbone.scales == (4,)
    assert backbone.name == "compact_x4"
    assert kind == "state dict of RealESRGAN Compact"


def test_without_a_card_the_halo_is_the_default_and_not_a_promise(tmp_path: Path) -> None:
    path = spandrel_file(tmp_path)
    path.with_suffix(".card.toml").unlink()
    backbone = load_file(path).backbone
    assert (backbone.halo, backbone.local) == (64, False)


def test_a_pickle_of_tensors_is_read_like_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file as load_safetensors

    path = spandrel_file(tmp_path)
    image = torch.rand(1, 3, 8, 8)
    expected = load_file(path).backbone(image, scale=2)
    for suffix in (".pth", ".pt"):
        torch.save({"params_ema": load_safetensors(path)}, path.with_suffix(suffix))
        assert torch.equal(load_file(path.with_suffix(suffix)).backbone(image, scale=2), expected)


def test_a_torchscript_archive_may_be_called_pt(tmp_path: Path) -> None:
    path = torchscript_file(tmp_path)
    assert load_file(path.rename(path.with_suffix(".pt"))).kind == "TorchScript"


class Bomb:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_never_run(
    tmp_path: Path, suffix: str, zipped: bool
) -> None:
    target, path = tmp_path / "was-here", tmp_path / f"evil{suffix}"
    if zipped:
        torch.save({"weight": torch.ones(1), "bomb": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps({"bomb": Bomb(target)}, protocol=2))
    with pytest.raises(ModelError, match="run code"):
        ultrares.load(path)
    assert not target.exists()
    # It would have gone off: the test can fail.
    pickle.loads(pickle.dumps(Bomb(target)))  # noqa: S301
    assert target.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 3, 1), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match=r"save only net\.state_dict"):
        ultrares.load(tmp_path / "whole.pth")


def _lines(drop: str = "", add: str = "") -> str:
    """The card without a key, and with another line."""
    kept = [line for line in CARD.splitlines() if not (drop and line.startswith(drop))]
    return "\n".join([*kept, add, ""])


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        *((_lines(key), f"lacks '{key}'") for key in ("scale", "bands", "value_range", "halo")),
        (_lines("size_rule"), "lacks 'size_rule'"),
        (_lines(add="colour = 1"), "unknown key 'colour'"),
        (_lines("scale", "scale = 1"), "not valid at 'scale'"),
        (_lines("halo", "halo = -3"), "not valid at 'halo'"),
        (_lines("bands", 'bands = "some"'), "not valid at 'bands"),
        (_lines("size_rule", "size_rule = { multiple_of = 0 }"), r"not valid at 'size_rule\.mul"),
        ("scale = = 2", "no TOML file"),
    ],
)
def test_a_wrong_card_gets_a_sentence(tmp_path: Path, card: str, sentence: str) -> None:
    path = torchscript_file(tmp_path, card)
    with pytest.raises(ModelError, match=rf"card .*tiny_ts\.card\.toml.*{sentence}"):
        ultrares.load(path)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (_lines("scale", "scale = 4"), "but x4 is"),
        (_lines("bands", "bands = 4"), "cannot take an image of 4 bands"),
        (_lines("value_range", "value_range = [1, 0]"), "value_range"),
    ],
)
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_card_that_is_not_true_gets_a_sentence(
    writer: Any, tmp_path: Path, card: str, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        ultrares.load(writer(tmp_path, card), device="cpu")


def test_a_size_rule_that_is_not_true_gets_a_sentence(tmp_path: Path) -> None:
    path = torchscript_file(tmp_path, _lines("size_rule", "size_rule = { multiple_of = 3 }"))
    with pytest.raises(ModelError, match="say its true bands and size rule"):
        ultrares.load(path, device="cpu")


def test_a_missing_card_says_where_it_belongs(tmp_path: Path) -> None:
    path = torchscript_file(tmp_path)
    path.with_suffix(".card.toml").unlink()
    with pytest.raises(ModelError, match=r"card .*tiny_ts\.card\.toml cannot be read"):
        ultrares.load(path)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        ("scale = 4", "card says scale = 4, but its weights are for 2"),
        ("bands = 1", "card says bands = 1, but its weights are for 3"),
        ("value_range = [0, 1]", "unknown key 'value_range'"),
    ],
)
def test_a_state_dict_is_not_contradicted(tmp_path: Path, card: str, sentence: str) -> None:
    path = spandrel_file(tmp_path)
    path.with_suffix(".card.toml").write_text(card)
    with pytest.raises(ModelError, match=sentence):
        ultrares.load(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pth", {"fc.weight": torch.ones(2, 2)}, "no architecture that spandrel"),
        ("a.pth", torch.ones(2), "holds a Tensor"),
        ("a.pth", b"nonsense", "a.pth"),
        ("a.pt", b"", "corrupt"),
        ("a.safetensors", b"nonsense", "corrupt"),
        ("a.ts", b"nonsense", "no readable TorchScript"),
        ("a.onnx", b"nonsense", "no readable ONNX"),
    ],
)
def test_a_wrong_file_gets_a_sentence(
    tmp_path: Path, name: str, content: Any, sentence: str
) -> None:
    pytest.importorskip("spandrel")
    pytest.importorskip("onnxruntime")
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    if path.suffix in (".ts", ".onnx"):
        path.with_suffix(".card.toml").write_text(CARD)
    with pytest.raises(ModelError, match=sentence) as failure:
        ultrares.load(path)
    assert "\n" not in str(failure.value)


def test_weights_that_do_not_fill_their_architecture_get_a_sentence(tmp_path: Path) -> None:
    from safetensors.torch import load_file as load_safetensors
    from safetensors.torch import save_file

    path = spandrel_file(tmp_path)
    state = load_safetensors(path)
    state["body.1.weight"] = torch.ones(5)
    save_file(state, path)
    with pytest.raises(ModelError, match="does not fill the architecture"):
        ultrares.load(path)


def test_a_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.pth does not exist"):
        ultrares.load(tmp_path / "no.pth")


def test_a_missing_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = onnx_file(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ultrares\[plugins\]'"):
        ultrares.load(path)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    folder = tmp_path / "family"
    folder.mkdir()
    files = {scale: spandrel_file(folder, scale).name for scale in (4, 2)}
    lines = [f'{scale} = "{name}"' for scale, name in files.items()]
    text = 'name = "compact"\nlicence = "MIT"\n[files]\n' + "\n".join(lines) + "\n"
    (folder / "card.toml").write_text(text)
    return folder


def test_a_folder_holds_a_file_for_each_scale(family: Path) -> None:
    foreign = load_foreign(family)
    assert [backbone.scales for backbone in foreign.backbones] == [(2,), (4,)]
    assert (foreign.name, foreign.licence, foreign.trained_on) == ("compact", "MIT", None)
    facts = describe_model(family)
    assert facts["native_scales"] == [2, 4]
    assert facts["parameters"] == sum(each.parameters or 0 for each in foreign.backbones)
    levels = ultrares.load(family)._configuration.solvers
    assert [solver.scale for solver in levels] == [2, 4]


def test_a_folder_s_card_is_checked_against_its_files(family: Path) -> None:
    card = family / "card.toml"
    card.write_text(card.read_text().replace("2 =", "3 ="))
    with pytest.raises(ModelError, match=r"lists compact_x2\.safetensors for x3, but it is .* x2"):
        ultrares.load(family)
    card.write_text('name = "empty"\n')
    with pytest.raises(ModelError, match="lacks 'files'"):
        ultrares.load(family)


def test_a_file_makes_a_scene_finer_whatever_the_tile(tmp_path: Path) -> None:
    path = torchscript_file(tmp_path)
    rasterio = pytest.importorskip("rasterio")
    array = np.random.default_rng(0).integers(1, 255, (4, 20, 30)).astype(np.uint8)
    scene, results = tmp_path / "scene.tif", []
    with rasterio.open(
        scene, "w", driver="GTiff", count=4, height=20, width=30, dtype="uint8",
        crs="EPSG:32633", transform=rasterio.transform.from_origin(5e5, 5e6, 5, 5), alpha="no",
    ) as raster:  # fmt: skip
        raster.write(array)
    for tile in (16, 512):
        target = tmp_path / f"{tile}.tif"
        report = ultrares.upscale_scene(scene, target, scale=3, model=path, tile=tile)
        with rasterio.open(target) as raster:
            results.append(raster.read())
    assert report.model == "tiny_ts"
    assert np.array_equal(*results)
    assert np.array_equal(np.rint(results[0].reshape(4, 20, 3, 30, 3).mean((2, 4))), array)
