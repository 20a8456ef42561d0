"""What an experiment needs of the store: ``needs/<spec key>-<place>.json``, written when it begins to run.

Housekeeping reads it: what no experiment needs can go. Each place that it is run from has a list, because
folders that share a store may have other data under the same settings. A list replaces the one that was there
before from the same place, as new results supersede the old ones in the record, whether the code, the data or
the class of device is another.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ablate.errors import RunError
from ablate.record.identity import place_seen, this_folder
from ablate.record.provenance import spec_key
from ablate.runner.exclusive import HOUSEKEEPING
from ablate.stages import evaluated
from ablate.store import NEEDS
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.plan import Plan
    from ablate.store import Store

Entry = tuple[str, str]
"""Stage and key."""


@dataclass(frozen=True)
class RunNeeds:
    """What one run needs."""

    key: str
    """Of its scores: the identity of the run."""
    weights: list[Entry]
    """What its images are drawn from."""
    results: list[Entry]
    """Samples, scores, previews: what MLflow gets copies of."""


@dataclass(frozen=True)
class Needs:
    """What an experiment needs of the store."""

    experiment: str
    states: list[str] = field(default_factory=list)
    """All states of its chains."""
    inputs: list[Entry] = field(default_factory=list)
    """Prepared data."""
    runs: dict[str, RunNeeds] = field(default_factory=dict)
    """By their names."""
    folder: str = ""
    """Where it was run, in words; "" if that is not known."""
    goes_on: bool = False
    """Whether it is a search that may propose more runs, which branch off from its states."""

    @property
    def weights(self) -> set[Entry]:
        """What the images of its runs are drawn from."""
        return {entry for run in self.runs.values() for entry in run.weights}

    @property
    def results(self) -> set[Entry]:
        """What its runs have brought."""
        return {entry for run in self.runs.values() for entry in run.results}


@dataclass(frozen=True)
class Listed:
    """What an experiment needs that was run from some place, and the name that the store has it under."""

    name: str
    needs: Needs

    @property
    def key(self) -> str:
        """Of the experiment's settings."""
        return PurePath(self.name).stem.partition("-")[0]


def lists_here(store: Store, key: str, spec: Path) -> list[str]:
    """The names of the lists of an experiment that is run from here: what it needs, what it will need if a
    run begins as it should, and what older versions wrote, without a place. A store in this folder may move
    with it, so those are of this folder too."""
    # The root of a bucket is its cache: elsewhere on each machine.
    is_in_it = store.address == str(store.root) and store.root.resolve().is_relative_to(Path.cwd().resolve())
    place = place_seen(spec, store.root if is_in_it else None)
    older = [f"{NEEDS}/{key}.json"] if is_in_it else []
    return [f"{NEEDS}/{key}-{place[:8]}.json", f"{NEEDS}/{key}-{place[:8]}-next.json", *older]


def write_needs(plan: Plan, *, goes_on: bool = False) -> None:
    """Keeps in the store what a plan's experiment needs of it, in the place of what it needed before."""
    keep_needs(plan.store, spec_key(plan), plan.experiment.file, needs_of(plan, goes_on=goes_on))


def keep_needs(store: Store, key: str, spec: Path, needs: Needs) -> None:
    """Keeps in a store what the experiment with this spec key needs of it that is run from here. Waits while
    somebody cleans up: what is made from now on is needed."""
    name, *others = lists_here(store, key, spec)
    _write(store, name, needs)
    for each in others:
        store.drop(each)


@contextmanager
def needs_written(store: Store, key: str, spec: Path, needs: Needs) -> Iterator[None]:
    """As ``keep_needs``, after the block; in it the store keeps both what was needed before and what will be.
    If it ends in an error, nothing was begun, and the store keeps what it kept before."""
    _, following, *_ = lists_here(store, key, spec)
    _write(store, following, needs)
    try:
        yield
    except BaseException:
        store.drop(following)
        raise
    keep_needs(store, key, spec, needs)


def _write(store: Store, name: str, needs: Needs) -> None:
    """Not while somebody cleans up."""
    text = json.dumps(asdict(replace(needs, folder=this_folder())))
    with store.lock(HOUSEKEEPING):
        if store.get(name) != text:
            store.put(name, text)


def needs_of(plan: Plan, *, goes_on: bool = False) -> Needs:
    """What a plan's experiment needs of a store; of a search that ``goes_on``, more runs are to come."""
    states: set[str] = set()
    inputs: set[Entry] = set()
    runs = {}
    trials = {trial.name for trial in plan.experiment.trials}
    for run in plan.runs:
        keys = run.keys
        states |= set(keys.chain[1:])
        inputs |= {
            ("prepare", keys.prepare),
            ("reference", key_of(evaluated.reference_ingredients(keys))),
            *([("augmented", keys.augmented)] if keys.augmented else []),
        }
        previews = [("preview", key) for _, key in keys.previews()]
        marks = plan.experiment.marks if run.variant in trials else ()
        looked_at = dict.fromkeys([*(keys.at(mark.epoch) for mark in marks), keys])
        drawn = [entry for k in looked_at for entry in (("sample", k.sample), ("evaluate", k.evaluate))]
        runs[run.name] = RunNeeds(
            keys.whole.evaluate,
            weights=sorted({("train", keys.chain[-1]), keys.weights}),
            results=[*drawn, *previews],
        )
    return Needs(plan.experiment.name, sorted(states), sorted(inputs), runs, goes_on=goes_on)


def read_needs(store: Store) -> Iterator[Listed]:
    """What each experiment needs that has run in this store, from each place that it was run from.

    Raises:
        RunError: a file is not as it was written.
    """
    for name in store.names(NEEDS):
        if (text := store.get(name)) is None:  # `ablate rm` has just removed it
            continue
        try:
            needs = parsed(text)
        except (ValueError, KeyError, TypeError) as error:
            fix = "Delete it, and give the same `ablate run` again: it writes it anew."
            what = f"what an experiment needs cannot be read ({error!r})"
            raise RunError(what, where=f"{store.address}/{name}", fix=fix) from error
        yield Listed(name, needs)


def parsed(text: str) -> Needs:
    """What ``keep_needs`` has written. Raises ValueError, KeyError or TypeError for anything else."""
    content = json.loads(text)

    def entries(listed: list[list[str]]) -> list[Entry]:
        return [(str(stage), str(key)) for stage, key in listed]

    runs = {
        str(name): RunNeeds(str(run["key"]), entries(run["weights"]), entries(run["results"]))
        for name, run in dict.items(content["runs"])
    }
    states = [str(state) for state in content["states"]]
    folder = str(content.get("folder", ""))
    goes_on = content.get("goes_on") is True
    return Needs(str(content["experiment"]), states, entries(content["inputs"]), runs, folder, goes_on)
