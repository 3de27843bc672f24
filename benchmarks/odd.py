"""What becomes of awkward rasters: a valid product that `check` accepts, or one sentence and exit 1."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from imagery import command, data_folder, header, row

SIDE_FILES = (".aux.xml", ".ovr", ".msk")
"""What GDAL keeps beside a raster: no rasters of their own."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, captured."""
    command = [sys.executable, "-m", "ultrares", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """The last line that says something."""
    return (text.strip().splitlines() or [""])[-1]


def verdict(source: Path, options: list[str]) -> tuple[int, str, bool]:
    """Exit code, what happened to a file, and whether that is acceptable."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "fine.tif")
        done = run("upscale", str(source), str(target), *options)
        left = sorted(path.name for path in Path(folder).iterdir() if path != target)
        if "Traceback" in done.stderr:
            return done.returncode, f"traceback: {last_line(done.stderr)}", False
        if left or (done.returncode and target.exists()):
            return done.returncode, f"left behind: {left or target.name}", False
        if done.returncode:
            sentence = last_line(done.stderr)
            return done.returncode, sentence, done.returncode == 1 and bool(sentence)
        checked = run("check", str(target), str(source))
        if checked.returncode:
            return (
                0,
                f"check failed: {last_line(checked.stdout)} {last_line(checked.stderr)}",
                False,
            )
        return 0, "check ok", True


def main(
    scale: Annotated[int, typer.Option(help="Scale.")] = 2,
    model: Annotated[
        str | None, typer.Option(help="A model; the default one if not given.")
    ] = None,
) -> None:
    """Upscale every file of the odd folder; exit 1 if any ends badly.

    Badly is a traceback, an exit code other than 0 and 1, something left behind, or a product that `check`
    does not accept.
    """
    source = data_folder("odd")
    options = ["--scale", str(scale), *(["--model", model] if model else [])]
    bad = 0
    header("file", "exit", "what happened", "")
    for path in sorted(source.iterdir()):
        if path.is_dir() or path.name.endswith(SIDE_FILES):
            continue
        code, text, good = verdict(path, options)
        row(path.name, code, text.replace(f"{source}/", ""), "" if good else "BAD")
        bad += not good
    if bad:
        sys.exit(f"{bad} files ended badly")


if __name__ == "__main__":
    command(main)
