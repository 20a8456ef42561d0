"""``ablate gc``: what of the store can go, and why.

Each experiment that has run in a store keeps there what it needs of it (``runner/needs.py``), once for each
place that it was run from, and MLflow says which of its runs are recorded, files included. It is *finished*
when all are. The weights of a finished one stay, because ``ablate sample`` draws from them; of any other, all
stays that the same command goes on from.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from ablate.record.read import find_experiment
from ablate.runner.exclusive import HOUSEKEEPING, experiment_lock
from ablate.runner.needs import Entry, Needs, read_needs
from ablate.store import DAMAGED, KEPT
from ablate.store.files import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from ablate.documents import house
    from ablate.store import Store

KINDS = {
    "optimizer states": "only training goes on from them, and the experiments that have them are finished",
    "states in between": "no finished experiment draws from them",
    "samples and scores": "MLflow has them",
    "weights": "--weights: without them `ablate sample` cannot draw",
    "superseded": "of other code, data or settings: no experiment that ran here needs them",
    "of other versions": "another version of ablate wrote them, and this one does not read them",
    "damaged": "they were not as written, and were set aside",
    "leftovers": "killed processes left them half-written",
    "marks": "they keep states that are gone",
    "locks": "nobody holds them",
}
"""What may go → why, in the order in which it is shown."""

BESIDE_A_RUN = ("leftovers", "marks", "locks")
"""What a run that goes on may be about to use: it stays while there is one."""

NEVER = (f"{HOUSEKEEPING}.lock", experiment_lock("*.lock"))
"""Locks that stay: who waits for one and who finds none must not both go on."""


@dataclass(frozen=True)
class Item:
    """Something that can go."""

    kind: str
    """Of ``KINDS``."""
    path: Path
    bytes: int
    entry: Entry | None = None
    """Stage and key, where it is an entry of the store."""
    mark: str = ""
    """Its name, where it is a mark."""

    def as_json(self) -> house.Item:
        """What it is, where, and how large, as plain data."""
        return {"kind": self.kind, "path": str(self.path), "bytes": self.bytes}


@dataclass(frozen=True)
class Experiment:
    """What an experiment needs that was run from some place, and how far it is."""

    needs: Needs
    running: bool
    recorded: set[tuple[str, str]]
    """Name and key of each run that MLflow has, with its files, or that was pruned."""
    file: str = ""
    """The name of the list of what it needs, in the store."""

    @property
    def finished(self) -> bool:
        """Whether nothing of it will be trained or drawn any more."""
        if self.running or self.needs.goes_on:
            return False
        return all((name, run.key) in self.recorded for name, run in self.needs.runs.items())

    @property
    def results(self) -> set[Entry]:
        """Samples and scores that MLflow does not have yet."""
        return {
            entry
            for name, run in self.needs.runs.items()
            if self.running or (name, run.key) not in self.recorded
            for entry in run.results
        }


@dataclass(frozen=True)
class Removable:
    """What can go, and what that means."""

    items: Sequence[Item]
    running: Sequence[str]
    """Experiments that are being run."""
    unfinished: Sequence[Experiment]
    """Those of which MLflow lacks runs: all that they need stays."""
    begins_again: Sequence[str]
    """Experiments whose training, if it is to be longer, will begin again."""

    def as_json(self, *, done: bool) -> house.Removable:
        """The same as plain data; ``done`` says whether it went."""
        return {
            "done": done,
            "bytes": sum(item.bytes for item in self.items),
            "items": [item.as_json() for item in self.items],
            "running": list(self.running),
            "unfinished": _names(self.unfinished),
            "begins_again": list(self.begins_again),
        }


def experiments_of(store: Store, uri: str) -> list[Experiment]:
    """Each experiment that has run in a store, once for each place that it was run from.

    Raises:
        RunError: what an experiment needs cannot be read.
        UserError, UnreachableError: as ``connect``.
    """
    found = []
    for listed in read_needs(store):
        reader = find_experiment(uri, listed.needs.experiment)
        parents = reader.parents(listed.key) if reader else []
        done = [child for parent in parents for child in reader.done(parent.run_id)] if reader else []
        recorded = {(child.name, child.key) for child in done}
        running = store.held(experiment_lock(listed.key))
        found.append(Experiment(listed.needs, running, recorded, listed.name))
    return found


def _names(experiments: Iterable[Experiment]) -> list[str]:
    return list(dict.fromkeys(each.needs.experiment for each in experiments))


def find(store: Store, uri: str, *, weights: bool = False) -> Removable:
    """What of a store can go. Changes nothing. Raises as ``experiments_of``.

    Args:
        weights: those of finished experiments, too.
    """
    experiments = experiments_of(store, uri)
    needed = Needed(experiments, weights=weights)
    items = [*_entries(store, needed), *_others(store, needed)]
    gone = {item.entry for item in items}
    items += _marks(store, needed, gone)
    running = _names(each for each in experiments if each.running)
    if running or store.any_held(experiment_lock("")):
        items = [item for item in items if item.kind not in BESIDE_A_RUN]
    moments = {item.entry[1] for item in items if item.entry and item.entry[0] == "moments"}
    return Removable(
        items,
        running,
        [each for each in experiments if not each.finished and not each.running],
        _names(each for each in experiments if each.finished and moments & set(each.needs.states)),
    )


def collect(store: Store, uri: str, *, weights: bool = False) -> Removable:
    """Removes what ``find`` finds, and gives it. A run that begins meanwhile waits. Raises as ``find``."""
    with store.lock(HOUSEKEEPING):
        found = find(store, uri, weights=weights)
        for item in found.items:
            remove(store, item)
        if not found.running:
            store.clear_leftovers(older_than=math.inf)  # work goes by what is needed, whatever its age
            store.clear_uploads()
    return found


def remove(store: Store, item: Item) -> None:
    """Removes one thing; one that has gone is not an error."""
    if item.entry:
        store.remove(*item.entry)
    elif item.mark:
        store.drop(item.mark)
    elif item.path.is_dir():
        shutil.rmtree(item.path, ignore_errors=True)
    else:
        item.path.unlink(missing_ok=True)


# ── which entries ────────────────────────────────────────────────────────────────────────────────


@dataclass
class Needed:
    """What the experiments of a store need, put together."""

    experiments: Sequence[Experiment]
    weights: bool
    """Whether those of finished experiments may go."""
    going_on: set[str] = field(init=False)
    """States of the chains of experiments that are not finished."""
    states: set[str] = field(init=False)
    drawn_from: set[Entry] = field(init=False)
    known: set[Entry] = field(init=False)
    """All results, whoever has them."""
    results: set[Entry] = field(init=False)
    """Those that only the store has."""
    inputs: set[Entry] = field(init=False)
    work: set[Entry] = field(init=False)
    """Inputs that experiments which are not finished may be half-way through."""

    def __post_init__(self) -> None:
        unfinished = [each for each in self.experiments if not each.finished]
        needs = [each.needs for each in self.experiments]
        self.going_on = {state for each in unfinished for state in each.needs.states}
        self.states = {state for each in needs for state in each.states}
        self.drawn_from = {entry for each in needs for entry in each.weights}
        self.known = {entry for each in needs for entry in each.results}
        self.results = {entry for each in self.experiments for entry in each.results}
        self.inputs = {entry for each in needs for entry in each.inputs}
        self.work = {entry for each in unfinished for entry in each.needs.inputs}

    def state(self, entry: Entry, state: str) -> str:
        """The kind of an entry that belongs to a state of training; "" if it stays."""
        if state in self.going_on:
            return ""
        if entry in self.drawn_from:
            return "weights" if self.weights else ""
        return "states in between" if state in self.states else "superseded"


def _average(needed: Needed, entry: Entry, store: Store) -> str:
    return needed.state(entry, str(store.find_ingredients(*entry).get("state")))


def _weights(needed: Needed, entry: Entry, store: Store) -> str:
    return needed.state(entry, entry[1])


def _moments(needed: Needed, entry: Entry, store: Store) -> str:
    if entry[1] in needed.going_on:
        return ""
    return "optimizer states" if entry[1] in needed.states else "superseded"


def _result(needed: Needed, entry: Entry, store: Store) -> str:
    if entry in needed.results:
        return ""
    return "samples and scores" if entry in needed.known else "superseded"


def _input(needed: Needed, entry: Entry, store: Store) -> str:
    return "" if entry in needed.inputs else "superseded"


STAGES: dict[str, Callable[[Needed, Entry, Store], str]] = {
    "prepare": _input,
    "augmented": _input,
    "reference": _input,
    "train": _weights,
    "moments": _moments,
    "ema": _average,
    "preview": _result,
    "sample": _result,
    "evaluate": _result,
}
"""Stage → the kind of one of its entries, "" if it stays. Entries of other stages stay: data sets, which may
come from a hub, and what audits have found, which is small."""


def _entries(store: Store, needed: Needed) -> Iterator[Item]:
    for stage, key in store.listed():
        entry, path = (stage, key), store.path(stage, key)
        if kind := STAGES[stage](needed, entry, store) if stage in STAGES else "":
            yield Item(kind, path, store.size(stage, key), entry)


# ── everything else ──────────────────────────────────────────────────────────────────────────────


def _others(store: Store, needed: Needed) -> Iterator[Item]:
    for kind, paths in (
        ("of other versions", store.of_other_formats()),
        ("damaged", (store.root / DAMAGED).glob("*")),
        ("leftovers", [*store.leftovers(), *_work(store, needed)]),
        ("locks", _locks(store)),
    ):
        for path in sorted(paths):
            yield Item(kind, path, size_of(path))


def _work(store: Store, needed: Needed) -> Iterator[Path]:
    """Arrays that nobody goes on with."""
    going_on = {"-".join(entry) for entry in needed.work}
    for folder in store.work():
        if folder.name not in going_on and not store.held(folder.name):
            yield folder


def _locks(store: Store) -> Iterator[Path]:
    return (lock for lock in store.locks() if not any(lock.match(name) for name in NEVER))


def _marks(store: Store, needed: Needed, gone: set[Entry | None]) -> Iterator[Item]:
    for name in store.names(KEPT):
        stage, _, key = PurePath(name).name.partition("-")
        if key not in needed.going_on and (not store.has(stage, key) or (stage, key) in gone):
            yield Item("marks", store.root / name, 0, mark=name)
