"""``ultrares plan``: what a product will be, and what it will take to make it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ultrares.cli.console import complain, say, say_facts, say_json
from ultrares.cli.options import (
    Area,
    AsJson,
    Asset,
    Bands,
    Device,
    Draws,
    EvidencePath,
    Gsd,
    InputPath,
    Like,
    Memory,
    ModelName,
    ModeName,
    PrecisionName,
    ReferencePath,
    Scale,
    Seed,
    Sensor,
    Steps,
    Subdataset,
    TileSide,
    UncertaintyPath,
    parse_bands,
)
from ultrares.cli.start import quick_start

if TYPE_CHECKING:
    from ultrares.reports import PlanReport


def plan(  # noqa: PLR0913 - a command's options are its interface
    source: InputPath,
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[OUT]", help="The file to write; the current folder if left out."),
    ] = None,
    *,
    scale: Scale = None,
    gsd: Gsd = None,
    like: Like = None,
    model: ModelName = None,
    reference: ReferencePath = None,
    mode: ModeName = "fidelity",
    draws: Draws = 1,
    uncertainty: UncertaintyPath = None,
    evidence: EvidencePath = None,
    steps: Steps = None,
    seed: Seed = 0,
    sensor: Sensor = "box",
    tile: TileSide = None,
    memory: Memory = None,
    precision: PrecisionName = "auto",
    device: Device = None,
    aoi: Area = None,
    asset: Asset = None,
    subdataset: Subdataset = None,
    bands: Bands = None,
    json: AsJson = False,
) -> None:
    """Say what `upscale` with the same options would make and take; exit 2 if that does not fit."""
    if sum(given is not None for given in (scale, gsd, like)) != 1:
        raise typer.BadParameter("pass exactly one of --scale, --gsd and --like")
    with quick_start():
        from ultrares import api

    report = api.plan_scene(
        source,
        target,
        scale=scale,
        gsd=gsd,
        like=like,
        model=model,
        reference=reference,
        mode=mode,
        draws=draws,
        uncertainty=uncertainty,
        evidence=evidence,
        steps=steps,
        seed=seed,
        sensor=sensor,
        tile=tile,
        memory=memory,
        precision=precision,
        device=device,
        aoi=aoi,
        asset=asset,
        subdataset=subdataset,
        bands=parse_bands(bands),
    )
    if json:
        say_json(report.to_dict())
    else:
        say_facts(facts(report))
        say("fits" if report.fits else refusal(report))
        if target is not None and target.exists():
            complain(f"{target} exists: upscale will ask for --overwrite")
    if not report.fits:
        raise typer.Exit(2)


def facts(report: PlanReport) -> dict[str, object]:
    """The report as a person reads it."""
    found: dict[str, object] = {
        "output": f"{report.width} x {report.height} px, {report.bands} bands {report.dtype}, x{report.scale:.6g}",
        "model": report.model,
        "tiles": f"{report.tiles} of {report.tile} px",
        "memory": f"{report.memory_bytes / 1e9:.1f} GB of {report.memory_limit_bytes / 1e9:.1f} GB",
        "product": gigabytes(report.product_bytes),
        "beside_it": f"{gigabytes(report.scratch_bytes)} while it is made",
        "disk": f"{gigabytes(report.disk_free_bytes)} free",
    }
    if report.hours is not None and report.megapixels_per_second is not None:
        found["time"] = f"{duration(report.hours)} at {report.megapixels_per_second:.2f} MPix/s"
    return found


def refusal(report: PlanReport) -> str:
    """What does not fit."""
    lacks = [
        word
        for word, lacking in (("memory", report.lacks_memory), ("disk", report.lacks_disk))
        if lacking
    ]
    return f"does not fit: not enough {' and '.join(lacks)}"


def gigabytes(count: int) -> str:
    """A number of bytes, in megabytes if it is small."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def duration(hours: float) -> str:
    """A time, in the unit that suits it."""
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.0f} seconds"
