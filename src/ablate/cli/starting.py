"""``ablate examples``: something to begin with."""

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
