"""One process at a time runs an experiment; the others know who it is, and how far."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ablate.runner.account import Account, Keeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ablate.store import Store

RUNNING = "running"
"""Folder of the store: ``<spec key>.json`` is the account of the process that runs an experiment."""

HOUSEKEEPING = "housekeeping"
"""The lock that is held while the store is cleaned up, and for a moment when a run begins."""


def experiment_lock(key: str) -> str:
    """The lock that is held while the experiment with this spec key is run."""
    return f"experiment-{key}"


def record_lock(database: Path, key: str) -> Path:
    """The file that is locked while the experiment with this spec key is recorded in an SQLite file: several
    stores may have one record, and do not see each other's locks."""
    database = database.resolve()
    return database.with_name(f"{database.name}.{key[:8]}.lock")


def account_name(key: str) -> str:
    """Under which the account of the process that runs this experiment is kept in the store."""
    return f"{RUNNING}/{key}.json"


@contextmanager
def alone(store: Store, key: str, name: str, say: Callable[[str], None]) -> Iterator[Keeper]:
    """Waits until no other process runs the experiment with this spec key, and says for whom. Gives what
    keeps this process's account."""
    file = account_name(key)
    lock = store.lock(experiment_lock(key))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"{name} is being run by {_described(store, file)}; this command waits until it has ended")
        lock.acquire()
    try:  # from here on the file is this process's
        account = Account.of_this_process(name)
        account.write(store, file)
        with Keeper(account, store, file) as keeper:
            yield keeper
    finally:
        try:
            store.drop(file)
        finally:
            lock.release()


@contextmanager
def recording(database: Path | None, key: str, busy: Callable[[], None]) -> Iterator[None]:
    """In this block no other process records the experiment with this spec key in an SQLite file, from
    whatever store. Where one does, calls ``busy``, and waits for it unless that raises. With a server, None,
    nothing is locked: nobody goes on in a parent run that another place may be recording."""
    if database is None:
        yield
        return
    file = record_lock(database, key)
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        busy()
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that is open
            file.unlink(missing_ok=True)  # who waits for it in this moment locks a new file
        lock.release()


def _described(store: Store, file: str) -> str:
    account = Account.read(store, file)
    if account is None:  # it has just begun, or just ended
        return "another process"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(account.since))
    return f"process {account.process} on {account.host} (since {since})"
