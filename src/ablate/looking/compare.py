"""What differs between two experiments, two variants or two runs: settings, versions, training, results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.looking.chosen import configuration
from ablate.metrics import COSTS
from ablate.records import FINISHED
from ablate.report.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ablate.looking.chosen import Chosen
    from ablate.records import ExperimentRecord, RunRecord
    from ablate.report.metrics import Metric

A, B = "A", "B"
"""What the two sides are called in a metric."""

Difference = tuple[str, str]
"""What A has and what B has; empty where it has nothing."""


@dataclass(frozen=True)
class Pair:
    """Runs of one variant of A beside runs of one variant of B."""

    title: str
    """The variant, or both."""
    settings: Mapping[str, Difference]
    """Fields of the configuration that differ."""
    seeds: Sequence[int]
    """That both sides have, finished."""
    shared: Mapping[int, tuple[int, int, int]]
    """Seed → epochs that both share to the last bit, and how many A and B have."""
    metrics: Sequence[Metric]
    """Of quality and cost, with the variants A and B; differences are A − B, paired by seed."""
    notes: Sequence[str]
    """What to know before one believes the figures."""


@dataclass(frozen=True)
class Comparison:
    """A beside B."""

    a: Chosen
    b: Chosen
    versions: Mapping[str, Difference]
    """What the experiments were run with: commit, libraries, machine."""
    pairs: Sequence[Pair]
    only: tuple[Sequence[str], Sequence[str]]
    """Variants that the other side lacks."""


def compare(a: Chosen, b: Chosen) -> Comparison:
    """Two experiments by their variants of the same name; two variants, or two runs, with each other.

    Raises:
        UserError: there is nothing to pair.
    """
    if len(a.variants) == 1 and len(b.variants) == 1:
        both = [(a.variants[0], b.variants[0])]
    else:
        both = [(variant, variant) for variant in a.variants if variant in b.variants]
    pairs = [_pair(ours, theirs, a, b) for ours, theirs in both]
    if not pairs:
        fix = (
            f"{a.title} has {', '.join(a.variants)}; {b.title} has {', '.join(b.variants)}. Name one of each."
        )
        raise UserError("the two have no variant in common", where=f"{a.title}, {b.title}", fix=fix)
    versions = differences(a.record.provenance, b.record.provenance)
    only_a = [variant for variant in a.variants if variant not in {ours for ours, _ in both}]
    only_b = [variant for variant in b.variants if variant not in {theirs for _, theirs in both}]
    return Comparison(a, b, versions, pairs, (only_a, only_b))


def _pair(ours: str, theirs: str, a: Chosen, b: Chosen) -> Pair:
    of_a = [run for run in a.runs if run.variant == ours]
    of_b = [run for run in b.runs if run.variant == theirs]
    # One run against one is compared across seeds, and goes by the seed of A; all else is paired by seed.
    across = len(of_a) == len(of_b) == 1
    sides = [
        replace(run, variant=side, seed=of_a[0].seed if across else run.seed)
        for side, runs in ((A, of_a), (B, of_b))
        for run in runs
        if run.status == FINISHED
    ]
    by_seed = {side: {run.seed: run for run in sides if run.variant == side} for side in (A, B)}
    seeds = sorted(by_seed[A].keys() & by_seed[B].keys())
    figures = {**a.vocabulary.metrics, **COSTS}
    metrics = (measure(key, figure, sides, B) for key, figure in figures.items())
    settings = differences(configuration(of_a), configuration(of_b))
    return Pair(
        title=ours if ours == theirs else f"{ours} against {theirs}",
        settings=settings,
        seeds=seeds,
        shared={seed: _shared(by_seed[A][seed], by_seed[B][seed]) for seed in seeds},
        metrics=[metric for metric in metrics if metric],
        notes=[*_notes(settings, seeds, across=across), *_note_on_data(a.record, b.record)],
    )


MEASURED = ("data.", "evaluate.", "components.evaluator")
"""Fields that decide what images are measured against."""


def _notes(settings: Mapping[str, Difference], seeds: Sequence[int], *, across: bool) -> Iterator[str]:
    if measured := [name for name in settings if name.startswith(MEASURED)]:
        yield (
            f"{', '.join(measured)}: measured against other images or by another evaluator. "
            "FID, KID and CLIP figures of the two cannot be compared."
        )
    if not seeds:
        yield "No seed has finished on both sides, so there is no difference to show."
    elif across or len(seeds) == 1:
        yield "One run on each side: nobody can tell a difference from chance. Compare several seeds."


def _note_on_data(a: ExperimentRecord, b: ExperimentRecord) -> Iterator[str]:
    """Says that the same paths held other data. Records of older versions have no digest to tell by."""
    paths_a, paths_b = ({config["data"]["path"] for config in each.configs.values()} for each in (a, b))
    if a.data and b.data and a.data != b.data and paths_a == paths_b:
        yield (
            f"The data of the two differ, although both were in {', '.join(sorted(paths_a))}: trained on or "
            "measured against other images. FID, KID and CLIP figures of the two cannot be compared."
        )


def _shared(a: RunRecord, b: RunRecord) -> tuple[int, int, int]:
    """Epochs whose states are the same, and how many epochs each has."""
    same = 0
    for ours, theirs in zip(a.links, b.links, strict=False):
        if ours != theirs:
            break
        same += 1
    return same, len(a.links), len(b.links)


def differences(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, Difference]:
    """Names whose values differ, with both values."""
    names = dict.fromkeys([*a, *b])
    both = {name: (str(a.get(name, "")), str(b.get(name, ""))) for name in names}
    return {name: (ours, theirs) for name, (ours, theirs) in both.items() if ours != theirs}
