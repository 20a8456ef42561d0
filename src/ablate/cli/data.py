"""``ablate data``: data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.options import STORE, AsJson, RandomSeed, StoreAddress, open_store
from ablate.errors import UserError

app = typer.Typer(help="Make, download and check data sets.", no_args_is_help=True)


@app.command()
def sprites(
    out_folder: Annotated[Path, typer.Option("--out", help="New folder for the data set.")],
    seed: RandomSeed = 0,
) -> None:
    """Write the embedded data set to a folder: monsters with captions, in the published task's format."""
    from ablate.cli.printing import say
    from ablate.data.sprites import generate

    if out_folder.exists() and (not out_folder.is_dir() or any(out_folder.iterdir())):
        raise UserError("there is something here already", where=str(out_folder), fix="Choose a new folder.")
    generate(out_folder, seed)
    say(f"Data set: {out_folder}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="hub:owner/name, or hub:owner/name@revision.")],
    store: StoreAddress = STORE,
) -> None:
    """Download a data set from the Hugging Face hub into the store. Needs the package datasets."""
    from ablate.cli.printing import say
    from ablate.data.hub import PREFIX
    from ablate.data.place import Hub

    if not Hub.takes(name):
        raise UserError(
            "is not the name of a data set on the hub", where=name, fix=f"Write {PREFIX}owner/name."
        )
    kept = Hub(name).folder(open_store(store), name, say)
    say(f"In the store: {kept}. Use it as data.path: {name}")


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder.")],
    every: Annotated[
        bool, typer.Option("--all", help="List every place, not only a few of each kind.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what is wrong or unusual in a data set. Exits with 2 if you cannot train on it."""
    from ablate.cli.printing import print_json
    from ablate.cli.printing.checks import print_data_report
    from ablate.cli.screens import decoding_bar
    from ablate.data.check import check_data

    with decoding_bar() as progress:
        found = check_data(folder, progress)
    if as_json:
        print_json(found.as_json())
    else:
        print_data_report(found, every=every)
    if not found.trainable:
        raise typer.Exit(2)
