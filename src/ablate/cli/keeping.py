"""``ablate status``, ``gc``, ``rm``, ``export`` and ``import``: keeping house."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ablate.cli.options import STORE, StoreFolder, TrackingUri

Do = Annotated[bool, typer.Option("--do", help="Do it. Without this, only say what would be done.")]


def gc(
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the weights that `ablate sample` draws from.")
    ] = False,
    do: Do = False,
) -> None:
    """Free what no finished experiment needs any more: optimizer states, samples that MLflow has, leftovers.

    Without --do it only says what that would be, and why it may go. Reports, results and what a command that
    was interrupted goes on from always stay.
    """
    from ablate.cli.printing import print_found
    from ablate.keeping.gc import collect, find
    from ablate.record.client import default_uri
    from ablate.store import Store

    act = collect if do else find
    print_found(act(Store(store), tracking_uri or default_uri(), weights=weights), store, done=do)


def status(
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """Say what runs in which process, how far it is, and what failed and why.

    It only reads, and waits for nobody: use it while another command runs.
    """
    from ablate.cli.printing import print_status
    from ablate.keeping.status import status_of
    from ablate.record.client import default_uri
    from ablate.store import Store

    found = status_of(Store(store), tracking_uri or default_uri())
    if as_json:
        sys.stdout.write(json.dumps(found.as_json(), indent=2) + "\n")
    else:
        print_status(found, store)
