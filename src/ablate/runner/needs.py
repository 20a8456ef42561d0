"""What an experiment needs of the store: ``needs/<spec key>.json``, written when it begins to run.

Housekeeping reads it: what no experiment needs can go.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from ablate.errors import RunError
from ablate.record.provenance import spec_key
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

    @property
    def weights(self) -> set[Entry]:
        """What the images of its runs are drawn from."""
        return {entry for run in self.runs.values() for entry in run.weights}

    @property
    def results(self) -> set[Entry]:
        """What its runs have brought."""
        return {entry for run in self.runs.values() for entry in run.results}


def write_needs(plan: Plan) -> str | None:
    """Keeps in the store what a plan's experiment needs of it. Gives what was there before, for
    ``taken_back``."""
    before = plan.store.get(_name(spec_key(plan)))
    keep_needs(plan.store, spec_key(plan), needs_of(plan))
    return before


@contextmanager
def taken_back(plan: Plan, before: str | None) -> Iterator[None]:
    """If the block ends in an error, nothing is begun of what was meant, and what the store keeps of needs is
    as it was before."""
    try:
        yield
    except BaseException:
        if before is None:
            forget_needs(plan.store, spec_key(plan))
        else:
            plan.store.put(_name(spec_key(plan)), before)
        raise


def keep_needs(store: Store, key: str, needs: Needs) -> None:
    """Keeps in a store what the experiment with this spec key needs of it."""
    text = json.dumps(asdict(needs))
    if store.get(_name(key)) != text:
        store.put(_name(key), text)


def needs_of(plan: Plan) -> Needs:
    """What a plan's experiment needs of a store."""
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
    return Needs(plan.experiment.name, sorted(states), sorted(inputs), runs)


def read_needs(store: Store) -> Iterator[tuple[str, Needs]]:
    """(spec key, what it needs) of each experiment that has run in this store.

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
        yield PurePath(name).stem, needs


def parsed(text: str) -> Needs:
    """What ``write_needs`` has written. Raises ValueError, KeyError or TypeError for anything else."""
    content = json.loads(text)

    def entries(listed: list[list[str]]) -> list[Entry]:
        return [(str(stage), str(key)) for stage, key in listed]

    runs = {
        str(name): RunNeeds(str(run["key"]), entries(run["weights"]), entries(run["results"]))
        for name, run in content["runs"].items()
    }
    states = [str(state) for state in content["states"]]
    return Needs(str(content["experiment"]), states, entries(content["inputs"]), runs)


def forget_needs(store: Store, key: str) -> None:
    """The experiment with this spec key needs nothing any more."""
    store.drop(_name(key))


def _name(key: str) -> str:
    return f"{NEEDS}/{key}.json"
