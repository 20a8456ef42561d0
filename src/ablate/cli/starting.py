"""``ablate examples`` and ``init``: something to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = Path("experiments")


def examples(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to copy them.")] = EXAMPLES,
) -> None:
    """List the shipped experiments with their questions, and copy them into a folder. No file is replaced."""
    from ablate.cli.printing.starting import print_examples
    from ablate.experiment.shipped import copy_examples

    print_examples(copy_examples(folder))


def init(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Your images with their captions.")],
    design: Annotated[
        Path | None,
        typer.Option("--from", metavar="SPEC", help="Take its question, variants, seeds and claims."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="Profile to use instead of the one that fits.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Spec to write. Default: FOLDER.yaml, here.")
    ] = None,
) -> None:
    """Look at your own images, and write a first experiment on them that runs as it is.

    It also trains the frozen parts on them, which takes minutes. No file is replaced. If it is interrupted,
    give the same command again.
    """
    from ablate.cli.printing.checks import print_qualities
    from ablate.cli.printing.starting import print_found, print_next
    from ablate.cli.screens import decoding_bar, training_bars
    from ablate.first_spec import first_spec

    with decoding_bar() as progress:
        first = first_spec(data, design=design, profile=profile, out=out, progress=progress)
    print_found(first)
    if kit := first.setting.kit:
        from ablate.kit.build import build_kit, trained_on

        if not trained_on(kit, data):
            with training_bars() as bars:
                qualities = build_kit(data, kit, effort=first.setting.effort, progress=bars)
            print_qualities(qualities)
    print_next(first)
