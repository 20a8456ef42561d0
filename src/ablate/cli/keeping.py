"""``ablate status``, ``gc``, ``rm``, ``export`` and ``import``: keeping house."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from ablate.cli.options import STORE, StoreFolder, TrackingUri


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
