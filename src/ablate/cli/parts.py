"""``ablate fetch`` and ``doctor``: what a profile needs, and whether it can run here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import STORE, AsJson, Sets, TrackingUri, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ablate.doctor import Answer


def fetch(
    profile: Annotated[str, typer.Option("--profile", help="Profile whose parts to get.")] = "sprites",
    sets: Sets = None,
) -> None:
    """Download the pretrained parts of a profile before any run, and load each of them once.

    Parts that are already there are skipped. If it is interrupted, give the same command again.
    """
    from ablate.cli.screens import FetchScreen
    from ablate.experiment.load import load_config
    from ablate.parts.fetch import fetch_parts

    fetch_parts(load_config(profile, sets or ()), FetchScreen())


def doctor(
    profile: Annotated[str, typer.Option("--profile", help="Profile to check.")] = "sprites",
    sets: Sets = None,
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="The store's folder, or a bucket.")
    ] = STORE,
    store: Annotated[
        bool, typer.Option("--store", help="Check every entry of the store instead: reads all its files.")
    ] = False,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a profile can run on this machine: parts, devices, libraries, disk, MLflow.

    With --store: whether all that the store holds is as it was written. Exits with 1 if something is wrong,
    and says what to do about it.
    """
    from ablate.cli.printing import print_json
    from ablate.cli.printing.checks import print_answers
    from ablate.cli.screens import checking_bar
    from ablate.keeping.check import check_store

    def show(answers: Iterable[Answer]) -> bool:
        if not as_json:
            return print_answers(answers)
        found = [answer.as_json() for answer in answers]
        print_json(found)
        return all(answer["state"] != "wrong" for answer in found)

    if store:
        with checking_bar() as progress:
            sound = show(check_store(open_store(folder), progress, named=folder != STORE))
    else:
        sound = show(answers_of(profile, sets, folder, tracking_uri))
    if not sound:
        raise typer.Exit(1)


def answers_of(
    profile: str, sets: list[str] | None, store: str, tracking_uri: str | None
) -> Iterator[Answer]:
    """What ``ablate doctor`` says of a profile. Raises UserError if there is no such profile or field."""
    from ablate.doctor import diagnose
    from ablate.experiment.load import load_config
    from ablate.record.addresses import default_uri
    from ablate.store import opening

    config, root = load_config(profile, sets or ()), opening.open_store(store).root
    return diagnose(config, profile, root, default_uri() if tracking_uri is None else tracking_uri)
