"""Experiment → runs, trunks, keys, and what has to run. Pure: no torch, nothing is written.

Runs whose chains agree use the same segment of training. ``segments`` finds these by walking
the chains side by side; no other structure is needed.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.data.place import Embedded, place_of
from ablate.experiment.space import Drawn, Space
from ablate.experiment.trials import Proposal, grown, trial_name
from ablate.hardware import gpus, words
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.missing import mend, needed_parts, not_here
from ablate.stages.keys import RunKeys
from ablate.stages.trained import newest_stored_state
from ablate.stats import seeds_for_alpha, smallest_p, spend
from ablate.text import plural

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


def warnings(plan: Plan) -> list[str]:
    """What to know before the run: entries of the store that are ignored, a folder that is not meant, several
    classes of device, too few seeds for the claims."""
    return [
        *_ignored(plan.store),
        *_folder_not_meant(plan),
        *_several_devices(plan),
        *_too_few_seeds(plan),
        *_between_looks(plan),
    ]


def _ignored(store: Store) -> list[str]:
    """Says that entries of another version of ablate take up room and nothing else."""
    if not (count := len(store.of_other_formats())):
        return []
    entries, are = ("entry", "is") if count == 1 else ("entries", "are")
    return [
        f"{count} {entries} in {store.address} {are} of another version of ablate: ignored, and can be "
        "deleted."
    ]


def _folder_not_meant(plan: Plan) -> list[str]:
    """Says that a folder has the name of the embedded data set, or of its kit, and is not what is read."""
    if not Path(Embedded.NAME).is_dir():
        return []
    configs = plan.experiment.variants.values()
    of_kit = any(part and part.source == EMBEDDED_KIT.name for each in configs for _, part in each.components)
    of_data = any(each.data.path == Embedded.NAME for each in configs)
    fields = [*(["data.path"] if of_data else []), *(["components"] if of_kit else [])]
    name = Embedded.NAME
    return [
        f"{field}: {name} is what comes with ablate, not the folder {name} that is here: that is ./{name}."
        for field in fields
    ]


def absent_parts(plan: Plan) -> list[str]:
    """Says which parts a run would lack, and what gets them. The run itself refuses to begin without them.

    Raises:
        ComponentError: a part can be nowhere.
    """
    experiment = plan.experiment
    commands: dict[str, list[str]] = {}
    needed = (part for config in experiment.variants.values() for part in needed_parts(config))
    for part, source in not_here(needed):
        commands.setdefault(mend(part, source, experiment.spec.profile), []).append(part.label)
    return [
        f"not on this machine: {', '.join(labels)}. Before the run: {command}"
        for command, labels in commands.items()
    ]


def _several_devices(plan: Plan) -> list[str]:
    """Says that variants would be compared over devices, and which GPUs of this machine nothing runs on."""
    said = []
    if len(plan.devices) > 1:
        classes = "; ".join(f"{', '.join(variants)} on {device}" for device, variants in plan.devices.items())
        said.append(
            f"the variants run on different classes of device, so pairs compare these too: {classes}."
        )
    if any(run.keys.numerics["device"] == "cuda" for run in plan.runs):
        first, *others = gpus() or ("",)
        if others := sorted({name for name in others if name != first}):
            said.append(
                f"this machine has other GPUs as well ({', '.join(others)}): everything runs on {first}, so "
                "that pairs are compared on one class of device. CUDA_VISIBLE_DEVICES chooses another."
            )
    return said


def _too_few_seeds(plan: Plan) -> list[str]:
    """Says that no p value can be small enough. Claims of "equal" have another test, without such a limit."""
    spec = plan.experiment.spec
    claims = len(spec.claims)
    if all(claim.direction == "equal" for claim in spec.claims):
        return []
    if not spec.looks:
        seeds, too_few = len(spec.seeds), _cannot_decide(claims, len(spec.seeds), spec.alpha)
        return [f"{plural(seeds, 'seed')} cannot decide {too_few}"] if too_few else []
    return [
        f"the look at {plural(look.seeds, 'seed')} cannot decide {too_few}"
        for look in spend(spec.looks, spec.alpha)
        if (too_few := _cannot_decide(claims, look.seeds, look.alpha))
    ]


def _cannot_decide(claims: int, seeds: int, alpha: float) -> str:
    """Why no claim can be decided with these seeds at this level; empty if one can."""
    if smallest_p(seeds) <= alpha / claims:
        return ""
    return (
        f"whether something is higher or lower: the exact sign-flip test gives no p below "
        f"{smallest_p(seeds):.2g}, and α = {alpha:.3g} over {plural(claims, 'claim')} (Holm) asks for "
        f"{alpha / claims:.2g}. {seeds_for_alpha(claims, alpha)} seeds could."
    )


def _between_looks(plan: Plan) -> list[str]:
    """Says that some seeds are in no look."""
    looks, seeds = plan.experiment.spec.looks, len(plan.experiment.spec.seeds)
    if not looks or seeds in looks:
        return []
    seen = max((n for n in looks if n < seeds), default=0)
    judged = f"the claims are judged with the first {seen}" if seen else "no claim is judged"
    planned = ", ".join(map(str, looks))
    return [f"no look is planned at {plural(seeds, 'seed')} (but at {planned}), so {judged}."]


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
