"""``ablate kit``: the frozen parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.options import AsJson, Effort, RandomSeed

app = typer.Typer(
    help="Train or check a kit: VAE, text encoder, evaluator, LPIPS backbone.", no_args_is_help=True
)


@app.command()
def build(
    data: Annotated[
        Path,
        typer.Option("--data", help="Data set to train on, in any format that `ablate data check` reads."),
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the kit to.")],
    effort: Effort = 1.0,
    seed: RandomSeed = 0,
) -> None:
    """Train the frozen parts on a data set, and print how good they are."""
    from ablate.cli.printing.checks import print_qualities
    from ablate.cli.screens import training_bars
    from ablate.kit.build import build_kit

    with training_bars() as progress:
        qualities = build_kit(data, out_folder, effort=effort, seed=seed, progress=progress)
    print_qualities(qualities)


@app.command()
def check(
    kit: Annotated[Path | None, typer.Option("--kit", help="Kit folder. Default: the embedded kit.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data set. Default: the embedded one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good a kit is."""
    from ablate.cli.printing import print_json
    from ablate.cli.printing.checks import print_qualities
    from ablate.kit.check import check_kit
    from ablate.parts.base import EMBEDDED_KIT

    qualities = check_kit(kit or EMBEDDED_KIT, data)
    if as_json:
        print_json(qualities.to_json())
    else:
        print_qualities(qualities)
