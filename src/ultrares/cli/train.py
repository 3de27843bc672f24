"""``ultrares train``: from a recipe and a folder of imagery to a model."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ultrares.cli.console import complain, say, say_json
from ultrares.cli.options import AsJson

Accelerator = Literal["auto", "cpu", "gpu"]


def train(  # noqa: PLR0913 - a command's options are its interface
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A TOML recipe, or the name of a known one.")
    ],
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of rasters.")] = Path(),
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of checkpoints, logs and the model.")
    ] = Path("runs"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin the run anew.")] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="The most steps each time a stage trains, for a rehearsal."),
    ] = None,
    accelerator: Annotated[Accelerator, typer.Option(help="Where to compute.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs, or processes on the CPU.")] = 1,
    json: AsJson = False,
) -> None:
    """Train the model of a recipe on a folder of imagery."""
    if resume and restart:
        raise typer.BadParameter("--resume and --restart contradict each other")
    from ultrares.cli.progress import steps_on_stderr
    from ultrares.training.execution import Execution
    from ultrares.training.run import train_recipe

    started = time.monotonic()
    try:
        with steps_on_stderr() as progress:
            model = train_recipe(
                recipe,
                data,
                out,
                existing="resume" if resume else "restart" if restart else "refuse",
                steps=steps,
                execution=Execution(resolved(accelerator), devices, progress=progress),
            )
    except KeyboardInterrupt:
        kept = (
            "go on from the last checkpoint"
            if any(out.rglob("*.ckpt"))
            else "nothing is kept yet; begin again"
        )
        complain(f"stopped; {kept} with: {again(recipe, data, out, steps)}")
        raise
    seconds = time.monotonic() - started
    _tell(model, out, seconds, json=json)


def resolved(accelerator: Accelerator) -> str:
    """The accelerator that "auto" means here."""
    import torch

    if accelerator == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    return accelerator


def again(recipe: str, data: Path, out: Path, steps: int | None) -> str:
    """The command that goes on with a run."""
    words = ["ultrares", "train", recipe, "--data", str(data), "--out", str(out), "--resume"]
    return shlex.join(words if steps is None else [*words, "--steps", str(steps)])


def _tell(model: Path, out: Path, seconds: float, *, json: bool) -> None:
    from ultrares.catalogue import manifest_of
    from ultrares.training.run import is_first_process

    if not is_first_process():
        return
    manifest = manifest_of(model)
    if json:
        say_json(
            {
                "model": model,
                "name": manifest.name,
                "parameters": manifest.parameters,
                "logs": sorted(out.glob("*/log.csv")),
                "seconds": round(seconds, 1),
            }
        )
    else:
        say(f"{model}  {manifest.name}, {manifest.parameters:,} parameters, {seconds:.0f} s")
