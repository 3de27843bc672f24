"""Train the model of a recipe: ``python -m ultrares.training RECIPE --data DIR --out DIR``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ultrares.errors import UltraresError


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/wavediffur-naip.toml.")],
    data: Annotated[Path, typer.Option(help="Folder of tiles to train on.")],
    out: Annotated[Path, typer.Option(help="Folder of checkpoints and logs.")] = Path("runs"),
) -> None:
    """Train the backbone and the denoiser of a recipe; run it again to resume after a stop."""
    from ultrares.training.run import train_recipe

    try:
        typer.echo(train_recipe(recipe, data, out))
    except UltraresError as error:
        typer.echo(f"ultrares: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(train)
