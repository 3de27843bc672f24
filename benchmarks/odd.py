"""What becomes of awkward rasters: a valid product that `check` accepts, or one sentence and exit 1."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from imagery import data_folder, header, row


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, captured."""
    command = [sys.executable, "-m", "ultrares.cli.app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def verdict(source: Path, folder: Path, options: list[str]) -> tuple[str, bool]:
    """What happened to a file, and whether that is acceptable."""
    target = folder / "fine.tif"
    target.unlink(missing_ok=True)
    done = run("upscale", str(source), str(target), *options)
    left = [path.name for path in folder.iterdir() if path != target]
    sentence = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if done.returncode == 0:
        checked = run("check", str(target), str(source))
        text = checked.stdout.strip().splitlines()[-1] if checked.stdout.strip() else checked.stderr
        good = checked.returncode == 0 and not left
        return ("product, check ok" if good else f"check: {text} {left}"), good
    good = done.returncode == 1 and "Traceback" not in done.stderr and not left
    return f"exit {done.returncode}: {sentence}", good and not target.exists()


def main(
    scale: Annotated[int, typer.Option(help="Scale.")] = 2,
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Upscale every file of the odd folder; exit 1 if any ends badly."""
    source = data_folder("odd")
    options = ["--scale", str(scale), *(["--model", model] if model else [])]
    bad = 0
    header("file", "what happened")
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(source.iterdir()):
            text, good = verdict(path, Path(folder), options)
            row(path.name, text.replace(str(source) + "/", ""))
            bad += not good
    if bad:
        sys.exit(f"{bad} files ended badly")


if __name__ == "__main__":
    typer.run(main)
