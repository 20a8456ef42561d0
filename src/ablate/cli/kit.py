"""``ablate kit``: the frozen parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.options import Effort, RandomSeed, Sets

app = typer.Typer(
    help="Kits: the frozen parts (VAE, text encoder, evaluator, LPIPS backbone).", no_args_is_help=True
)


@app.command()
def build(
    data: Annotated[Path, typer.Option("--data", help="Folder in the task's format.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the kit to.")],
    effort: Effort = 1.0,
    seed: RandomSeed = 0,
) -> None:
    """Train the frozen parts on a data set and print their qualities."""
    from ablate.cli.printing import print_qualities
    from ablate.kit.build import build_kit

    print_qualities(build_kit(data, out_folder, effort=effort, seed=seed))


@app.command()
def check(
    kit: Annotated[Path | None, typer.Option("--kit", help="Kit folder. Default: the embedded kit.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Data set. Default: the embedded one.")] = None,
) -> None:
    """Measure a kit's qualities again."""
    from ablate.cli.printing import print_qualities
    from ablate.components import EMBEDDED
    from ablate.kit.check import check_kit

    print_qualities(check_kit(kit or EMBEDDED, data))


@app.command()
def distill_decoder(
    data: Annotated[Path, typer.Option("--data", help="A data set's folder.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write the decoder to.")],
    profile: Annotated[
        str, typer.Option("--profile", help="Whose VAE, LPIPS backbone and image size.")
    ] = "sprites",
    sets: Sets = None,
    effort: Effort = 1.0,
    seed: RandomSeed = 0,
) -> None:
    """Train a small decoder that stands in for a VAE's own in the LPIPS loss (components.small_decoder)."""
    from ablate.cli.printing import print_small_decoder
    from ablate.kit import distill
    from ablate.kit.build import console_progress
    from ablate.parts.check import require
    from ablate.spec.load import load_config

    config, show = load_config(profile, sets or ()), console_progress()
    require([(name, getattr(config.components, name)) for name in ("vae", "perceptual")], profile)
    made = distill.distill_decoder(
        config,
        data,
        out_folder,
        effort=effort,
        seed=seed,
        tell=lambda *step: show("small decoder", *step),
    )
    print_small_decoder(made, out_folder)
