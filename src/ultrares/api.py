"""The Python face: load a model, upscale an image or a scene, check the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import torch

from ultrares.backbones.bicubic import BicubicBackbone
from ultrares.errors import InputError, ModelError, OptionError, ReferenceImageError
from ultrares.methods.cascade import MAX_SCALE, CascadeLevel, Condition, cascade, number_of_levels
from ultrares.methods.place import Details, Solve
from ultrares.methods.saved import (
    BackboneConfig,
    Manifest,
    SavedModel,
    load_model,
    read_manifest,
    verify_checksum,
)
from ultrares.methods.wavediffur import WaveDiffUR
from ultrares.scene.budget import cache_for, parse_memory, tile_for
from ultrares.scene.check import CheckReport
from ultrares.scene.check import check as check_files
from ultrares.scene.degrade import degrade as degrade_file
from ultrares.scene.radiometry import Radiometry
from ultrares.scene.reference import check_overlap
from ultrares.scene.sink import ArraySink, CogSink, check_target
from ultrares.scene.source import ArraySource, RasterSource
from ultrares.scene.upscale import aoi_window, upscale
from ultrares.sensor.models import Box, SensorModel, parse_sensor
from ultrares.types import Mode, Shape

DEFAULT_MODEL = "wavediffur-naip"
EMBEDDED = Path(__file__).parent / "weights"

Progress = Callable[[int, int], None]
Precision = Literal["auto", "fp32", "bf16"]
Image = TypeVar("Image", np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class ModelInfo:
    """One line of ``ultrares models``.

    Attributes:
        name: What :func:`load` takes.
        method: The algorithm.
        scales: Which scales it can produce, in words.
        bands: Which bands it can take, in words.
        parameters: Number of weights.
        licence: Of the weights.
        trained_on: Data that it was trained on.
        present: Whether the weights are there and whole.
        path: Folder of the model; None if it has no weights.
    """

    name: str
    method: str
    scales: str
    bands: str
    parameters: int
    licence: str
    trained_on: str
    present: bool
    path: str | None


@dataclass(frozen=True)
class UpscaleReport:
    """What :func:`upscale_scene` did."""

    target: str
    width: int
    height: int
    bands: int
    dtype: str
    scale: int
    model: str
    mode: str
    sensor: str
    seed: int
    draws: int
    seconds: float
    megapixels_per_second: float
    radiometry: str

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class DegradeReport:
    """What :func:`degrade` did."""

    target: str
    width: int
    height: int
    sensor: str

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


class Model:
    """A loaded model, ready to upscale arrays; made by :func:`load`.

    Attributes:
        manifest: What the model is and where it comes from.
    """

    def __init__(self, saved: SavedModel) -> None:
        self.manifest = saved.manifest
        self._solvers = saved.solvers

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    def upscale(
        self,
        image: Image,
        *,
        scale: float,
        reference: Image | None = None,
        mode: Mode = "fidelity",
        draws: int = 1,
        steps: int | None = None,
        seed: int = 0,
        sensor: str = "box",
    ) -> Image:
        """Return an image ``scale`` times finer along both sides.

        Averaged back over each input pixel, the result equals the input exactly (sensor ``box``).

        Args:
            image: Shape (C, H, W), array or tensor. Integers keep their type and its full range; floats
                are taken as they are, not-a-number marks pixels without data.
            scale: Whole number from 2 to 128.
            reference: A finer image of the same place; this model uses none.
            mode: ``fidelity`` for the conditional mean, ``perceptual`` for a sample.
            draws: Samples to average in perceptual mode.
            steps: Denoiser calls per level of a sample; None for the model's own number.
            seed: Seed of the samples.
            sensor: Degradation that the result is held to: ``box``, ``bicubic`` or ``mtf:VALUE``.

        Raises:
            InputError: The image, the scale or an option cannot be used.
        """
        if reference is not None:
            raise self._no_reference()
        array = _as_array(image)
        if array.ndim != 3:
            raise InputError("image must be an array or a tensor of shape (C, H, W)")
        levels = self.levels(
            scale, mode=mode, draws=draws, steps=steps, seed=seed, sensor=parse_sensor(sensor)
        )
        source = ArraySource(array)
        height, width = source.shape
        sink = ArraySink(source.bands, Shape(int(scale) * height, int(scale) * width), array.dtype)
        upscale(
            source,
            sink,
            levels,
            int(scale),
            radiometry=Radiometry.of(source),
            exact=sensor == "box",
        )
        if isinstance(image, torch.Tensor):
            return torch.from_numpy(sink.array).to(image.device)
        return sink.array

    def levels(
        self,
        scale: float,
        *,
        mode: Mode,
        draws: int,
        steps: int | None,
        seed: int,
        sensor: SensorModel,
        condition: Condition = "progressive",
        details: Details = "sampled",
    ) -> list[CascadeLevel]:
        """The cascade, for the tiler to drive.

        Raises:
            OptionError: An option has a value that makes no sense.
            ScaleError: The scale cannot be reached.
            ModelError: Samples are asked of a model without denoiser.
        """
        number_of_levels(scale)
        if mode not in get_args(Mode):
            raise OptionError(f"unknown mode {mode!r}: choose fidelity or perceptual")
        for name, value in (("draws", draws), ("steps", steps)):
            if value is not None and not (_is_whole(value) and value >= 1):
                raise OptionError(f"{name} is {value}: pass a whole number of at least 1")
        if not _is_whole(seed):
            raise OptionError(f"seed is {seed}: pass a whole number")
        if mode == "perceptual" and self._solvers[0].prior is None:
            raise ModelError(
                f"model {self.name!r} has no denoiser and cannot draw samples; use --mode fidelity"
            )
        how = Solve(
            mode=mode,
            steps=steps,
            seed=seed,
            draws=1 if mode == "fidelity" else draws,
            details=details,
        )
        return cascade(self._solvers, scale, how, sensor, condition=condition)

    def _no_reference(self) -> ReferenceImageError:
        return ReferenceImageError(
            f"model {self.name!r} uses no reference image; leave the reference out"
        )


def load(
    name: str | Path | None = None,
    *,
    precision: Precision = "auto",
    device: str | None = None,
) -> Model:
    """Load a model: the embedded default, a name from :func:`models`, a folder, or a hub id.

    Args:
        name: None for the default. Otherwise a name, a folder with config.json and
            model.safetensors, or ``owner/repository`` on the Hugging Face hub.
        precision: ``bf16`` and ``fp32`` say how to convolve; ``auto`` is bf16 where the processor has it.
        device: A torch device; None is a GPU if there is one, else the CPU.

    Raises:
        ModelError: There is no such model, or its files are corrupt.
        OptionError: There is no such precision or device.
    """
    device = _usable(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name == "bicubic":
        return Model(_bicubic())
    return Model(
        load_model(
            locate(name or DEFAULT_MODEL),
            autocast=_use_bfloat16(precision, device),
            device=device,
        )
    )


def models() -> list[ModelInfo]:
    """List the models that are embedded in the package."""
    infos = [
        _info(read_manifest(config.parent), config.parent)
        for config in sorted(EMBEDDED.glob("*/config.json"))
    ]
    return [*infos, _info(_bicubic().manifest, None)]


def upscale_scene(  # noqa: PLR0913 - its keywords are the product's options
    source: str | Path,
    target: str | Path,
    *,
    scale: float,
    model: str | Path | Model | None = None,
    reference: str | Path | None = None,
    mode: Mode = "fidelity",
    draws: int = 1,
    steps: int | None = None,
    seed: int = 0,
    sensor: str = "box",
    tile: int | None = None,
    memory: str | int | None = None,
    aoi: tuple[float, float, float, float] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> UpscaleReport:
    """Upscale a georeferenced raster of any size into a cloud-optimised GeoTIFF.

    The target appears under its name only when it is complete and has been read back. Footprint, CRS,
    data type, nodata, masks, band names and tags are those of the source; with sensor ``box`` the
    mean over each source pixel equals the source exactly.

    Args:
        source: Raster that rasterio can open.
        target: Path of the result.
        scale: Whole number from 2 to 128.
        model: A loaded model or anything :func:`load` takes.
        reference: A finer raster of the same place; refused by models that use none.
        mode: ``fidelity`` for the conditional mean, ``perceptual`` for a sample.
        draws: Samples to average in perceptual mode.
        steps: Denoiser calls per level of a sample.
        seed: Seed of the samples.
        sensor: ``box``, ``bicubic`` or ``mtf:VALUE``.
        tile: Side of the square of output pixels written at a time; the result does not depend on it.
        memory: What the process may use, such as ``"4GB"``; chooses the tile.
        aoi: Left, bottom, right, top in the scene's CRS: upscale only the source pixels it touches.
            The result equals the crop of the full one.
        overwrite: Whether an existing target may be replaced.
        progress: Called with the output pixels done and their total.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    start = time.monotonic()
    check_target(source, target, overwrite=overwrite)
    parsed = parse_sensor(sensor)
    number_of_levels(scale)
    loaded = model if isinstance(model, Model) else load(model)
    levels = loaded.levels(scale, mode=mode, draws=draws, steps=steps, seed=seed, sensor=parsed)
    with RasterSource(source) as scene:
        if reference is not None:
            check_overlap(reference, scene)
            raise loaded._no_reference()
        window = aoi_window(scene.profile, aoi)
        budget = parse_memory(memory)
        factor = int(scale)
        tags = {
            "ULTRARES_MODEL": loaded.name,
            "ULTRARES_MODEL_SHA256": loaded.manifest.sha256 or "none",
            "ULTRARES_SCALE": str(factor),
            "ULTRARES_MODE": mode,
            "ULTRARES_DRAWS": str(draws),
            "ULTRARES_SEED": str(seed),
            "ULTRARES_SENSOR": sensor,
            "ULTRARES_SOURCE": Path(str(source)).name,
            "ULTRARES_VERSION": _version(),
        }
        with CogSink(
            target, scene.profile.upscaled(factor, window), tags, overwrite=overwrite
        ) as sink:
            upscale(
                scene,
                sink,
                levels,
                factor,
                radiometry=Radiometry.of(scene),
                nodata=scene.profile.nodata,
                tile=tile_for(tile, budget, scene.bands),
                cache_bytes=cache_for(budget),
                aoi=window,
                on_progress=progress,
                exact=isinstance(parsed, Box),
            )
            sink.commit()
        seconds = time.monotonic() - start
        height, width = factor * window.height, factor * window.width
        return UpscaleReport(
            target=str(target),
            width=width,
            height=height,
            bands=scene.bands,
            dtype=str(scene.dtype),
            scale=factor,
            model=loaded.name,
            mode=mode,
            sensor=sensor,
            seed=seed,
            draws=draws,
            seconds=seconds,
            megapixels_per_second=height * width / 1e6 / seconds,
            radiometry="block means exact" if isinstance(parsed, Box) else f"held to {sensor}",
        )


def check(sr: str | Path, lr: str | Path) -> CheckReport:
    """Check an upscaled file against its source: footprint, radiometry, masks, COG validity.

    Raises:
        RasterError: A file is missing or unreadable.
    """
    return check_files(sr, lr)


def degrade(
    source: str | Path,
    target: str | Path,
    *,
    scale: float,
    sensor: str = "bicubic",
    overwrite: bool = False,
) -> DegradeReport:
    """Reduce a raster by a sensor model, to make low-resolution scenes for tests.

    Raises:
        UltraresError: Something cannot be done; the message says what, where and what to do.
    """
    if not (2 <= scale <= MAX_SCALE and scale == int(scale)):
        raise OptionError(f"scale {scale:g}: degrade takes a whole number from 2 to {MAX_SCALE}")
    check_target(source, target, overwrite=overwrite)
    size = degrade_file(source, target, int(scale), parse_sensor(sensor), overwrite=overwrite)
    return DegradeReport(str(target), size.width, size.height, sensor)


def describe_raster(path: str | Path) -> dict[str, Any]:
    """What a raster is as ultrares sees it, as plain values.

    Raises:
        RasterError: The file is missing, unreadable, or of a kind that is refused.
    """
    with RasterSource(path) as scene:
        return scene.describe()


def describe_model(name: str | Path) -> dict[str, Any]:
    """A model's manifest and whether its weights are whole, as plain values.

    Raises:
        ModelError: There is no such model.
    """
    if name == "bicubic":
        return asdict(_info(_bicubic().manifest, None))
    folder = locate(name)
    return {**asdict(_info(read_manifest(folder), folder)), **read_manifest(folder).model_dump()}


def _as_array(image: Any) -> np.ndarray:
    if not isinstance(image, torch.Tensor):
        return np.asarray(image)
    if image.dtype == torch.bfloat16:
        raise InputError("an image of bfloat16 cannot be upscaled: pass integers or float32")
    return image.detach().cpu().numpy()


def _bicubic() -> SavedModel:
    manifest = Manifest(
        name="bicubic",
        backbone=BackboneConfig(kind="bicubic"),
        licence="Apache-2.0",
        trained_on="nothing: the baseline",
    )
    return SavedModel(manifest, (WaveDiffUR(BicubicBackbone()),))


def _info(manifest: Manifest, folder: Path | None) -> ModelInfo:
    present = True
    if folder is not None:
        try:
            verify_checksum(folder, manifest)
        except ModelError:
            present = False
    return ModelInfo(
        name=manifest.name,
        method=manifest.method,
        scales=f"every whole number from 2 to {MAX_SCALE}",
        bands="any number",
        parameters=manifest.parameters,
        licence=manifest.licence,
        trained_on=manifest.trained_on,
        present=present,
        path=None if folder is None else str(folder),
    )


def locate(name: str | Path) -> Path:
    """The folder of a model, embedded, local or on the hub."""
    embedded = EMBEDDED / str(name)
    for folder in (embedded, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    if Path(name).is_dir():
        raise ModelError(f"folder {name} holds no model: config.json is missing")
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return _from_hub(str(name))
    known = ", ".join(info.name for info in models())
    raise ModelError(f"unknown model {str(name)!r}: choose {known}, a folder, or owner/repository")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, allow_patterns=["config.json", "model.safetensors", "README.md"]
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"model {name!r} is not here and cannot be fetched from the hub: {reason}"
        ) from error


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)


def _usable(device: str) -> str:
    """The device, if a tensor can be made on it."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(f"device {device!r} cannot be used here: {reason}") from error
    return device


def _use_bfloat16(precision: Precision, device: str) -> bool:
    if precision not in get_args(Precision):
        raise OptionError(f"unknown precision {precision!r}: choose auto, fp32 or bf16")
    if precision != "auto":
        return precision == "bf16"
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    # Emulated bfloat16 is slower than float32 by a factor, so ask the convolution library.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _version() -> str:
    from ultrares import __version__

    return __version__
