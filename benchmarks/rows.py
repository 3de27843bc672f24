"""The rows of the quality table: what is compared, in the order it is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from cases import Case
from imagery import data_folder
from peers import carn_m, dat_light, real_esrgan
from peers.injection import best_gain, detail
from peers.interpolation import as_bytes, bicubic, bicubic_float, lanczos
from peers.steps import enlarge, factors
from scoring import Method

import ultrares
from ultrares.api import Model
from ultrares.errors import OptionError
from ultrares.types import Mode

Choice = Callable[[Case], np.ndarray | None]
"""Which reference image a row gives to the model."""


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        key: How the row is chosen on the command line.
        name: How it is printed.
        prepare: Makes the method ready for all cases of one scale, before the clock runs. It may raise
            MissingPeerError or an error of ultrares, which becomes the row's text.
    """

    key: str
    name: str
    prepare: Callable[[Sequence[Case]], Method]


def fixed(method: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[Sequence[Case]], Method]:
    """A method that looks at the coarse image alone and needs no preparation."""
    return lambda _: lambda case: method(case.coarse, case.scale)


def mean_image(_: Sequence[Case]) -> Method:
    """Each band's mean everywhere: the floor of every figure."""
    return lambda case: np.broadcast_to(
        case.truth.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8), case.truth.shape
    )


def injection(cases: Sequence[Case]) -> Method:
    """Bicubic plus the reference's detail, times the gain that suits these very tiles best."""
    gain = best_gain(
        (
            case.truth - bicubic_float(case.coarse, case.scale),
            detail(case.reference, case.scale, case.sensor),
        )
        for case in cases
    )
    return lambda case: as_bytes(
        bicubic_float(case.coarse, case.scale)
        + gain * detail(case.reference, case.scale, case.sensor)
    )


def carn(_: Sequence[Case]) -> Method:
    """CARN-M, in native steps."""
    net = carn_m.load(carn_weights())
    return lambda case: enlarge(case.coarse, case.scale, net.enlarge, carn_m.NATIVE)


def carn_weights() -> Path:
    """Where the shared imagery keeps them."""
    return data_folder(".") / "peers/carn_m.pth"


def dat(cases: Sequence[Case]) -> Method:
    """DAT-light, in native steps."""
    nets = {step: loaded_dat(step) for step in factors(cases[0].scale, dat_light.NATIVE)}
    return lambda case: enlarge(
        case.coarse, case.scale, lambda image, step: nets[step](image), dat_light.NATIVE
    )


def carn_plugged(_: Sequence[Case]) -> Method:
    """CARN-M as the backbone of Algorithm 1: held to the scene after each native step."""
    net = carn_m.load(carn_weights())
    backbone = ultrares.Backbone.wrap(net.enlarge, scales=carn_m.NATIVE, halo=22, name="CARN-M")
    return inside(backbone)


def dat_plugged(cases: Sequence[Case]) -> Method:
    """DAT-light as the backbone of Algorithm 1."""
    nets = {step: loaded_dat(step) for step in factors(cases[0].scale, dat_light.NATIVE)}
    return inside(ultrares.Backbone.wrap(nets, halo=64, local=False, name="DAT-light"))


def esrgan_plugged(_: Sequence[Case]) -> Method:
    """Real-ESRGAN x4plus as the backbone of Algorithm 1; x2 is its x4, averaged by area."""
    return inside(
        ultrares.Backbone.wrap(loaded_esrgan(), halo=64, local=False, name="Real-ESRGAN x4plus")
    )


def inside(backbone: ultrares.Backbone) -> Method:
    """Algorithm 1 around a backbone."""
    model = ultrares.load(backbone, device="cpu")
    return lambda case: model.upscale(case.coarse, scale=case.scale, sensor=case.sensor.name)


def esrgan(_: Sequence[Case]) -> Method:
    """Real-ESRGAN x4plus, in steps of 4, the last one halved where it must be."""
    net = loaded_esrgan()
    return lambda case: enlarge(
        case.coarse, case.scale, lambda image, _: net(image), real_esrgan.NATIVE
    )


loaded_dat = cache(dat_light.load)
loaded_esrgan = cache(real_esrgan.load)
loaded = cache(ultrares.load)


def ours(name: str | None, mode: Mode, reference: Choice, _: Sequence[Case]) -> Method:
    """A model of ultrares, with or without a reference image."""
    model: Model = loaded(name)

    def method(case: Case) -> np.ndarray:
        return model.upscale(
            case.coarse,
            scale=case.scale,
            sensor=case.sensor.name,
            mode=mode,
            reference=reference(case),
        )

    return method


def unfused(name: str | None, _: Sequence[Case]) -> Method:
    """A model of ultrares with a reference that is not brought to the scene's date first."""
    model: Model = loaded(name).without_fusion()
    return lambda case: model.upscale(
        case.coarse, scale=case.scale, sensor=case.sensor.name, reference=case.reference
    )


def none(_: Case) -> None:
    """No reference."""


def real(case: Case) -> np.ndarray:
    """The same place two years before."""
    return case.reference


def itself(case: Case) -> np.ndarray:
    """The coarse image, enlarged: a reference that knows nothing new."""
    return bicubic(case.coarse, case.scale)


def elsewhere(case: Case) -> np.ndarray:
    """Another place: a reference that is wrong."""
    return case.elsewhere


def rows(algorithm_1: str, algorithm_2: str | None) -> list[Row]:
    """All rows.

    Args:
        algorithm_1: Model of the cascade that uses no reference.
        algorithm_2: Model of the one that does; None is the default model.
    """
    one, two = partial(partial, ours, algorithm_1), partial(partial, ours, algorithm_2)
    return [
        Row("mean", "mean image", mean_image),
        Row("bicubic", "bicubic", fixed(bicubic)),
        Row(
            "bicubic-bp",
            "bicubic, cascaded and back-projected",
            partial(ours, "bicubic", "fidelity", none),
        ),
        Row("lanczos", "Lanczos", fixed(lanczos)),
        Row("carn", "CARN-M", carn),
        Row("dat", "DAT-light", dat),
        Row("carn-in", "WaveDiffUR around CARN-M", carn_plugged),
        Row("dat-in", "WaveDiffUR around DAT-light", dat_plugged),
        Row("esrgan", "Real-ESRGAN x4plus", esrgan),
        Row("esrgan-in", "WaveDiffUR around Real-ESRGAN x4plus", esrgan_plugged),
        Row("inject", "bicubic + high pass of 2018, fitted gain", injection),
        Row("alg1", "Algorithm 1", one("fidelity", none)),
        Row("alg2", "Algorithm 2, no reference", two("fidelity", none)),
        Row("alg2-ref", "Algorithm 2, reference 2018", two("fidelity", real)),
        Row("alg2-raw", "the same, the reference as it was taken", partial(unfused, algorithm_2)),
        Row("alg2-self", "Algorithm 2, reference is the input", two("fidelity", itself)),
        Row("alg2-other", "Algorithm 2, reference of another place", two("fidelity", elsewhere)),
        Row("alg1-p", "Algorithm 1, perceptual", one("perceptual", none)),
        Row("alg2-p", "Algorithm 2, perceptual, no reference", two("perceptual", none)),
        Row("alg2-ref-p", "Algorithm 2, perceptual, reference 2018", two("perceptual", real)),
    ]


def chosen(keys: str | None, known: list[Row]) -> list[Row]:
    """The rows of a comma-separated list, in the table's order; all of them without one.

    Raises:
        OptionError: There is no such row.
    """
    if keys is None:
        return known
    wanted = {key.strip() for key in keys.split(",")}
    unknown = wanted - {row.key for row in known}
    if unknown:
        raise OptionError(
            f"no row {', '.join(sorted(unknown))}: choose of {', '.join(row.key for row in known)}"
        )
    return [row for row in known if row.key in wanted]
