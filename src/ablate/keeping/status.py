"""``ablate status``: what runs in which process, how far it is, and what failed. Reads files only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from ablate.record.status import glance
from ablate.runner.account import Account
from ablate.runner.exclusive import RUNNING, experiment_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.documents import house
    from ablate.record.status import Glance
    from ablate.store import Store


@dataclass(frozen=True)
class Command:
    """An ``ablate run`` that goes on, or was killed."""

    account: Account
    killed: bool
    """Its process is gone and could not say goodbye."""

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.time() - self.account.since

    @property
    def seconds_left(self) -> float | None:
        """From the pace so far; None as long as there is none. Drawing and measuring a run counts as much as
        an epoch."""
        account = self.account
        done, all_ = account.epochs_done + account.runs_done, account.epochs + account.runs
        if self.killed or account.begun is None or not done:
            return None
        return (time.time() - account.begun) * max(all_ - done, 0) / done

    def as_json(self) -> house.Command:
        """The same as plain data."""
        account, left = self.account, self.seconds_left
        return {
            "experiment": account.experiment,
            "process": account.process,
            "host": account.host,
            "since": account.since,
            "begun": account.begun,
            "epochs": account.epochs,
            "epochs_done": account.epochs_done,
            "runs": account.runs,
            "runs_done": account.runs_done,
            "cluster": account.cluster,
            "tasks": account.tasks,
            "failed": account.failed,
            "state": "killed" if self.killed else "running",
            "seconds": round(self.seconds, 1),
            "seconds_left": None if left is None else round(left, 1),
        }


@dataclass(frozen=True)
class Status:
    """What goes on in a store, and what MLflow has."""

    commands: Sequence[Command]
    recorded: Sequence[Glance]

    def as_json(self) -> house.Status:
        """The same as plain data."""
        return {
            "commands": [command.as_json() for command in self.commands],
            "recorded": [
                {
                    "experiment": one.experiment,
                    "folder": one.folder,
                    "counts": one.counts,
                    "failed": one.failed,
                }
                for one in self.recorded
            ],
        }


def status_of(store: Store, uri: str) -> Status:
    """What goes on now. Waits for nobody and writes nothing."""
    return Status(commands_of(store), glance(uri))


def commands_of(store: Store) -> list[Command]:
    """The commands at work on a store, and those that were killed."""
    commands = []
    for name in store.names(RUNNING):
        # Asked first: what ends in between has removed its account.
        killed = not store.held(experiment_lock(PurePath(name).stem))
        if account := Account.read(store, name):
            commands.append(Command(account, killed))
    return commands
