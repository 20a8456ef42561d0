"""Experiment → runs, trunks, keys, and what has to run. Pure: no torch, nothing is written.

Runs whose chains agree use the same segment of training. ``segments`` finds these by walking
the chains side by side; no other structure is needed.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ablate.data.place import place_of
from ablate.experiment.space import Drawn, Space
from ablate.experiment.trials import Proposal, grown, trial_name
from ablate.hardware import words
from ablate.stages.keys import RunKeys
from ablate.stages.trained import newest_stored_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ablate.experiment.load import Experiment
    from ablate.experiment.pruners import Mark
    from ablate.factors.observer import Observer
    from ablate.fingerprint import Contents
    from ablate.store import Store


@dataclass(frozen=True)
class Run:
    """One variant with one seed."""

    variant: str
    seed: int
    keys: RunKeys

    @property
    def name(self) -> str:
        """As it is called in tables and in MLflow."""
        return f"{self.variant} seed {self.seed}"

    def at(self, mark: Mark) -> Run:
        """The run as far as a pruner's mark; itself where it has ended by then."""
        return replace(self, keys=self.keys.at(mark.epoch))

    def has_weights(self, ask: Callable[[str, str], bool]) -> bool:
        """Whether all is there that images are drawn from: the end of the training, and an average."""
        return ask("train", self.keys.chain[-1]) and ask(*self.keys.weights)


@dataclass(frozen=True)
class Segment:
    """Links ``begin`` … ``end`` of a chain that the same runs share: a trunk, or a branch from one."""

    runs: tuple[Run, ...]
    begin: int
    end: int
    parent: Segment | None

    @property
    def keys(self) -> RunKeys:
        """Those of any of the runs: up to ``end`` they agree."""
        return self.runs[0].keys

    @cached_property
    def observers(self) -> tuple[Observer, ...]:
        """The observers of all runs that use it."""
        found = dict.fromkeys(run.keys.observer for run in self.runs)
        return tuple(observer for observer in found if observer)

    @property
    def key(self) -> str:
        """The key of the state at its end."""
        return self.keys.chain[self.end]


def segments(runs: Sequence[Run], begin: int = 0, parent: Segment | None = None) -> Iterator[Segment]:
    """The segments of training that ``runs`` need, each shared as far as possible, parents first."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if len(run.keys.chain) > begin + 1:
            groups.setdefault(run.keys.chain[begin + 1], []).append(run)
    for group in groups.values():
        end = begin + 1
        while (
            all(len(run.keys.chain) > end + 1 for run in group)
            and len({run.keys.chain[end + 1] for run in group}) == 1
        ):
            end += 1
        segment = Segment(tuple(group), begin, end, parent)
        yield segment
        yield from segments(group, end, segment)


@dataclass(frozen=True)
class Plan:
    """Everything ``ablate run`` is going to do, and why."""

    experiment: Experiment
    runs: tuple[Run, ...]
    store: Store

    @cached_property
    def devices(self) -> dict[str, list[str]]:
        """Class of device, in words → the variants that are computed on it."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            variants = found.setdefault(words(run.keys.numerics), [])
            variants += [run.variant] if run.variant not in variants else []
        return found

    @property
    def to_measure(self) -> tuple[Run, ...]:
        """Runs whose measurements are not in the store."""
        return tuple(run for run in self.runs if not self.store.has("evaluate", run.keys.evaluate))

    @cached_property
    def to_sample(self) -> tuple[Run, ...]:
        """Those of ``to_measure`` whose samples are not in the store either: only these need weights."""
        return tuple(run for run in self.to_measure if not self.store.has("sample", run.keys.sample))

    @cached_property
    def to_train(self) -> tuple[Run, ...]:
        """Those of ``to_sample`` whose weights are not in the store either."""
        return tuple(run for run in self.to_sample if not run.has_weights(self.store.has))

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """All segments of training that the experiment uses."""
        return tuple(segments(self.runs))

    def epochs_to_train(self) -> dict[str, int]:
        """Key of each segment that has work → epochs to train on it, given what the store holds."""
        missing: dict[str, int] = {}
        reached: set[str] = set()
        """States that will have been trained by the time when a segment leaves them."""
        for segment in segments(self.to_train):
            newest = newest_stored_state(segment.keys.chain, segment.observers, segment.end, self.store)
            if segment.parent and segment.parent.key in reached:
                newest = max(newest, segment.begin)
            if newest < segment.end:
                missing[segment.key] = segment.end - newest
                # The parent's state may lack its moments: then this segment trains what is before it again.
                reached |= {segment.key, *([segment.parent.key] if segment.parent else [])}
        return missing

    def images(self, keys: RunKeys) -> int:
        """Training images of the data set of a run: variants may have data of their own."""
        return place_of(keys.config.data.path).training_images(self.store, keys.contents)

    def prompts(self, keys: RunKeys) -> int:
        """Test prompts of its data set: each gets an image."""
        return place_of(keys.config.data.path).prompts(self.store, keys.contents)

    def steps_per_epoch(self, run: Run) -> int:
        """Optimizer steps in an epoch of this run."""
        train = run.keys.config.train
        return steps_per_epoch(self.images(run.keys), train.batch, train.accumulation)

    def steps_by_variant(self) -> dict[str, int]:
        """Variant → optimizer steps that are still missing and that it is the first to need."""
        missing, found = self.epochs_to_train(), dict.fromkeys((run.variant for run in self.runs), 0)
        for segment in self.segments:
            first = segment.runs[0]
            found[first.variant] += missing.get(segment.key, 0) * self.steps_per_epoch(first)
        return found

    @property
    def steps_asked(self) -> int:
        """Optimizer steps if each run were trained by itself."""
        return sum(run.keys.config.train.epochs * self.steps_per_epoch(run) for run in self.runs)

    @property
    def steps_unique(self) -> int:
        """Optimizer steps when shared segments are trained once."""
        return sum((s.end - s.begin) * self.steps_per_epoch(s.runs[0]) for s in self.segments)

    @property
    def steps_to_train(self) -> int:
        """Optimizer steps that are still missing in the store."""
        missing = self.epochs_to_train()
        return sum(missing.get(s.key, 0) * self.steps_per_epoch(s.runs[0]) for s in self.segments)


def make_plan(experiment: Experiment, store: Store, contents: Contents) -> Plan:
    """The plan of an experiment.

    Raises:
        DataError: the data folder is missing or in no known format, or a data set of the hub is not
            in the store yet.
        ComponentError: a local part is missing.
    """
    plan = Plan(experiment, _runs(experiment, contents), store)
    for run in plan.runs:
        _ = run.keys.evaluate  # digests all it rests on, so a missing file is found now
        plan.images(run.keys)  # so are data in no known format
    return plan


def _runs(experiment: Experiment, contents: Contents, known: Sequence[Run] = ()) -> tuple[Run, ...]:
    made = {(run.variant, run.seed): run for run in known}
    runs = (
        made.get(pair) or Run(*pair, RunKeys(experiment.variants[pair[0]], pair[1], contents))
        for pair in experiment.runs
    )
    pruned = experiment.pruned
    return tuple(run.at(pruned[run.variant]) if run.variant in pruned else run for run in runs)


def regrown(plan: Plan, experiment: Experiment) -> Plan:
    """The plan of an experiment that a search has made larger: the runs that were there stay as they are."""
    same = [run for run in plan.runs if run.keys.config == experiment.variants.get(run.variant)]
    runs = _runs(experiment, plan.runs[0].keys.contents, same)
    return replace(plan, experiment=experiment, runs=runs)


def drawn_at_random(plan: Plan) -> Plan:
    """What a search would ask for if its trials were drawn at random, before any of them is known."""
    experiment, rng = plan.experiment, random.Random(0)
    assert experiment.spec.search
    space = Space(experiment.spec.search)
    points = [space.suggest(Drawn(rng)) for _ in range(experiment.spec.search.trials)]
    proposals = [Proposal(trial_name(number), point) for number, point in enumerate(points)]
    return regrown(plan, grown(experiment, proposals))


def steps_per_epoch(images: int, batch: int, accumulation: int) -> int:
    """Optimizer steps in an epoch: full batches only, and a last smaller group of batches."""
    return math.ceil(max(images // batch, 1) / accumulation)


STAGES: dict[str, Callable[[RunKeys], tuple[str, dict[str, Any]]]] = {
    "prepare": lambda keys: (keys.prepare, keys.prepare_ingredients),
    "train": lambda keys: (keys.chain[-1], keys.state_ingredients(keys.epochs)),
    "sample": lambda keys: (keys.sample, keys.sample_ingredients),
    "evaluate": lambda keys: (keys.evaluate, keys.evaluate_ingredients),
}
"""Stage → the key of a run's entry, and what it is made of."""


def reasons(plan: Plan) -> dict[str, list[str]]:
    """Why stages have to run again: stage → what differs from the nearest result in the store.

    Empty for a stage that has nothing to do; "nothing like it is in the store" for a first run.
    """
    why: dict[str, list[str]] = {}
    if not (waiting := plan.to_measure):
        return why
    for stage, key_and_ingredients in STAGES.items():
        stored = [entry for _, entry in plan.store.entries(stage)]
        asked = dict(key_and_ingredients(run.keys) for run in waiting)
        missing = [made_of for key, made_of in asked.items() if not plan.store.has(stage, key)]
        lines = [line for made_of in missing for line in _nearest_difference(made_of, stored)]
        if lines:
            why[stage] = list(dict.fromkeys(lines))
    if "train" not in why and plan.epochs_to_train():
        why["train"] = [_ONLY_WATCHED]
    return why


_ONLY_WATCHED = (
    "the weights are in the store, but not what EMA asks for: an average has to watch each step, so one that "
    "is added later has the training done once more"
)


def _nearest_difference(asked: dict[str, Any], stored: list[dict[str, Any]]) -> list[str]:
    """What differs between ``asked`` and the most similar stored entry, in words."""
    candidates = [
        differences(asked, {name: entry[name] for name in asked if name in entry})
        for entry in stored
        if entry.get("seed") == asked.get("seed")
    ]
    return min(candidates, key=len) if candidates else ["nothing like it is in the store yet"]


def differences(new: Mapping[str, Any], old: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Which ingredients differ, in words: ``train.batch: 32 → 64``, ``factors/ema.py changed``."""
    found = []
    for name in sorted(set(new) | set(old)):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        label = name if prefix == "" or prefix.endswith("code.") else prefix + name
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(b, a, f"{label}.")
        elif ".py" in name or name in ("data", "prepare", "state", "previous", "sample"):
            found.append(f"{label} changed")
        else:
            found.append(f"{label}: {_shown(a)} → {_shown(b)}")
    return found


def _shown(ingredient: Any) -> str:
    """An ingredient in a few words: of many, their names."""
    return ", ".join(ingredient) if isinstance(ingredient, dict) and ingredient else str(ingredient)
