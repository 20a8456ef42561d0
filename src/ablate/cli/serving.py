"""``ablate mcp``: the commands as tools, for clients of the Model Context Protocol."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from ablate.cli.options import REPORTS, STORE, Reports, StoreAddress, TrackingUri
from ablate.errors import UserError


def mcp(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Folder of the study. Paths are relative to it.")
    ] = Path(),
    allow_run: Annotated[
        bool, typer.Option("--allow-run", help="Also offer what computes: the audit, and runs.")
    ] = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Serve the commands as tools of the Model Context Protocol, over standard input and output.

    A client starts this by itself. Without --allow-run its tools only read. Needs the package mcp.
    """
    try:
        from ablate.cli.tools import Tools, server
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("mcp"):
            raise
        fix = "pip install 'mcp>=2.3,<3'"
        raise UserError(
            "the SDK of the Model Context Protocol is not installed", where="ablate mcp", fix=fix
        ) from error
    if not folder.is_dir():
        raise UserError("there is no such folder", where=str(folder), fix="Name the folder of the study.")
    os.chdir(folder)
    tools = Tools(store, tracking_uri, reports)
    run = server(tools, allow_run=allow_run).run
    # In a thread, since nothing wakes one that waits for standard input: a signal still ends this command.
    serving = Thread(target=run, daemon=True)
    serving.start()
    try:
        serving.join()
    finally:
        tools.interrupt()
