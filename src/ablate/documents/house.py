"""What ``status``, ``gc`` and ``rm`` print."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class Command(TypedDict):
    """A call of ``ablate run`` that goes on or was killed. Times are in seconds since 1970."""

    experiment: str
    """Its name."""
    process: int
    """Its number."""
    host: str
    """The machine."""
    since: float
    """When it began."""
    begun: float | None
    """When its tasks began; null as long as it looks at what there is to do."""
    epochs: int
    """To train in this call."""
    epochs_done: int
    """Of them."""
    runs: int
    """To finish in this call."""
    runs_done: int
    """Of them."""
    cluster: dict[str, int] | None
    """Nodes, CPUs, GPUs and tasks; null on one machine."""
    tasks: dict[str, str]
    """Task that is being done → what it is at."""
    failed: dict[str, str]
    """Task → why it failed."""
    state: Literal["running", "killed"]
    """killed: its process is gone and could not say goodbye."""
    seconds: float
    """Since it began."""
    seconds_left: float | None
    """From the pace so far; null as long as there is none."""


class Recorded(TypedDict):
    """The runs of an experiment that count, recorded from one folder."""

    experiment: str
    """Its name."""
    folder: str
    """Host and path; empty where nobody knows."""
    counts: dict[str, int]
    """Status → how many runs have it; PRUNED for those that a search has ended early."""
    failed: dict[str, str]
    """Run → why it failed."""


class Status(TypedDict):
    """What goes on in a store, and what MLflow has."""

    commands: list[Command]
    """That run or were killed."""
    recorded: list[Recorded]
    """In MLflow's SQLite file; empty where the record is elsewhere."""


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
    """Of all items."""
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
    """MLflow's ids."""
    studies: list[str]
    """Optuna's."""
    report: list[str]
    """Files of its report."""
    edited: list[str]
    """Files of its report that somebody has changed: they stay."""
    other_experiments: int
    """Of the same name, that stay recorded: of other settings, or from other folders."""
    recorded_elsewhere: list[str]
    """Those of the runs' parents that were recorded from another folder."""
    bytes: int
    """Of all items."""
    items: list[Item]
    """In the store: what no other experiment needs."""
