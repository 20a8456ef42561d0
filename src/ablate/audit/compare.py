"""Two configurations side by side: where they differ on paper, and in a few real training steps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ablate.audit.probe import Moment, Probe, changes, difference, probe
from ablate.records import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ablate.experiment.config import Config
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

ABSENT = object()
"""Stands for a field that one of two configurations does not have."""

FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two configurations at the same moment of their training."""

    moment: Moment
    ours: Probe
    theirs: Probe

    @cached_property
    def change(self) -> dict[str, float]:
        """Layer → size of the difference."""
        return changes(self.ours, self.theirs)

    def act(self, enters: str) -> tuple[str, str]:
        """What the difference does, and the layer where it dies if it does nothing.

        ``enters`` is the first layer in which it should show.
        """
        change = self.change
        if change["update"] or self._differs_later:
            return "active", ""
        if change["images"] or change["scores"]:
            return "passive", ""
        last = max((number for number, layer in enumerate(LAYERS) if change[layer]), default=-1)
        return "inert", LAYERS[max(last + 1, LAYERS.index(enters))]

    @property
    def _differs_later(self) -> bool:
        """Whether only batches to come differ. They will do what batches do: change the loss."""
        met = difference(self.ours.layers["batch"], self.theirs.layers["batch"])
        return bool(self.change["batch"]) and not met


@dataclass
class Looks:
    """Every probe that was taken: what several questions are about is looked at once."""

    store: Store
    taken: dict[tuple[str, int, Moment], Probe] = field(default_factory=dict)
    parts: dict[Any, Any] = field(default_factory=dict)
    """The frozen parts that they have loaded."""

    def at(self, keys: RunKeys, moment: Moment) -> Probe:
        """The probe of a run at a moment."""
        question = (keys.config.model_dump_json(), keys.seed, moment)
        if question not in self.taken:
            self.taken[question] = probe(keys, moment, self.store, self.parts)
        return self.taken[question]

    def compare(self, keys: RunKeys, other: RunKeys, epoch: int | None = None) -> Comparison:
        """Two runs of one seed in ``epoch``; by default where they first differ."""
        if epoch is None:
            epoch = first_difference(keys, other)
        if epoch is None:  # they share all of their training
            starts = [o.begins for o in (keys.watching, other.watching) if o]
            epoch = min(starts, default=0)
        when = moment(keys, other, epoch, self.store)
        return Comparison(when, self.at(keys, when), self.at(other, when))


def moment(keys: RunKeys, other: RunKeys, epoch: int, store: Store) -> Moment:
    """The newest kept state before ``epoch`` that both have in common."""
    shared = sum(a == b for a, b in zip(keys.chain, other.chain, strict=False)) - 1
    # Not one that a training is about to forget.
    start = next((e for e in range(min(epoch, shared), 0, -1) if _to_begin_at(keys.chain[e], store)), 0)
    starts = sorted({o.begins for o in (keys.watching, other.watching) if o})
    ways = [k.config.sample.model_dump(exclude={"weights"}) for k in (keys, other)]
    seeds = [k.sample_seed for k in (keys, other)]
    groups = [k.config.train.accumulation for k in (keys, other)]
    return Moment(
        epoch,
        start,
        tuple(starts),
        sampling_differs=ways[0] != ways[1] or seeds[0] != seeds[1],
        accumulation_differs=groups[0] != groups[1],
    )


def _to_begin_at(state_key: str, store: Store) -> bool:
    return store.kept("train", state_key) and all(store.sound(s, state_key) for s in ("train", "moments"))


def first_difference(keys: RunKeys, other: RunKeys) -> int | None:
    """The first epoch that two runs do not share; None where they share all of their training."""
    pairs = zip(keys.chain, other.chain, strict=False)
    shared = next((epoch for epoch, (a, b) in enumerate(pairs) if a != b), None)
    if shared is not None:
        return max(shared - 1, 0)
    return None if len(keys.chain) == len(other.chain) else min(len(keys.chain), len(other.chain)) - 1


def differing(config: Config, other: Config) -> list[FieldPath]:
    """The fields in which two configurations differ; a section that one of them lacks counts as a field."""

    def walk(ours: Any, theirs: Any, path: FieldPath) -> Iterator[FieldPath]:
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for name in dict.fromkeys([*ours, *theirs]):
                yield from walk(ours.get(name, ABSENT), theirs.get(name, ABSENT), (*path, name))
        elif ours != theirs:
            yield path

    return list(walk(config.model_dump(mode="json"), other.model_dump(mode="json"), ()))


def taken_back(config: Config, other: Config, path: FieldPath) -> Config | None:
    """``config`` with the value that ``other`` has at ``path``; None where the two do not go together."""
    data, value = config.model_dump(mode="json"), other.model_dump(mode="json")
    place = data
    for name in path[:-1]:
        place, value = place[name], value[name]
    value = value.get(path[-1], ABSENT)
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    try:
        return type(config).model_validate_json(json.dumps(data))  # a list may stand for a tuple
    except ValidationError:
        return None


def replaced(config: Config, overrides: Mapping[str, Any]) -> Config:
    """``config`` with some fields replaced."""

    def put(model: Any, fields: Mapping[str, Any]) -> Any:
        new = {k: put(getattr(model, k), v) if isinstance(v, dict) else v for k, v in fields.items()}
        return model.model_copy(update=new)

    changed: Config = put(config, overrides)
    return changed
