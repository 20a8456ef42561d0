"""One process at a time runs an experiment; the others know who it is."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from filelock import Timeout

from ablate.store import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ablate.store import Store

RUNNING = "running"
"""Folder of the store: ``<spec key>.json`` says which process runs an experiment."""


@contextmanager
def alone(store: Store, key: str, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Waits until no other process runs the experiment with this spec key, and says for whom."""
    who = store.root / RUNNING / f"{key}.json"
    lock = store.lock(f"experiment-{key}")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"{name} is being run by {_described(who)}; this command waits until it has ended")
        lock.acquire()
    try:  # from here on the file is this process's
        write_file(who, json.dumps(_this_process(name), indent=1))
        yield
    finally:
        who.unlink(missing_ok=True)
        lock.release()


def _this_process(name: str) -> dict[str, str | int]:
    return {
        "experiment": name,
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _described(who: Path) -> str:
    try:
        process = json.loads(who.read_text())
        return f"process {process['process']} on {process['host']} (since {process['since']})"
    except (OSError, ValueError):  # it has just begun, or just ended
        return "another process"
