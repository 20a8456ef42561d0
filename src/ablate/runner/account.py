"""The account of a running command: who it is and how far, for ``ablate status``."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ablate.errors import AblateError
from ablate.text import first_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ablate.records import Cluster, EpochRow, Finding
    from ablate.store import Store


@dataclass
class Account:
    """What a process that runs an experiment says of itself."""

    experiment: str
    process: int
    host: str
    since: float
    """Seconds since 1970, as all times here."""
    begun: float | None = None
    """When its tasks began; None as long as it looks at what there is to do."""
    epochs: int = 0
    """To train, in this call."""
    epochs_done: int = 0
    runs: int = 0
    """To finish, in this call."""
    runs_done: int = 0
    cluster: dict[str, int] | None = None
    """Nodes, CPUs, GPUs and tasks, if it runs on several machines."""
    tasks: dict[str, str] = field(default_factory=dict)
    """Task that is being done → what it is at."""
    failed: dict[str, str] = field(default_factory=dict)
    """Task → why it failed, in a line."""

    @classmethod
    def of_this_process(cls, experiment: str) -> Account:
        """An account that begins now."""
        return cls(experiment, os.getpid(), socket.gethostname(), time.time())

    @classmethod
    def read(cls, store: Store, name: str) -> Account | None:
        """The account that a store has under a name; None where there is none: its process has just begun, or
        just ended."""
        try:
            content: dict[str, Any] = json.loads(store.get(name) or "")
            return cls(**content)
        except (OSError, ValueError, TypeError):
            return None

    def write(self, store: Store, name: str) -> None:
        """Puts it into a store, in one step."""
        store.put(name, json.dumps(asdict(self), indent=1))


class Keeper:
    """A ``RunProgress`` that keeps what it is told in the store, written now and then by a thread of its own:
    nothing waits for the disk, and a disk that is full only makes the account old.

    A context manager.
    """

    def __init__(self, account: Account, store: Store, name: str) -> None:
        self._account = account
        self._store = store
        self._name = name
        self._names: Collection[str] = ()
        self._lock = threading.Lock()
        self._changed = self._ended = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._write, name="account", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join()

    # ── what it is told ──────────────────────────────────────────────────────────────────────────

    def say(self, text: str) -> None:
        """Nothing to count."""

    def findings(self, findings: Sequence[Finding]) -> None:
        """The audit has ended."""
        with self._change() as account:
            account.tasks.pop("audit", None)

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """From now on the time counts."""
        self._names = runs
        with self._change() as account:
            account.tasks.clear()  # what was looked at before
            account.begun = account.begun or time.time()  # a search begins round after round
            account.epochs, account.runs = epochs, len(runs)

    def cluster(self, seen: Cluster) -> None:
        """Keeps what is there now."""
        with self._change() as account:
            account.cluster = asdict(seen)

    def note(self, task: str, text: str) -> None:
        """A task is doing something."""
        with self._change() as account:
            account.tasks[task] = text

    def epoch(self, task: str, epochs: int, row: EpochRow, memory: int) -> None:
        """Counts an epoch."""
        with self._change() as account:
            account.epochs_done += 1
            account.tasks[task] = f"epoch {epochs}, loss {row['loss']:.4f}"

    def done(self, task: str, text: str = "") -> None:
        """Counts a finished run."""
        with self._change() as account:
            account.tasks.pop(task, None)
            account.runs_done += task in self._names

    def failed(self, task: str, reason: str) -> None:
        """Counts a run that has failed, and keeps why."""
        with self._change() as account:
            account.tasks.pop(task, None)
            account.runs_done += task in self._names
            account.failed[task] = first_line(reason)

    @contextlib.contextmanager
    def _change(self) -> Iterator[Account]:
        with self._lock:
            yield self._account
            self._changed = True

    # ── in the thread ────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        while not self._ended:
            with self._lock:
                account, changed, self._changed = deepcopy(self._account), self._changed, False
            if changed:
                with contextlib.suppress(OSError, AblateError):
                    account.write(self._store, self._name)
            self._wake.wait(self._store.pause)
