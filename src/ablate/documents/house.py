"""What ``status``, ``gc`` and ``rm`` print."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class Command(TypedDict):
    """A call of ``ablate run`` that goes on or was killed. Times are in seconds since 1970."""

    experiment: str
    """Its name."""
    process: int
    """Number of its process."""
    host: str
    """The machine it runs on."""
    since: float
    """When it began."""
    begun: float | None
    """When its tasks began; null as long as it looks at what there is to do."""
    epochs: int
    """Number of epochs to train in this call."""
    epochs_done: int
    """How many of these epochs are trained."""
    runs: int
    """Number of runs to finish in this call."""
    runs_done: int
    """How many of these runs are done."""
    cluster: dict[str, int] | None
    """Number of nodes, CPUs, GPUs and tasks; null on one machine."""
    tasks: dict[str, str]
    """Task that is being done → what it is at."""
    failed: dict[str, str]
    """Task → why it failed."""
    state: Literal["running", "killed"]
    """killed: its process is gone and could not say goodbye."""
    seconds: float
    """Seconds since it began."""
    seconds_left: float | None
    """Seconds that are left, at the pace so far; null as long as there is none."""


class Recorded(TypedDict):
    """The runs of an experiment that count, recorded from one folder."""

    experiment: str
    """Its name."""
    folder: str
    """Host and path of the folder; empty where nobody knows."""
    counts: dict[str, int]
    """Status → how many runs have it; PRUNED for those that a search has ended early."""
    failed: dict[str, str]
    """Run → why it failed."""


class Status(TypedDict):
    """What goes on in a store, and what MLflow has."""

    commands: list[Command]
    """The commands that run or were killed."""
    recorded: list[Recorded]
    """The experiments in MLflow's SQLite file; empty where the record is elsewhere."""


class Item(TypedDict):
    """Something of the store that can go."""

    kind: str
    """What it is, in words."""
    path: str
    """Where it is."""
    bytes: int
    """Its size."""


class Removable(TypedDict):
    """What can go from the store."""

    done: bool
    """Whether it went: with --do."""
    bytes: int
    """Size of all items together."""
    items: list[Item]
    """What can go."""
    running: list[str]
    """Experiments that are being run."""
    unfinished: list[str]
    """Experiments of which MLflow lacks runs: all that they need stays."""
    begins_again: list[str]
    """Experiments whose training, if it is to be longer, will begin again."""


class Doomed(TypedDict):
    """What goes with an experiment."""

    done: bool
    """Whether it went: with --do."""
    experiment: str
    """Its name."""
    runs: list[str]
    """Ids of its runs in MLflow."""
    studies: list[str]
    """Names of its studies in Optuna."""
    report: list[str]
    """Files of its report."""
    edited: list[str]
    """Files of its report that somebody has changed: they stay."""
    other_experiments: int
    """Number of experiments of the same name that stay recorded: of other settings, or from other folders."""
    recorded_elsewhere: list[str]
    """The runs' parents that were recorded from another folder."""
    bytes: int
    """Size of all items together."""
    items: list[Item]
    """What of the store no other experiment needs."""
