"""Which runs a name means: an experiment, one of its variants, or one run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.record.read import find_experiment, find_runs
from ablate.report.results import Results, gather, runs_that_count
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.records import ExperimentRecord, RunRecord
    from ablate.vocabulary import Vocabulary

HOW = "Name an experiment (ema), a variant (ema/mid-way), a run (ema/mid-way/0), or MLflow's run id."
NAMES = ("variant", "seed")
"""What of a run's parameters in MLflow is not a field of its configuration."""
ID = re.compile(r"[0-9a-f]{6,32}")
"""The beginning of a run's id in MLflow, long enough to look it up by."""


@dataclass(frozen=True)
class Chosen:
    """Runs of one experiment, and what they were called by."""

    title: str
    record: ExperimentRecord
    variant: str | None = None
    """None: those of all variants."""
    seed: int | None = None
    """None: those of all seeds."""
    vocabulary: Vocabulary = OWN

    @cached_property
    def results(self) -> Results:
        """The whole experiment."""
        return gather(self.record, self.vocabulary)

    @property
    def runs(self) -> list[RunRecord]:
        """Those that count, in the order of variants and seeds. Of a whole search, those that its tables
        compare: the baseline and what was confirmed."""
        if self.variant is None:
            return list(self.results.runs.values())
        return [
            run
            for (variant, seed), run in sorted(runs_that_count(self.record).items())
            if variant == self.variant and self.seed in (None, seed)
        ]

    @property
    def variants(self) -> list[str]:
        """Of the runs."""
        return list(dict.fromkeys(run.variant for run in self.runs))


def choose(text: str, uri: str) -> Chosen:
    """The runs that a name means, in the newest record of their experiment.

    Args:
        text: ``experiment``, ``experiment/variant``, ``experiment/variant/seed``, or the beginning of the id
            of a run.
        uri: MLflow's address.

    Raises:
        UserError: it means nothing, or more than one thing; and as ``record.client.connect``.
    """
    name, *path = text.split("/")
    reader = find_experiment(uri, name)
    parents = reader.parents() if reader else []
    if not reader or not parents:
        if not path and (found := _by_id(text, uri)):
            return found
        raise UserError(f"MLflow has no experiment and no run called {text!r}", where=uri, fix=HOW)
    return narrowed(Chosen(text, _without_plugins(reader.read(parents[0].run_id))), path)


def narrowed(whole: Chosen, path: Sequence[str]) -> Chosen:
    """Of an experiment's runs those of ``[variant]`` or ``[variant, seed]``.

    Raises:
        UserError: there is no such variant or seed.
    """
    if len(path) > 2:
        raise UserError("has too many parts", where=whole.title, fix=HOW)
    counting = runs_that_count(whole.record)
    variants = dict.fromkeys((*whole.results.variants, *(variant for variant, _ in counting)))
    variant, seed = (*path, None, None)[:2]
    if variant is not None and variant not in variants:
        fix = f"There are: {', '.join(variants)}."
        raise UserError(f"there is no variant {variant!r}", where=whole.title, fix=fix)
    seeds = {str(number): number for name, number in sorted(counting) if name == variant}
    if seed is not None and seed not in seeds:
        fix = f"There are: {', '.join(seeds)}."
        raise UserError(f"there is no run with the seed {seed!r}", where=whole.title, fix=fix)
    number = None if seed is None else seeds[seed]
    return Chosen(whole.title, whole.record, variant, number, whole.vocabulary)


def _by_id(text: str, uri: str) -> Chosen | None:
    """The run whose id begins so. One of a parent is the whole experiment."""
    if not ID.fullmatch(text) or not (found := find_runs(uri, text)):
        return None
    if len(found) > 1:
        raise UserError(f"{len(found)} runs begin with {text!r}", where=uri, fix="Give more of its id.")
    (one,) = found
    record = _without_plugins(one.reader.read(one.parent))
    if one.variant:
        return narrowed(Chosen(f"{record.name}/{one.variant}", record), [one.variant])
    run = next((run for run in record.runs if run.run_id == one.run_id), None)
    if run:
        return Chosen(f"{record.name}/{run.variant}/{run.seed}", record, run.variant, run.seed)
    if one.run_id == one.parent:
        return Chosen(record.name, record)
    fix = f"`ablate show {record.name}` shows what counts."
    raise UserError("is superseded by a run of other code or data", where=f"run {one.run_id}", fix=fix)


def _without_plugins(record: ExperimentRecord) -> ExperimentRecord:
    """The record itself. Raises UserError if it needs plug-ins, which only a spec names: a name is no reason
    to execute a file, and without it metrics would be missing."""
    if not (plugins := record.spec.get("plugins")):
        return record
    fix = f"Name its spec file, which names them: {record.name}.yaml, {record.name}.yaml/VARIANT/SEED."
    raise UserError(f"it uses plug-ins ({', '.join(plugins)})", where=record.name, fix=fix)


def configuration(runs: Sequence[RunRecord]) -> Mapping[str, str]:
    """The configuration that runs of one variant share: field → value, without what is null."""
    params = next((run.params for run in runs if run.params), {})
    return {name: value for name, value in params.items() if name not in NAMES and value != "None"}
