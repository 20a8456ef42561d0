"""``ablate fetch`` and ``doctor``: what a profile needs, and whether it can run here."""

from __future__ import annotations

from typing import Annotated

import typer

from ablate.cli.options import STORE, Sets, StoreFolder, TrackingUri


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
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say whether a profile can run on this machine: parts, devices, libraries, disk, MLflow.

    Exits with 1 if it cannot, and says what to do about it.
    """
    from ablate.cli.printing import print_answers
    from ablate.doctor import diagnose
    from ablate.experiment.load import load_config
    from ablate.record.client import default_uri

    config = load_config(profile, sets or ())
    if not print_answers(diagnose(config, profile, store, tracking_uri or default_uri())):
        raise typer.Exit(1)
