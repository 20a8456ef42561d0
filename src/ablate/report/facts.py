"""What a report says, as numbers: a pure function of the experiment's record."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.records import LOWER_IS_BETTER, METRICS, ExperimentRecord, RunRecord
from ablate.stats import Interval, PairedDifference, mean_interval, paired_difference, smallest_p

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FINISHED = "FINISHED"
MISSING = "MISSING"
"""Status of a variant and seed that the spec asks for and no run stands for."""

GRID_PROMPTS = 8
"""Columns of the sample grid."""

Values = dict[str, dict[int, float]]
"""Variant → seed → value."""


@dataclass(frozen=True)
class MetricFacts:
    """One metric over all variants."""

    key: str
    label: str
    """With its feature space: ``FID (sprites-clip)``, never plain ``FID``."""
    lower_is_better: bool
    values: Mapping[str, Mapping[int, float]]
    """Variant → seed → value, finished runs with a finite value only."""
    spaces: Mapping[str, frozenset[str]]
    """Variant → the spaces its runs were measured in. More than one over all: not all comparable."""
    intervals: Mapping[str, Interval]
    """Variant → mean over seeds."""
    differences: Mapping[str, PairedDifference]
    """Variant → its ``difference`` to the baseline, where there is one."""

    @property
    def arrow(self) -> str:
        """Where better values lie."""
        return "↓" if self.lower_is_better else "↑"

    @property
    def mixed_spaces(self) -> bool:
        """Whether some variants cannot be compared since they were measured in different spaces."""
        return len(frozenset().union(*self.spaces.values())) > 1

    def gains(self, variant: str, against: str) -> dict[int, float]:
        """Seed → how much better ``variant`` is than ``against``; negative where it is worse."""
        ours, theirs = self.values[variant], self.values[against]
        sign = -1 if self.lower_is_better else 1
        return {seed: sign * (ours[seed] - theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())}


@dataclass(frozen=True)
class AccuracyFacts:
    """How often the evaluator reads an attribute of the prompt off the sample (zero-shot)."""

    attribute: str
    intervals: Mapping[str, Interval]
    """Variant → mean over seeds, as a share from 0 to 1."""
    chance: float | None
    """Share that guessing reaches; None where the number of labels was not recorded."""


@dataclass(frozen=True)
class ClaimFacts:
    """A claim of the spec and what was measured for it. No verdict."""

    text: str
    source: str
    variant: str
    against: str
    metric: MetricFacts | None
    """None where no run has the metric."""
    metric_label: str
    direction: str
    margin: float | None
    difference: PairedDifference | None
    """None where the two variants have no seed in common with this metric."""
    smallest_p: float | None
    """What the sign-flip test can reach with so many seeds."""


@dataclass(frozen=True)
class Curve:
    """The training of one or more variants, epoch by epoch."""

    variants: tuple[str, ...]
    """All variants that stand on exactly this training."""
    fork: int
    """First epoch that no earlier curve has (the last one if there is none): before it, this curve
    repeats another."""
    series: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]]
    """Name (``loss``, ``loss_mse``, …) → seed → (epoch, value) in the order of epochs."""


@dataclass(frozen=True)
class CostFacts:
    """What was asked for, and what was trained since equal links are trained once."""

    epochs_asked: int
    epochs_trained: int
    steps_asked: int
    steps_trained: int
    seconds_asked: float
    """What the runs would have taken without sharing: each link's seconds, counted in each run."""
    seconds_trained: float
    """Each link's seconds, counted once."""
    sample_seconds: float

    @property
    def shared(self) -> float:
        """Share of the epochs asked for that another run had trained already, from 0 to 1."""
        return 1 - self.epochs_trained / self.epochs_asked if self.epochs_asked else 0.0


@dataclass(frozen=True)
class ImageCounts:
    """Distinct numbers over the finished runs, ascending. More than one: runs differ."""

    generated: tuple[int, ...]
    real: tuple[int, ...]
    dimension: tuple[int, ...]
    below_dimension: bool
    """Some run has fewer images, generated or real, than its features have dimensions."""


@dataclass(frozen=True)
class Gap:
    """A run that did not finish, was never made, or lacks metrics."""

    variant: str
    seed: int
    status: str
    reason: str
    run_id: str = ""


@dataclass(frozen=True)
class Grid:
    """The images to show side by side: one seed, the same prompts for all variants."""

    seed: int
    prompts: tuple[tuple[str, str], ...]
    """(image name, prompt), drawn at random once and for all, so that nobody picks."""
    prompt_count: int
    folders: Mapping[str, Path]
    """Variant → folder with its images."""


@dataclass(frozen=True)
class Facts:
    """All that a report says."""

    record: ExperimentRecord
    baseline: str
    variants: tuple[str, ...]
    """The baseline first, then the spec's order."""
    seeds: tuple[int, ...]
    runs: Mapping[tuple[str, int], RunRecord]
    finished: int
    changes: Mapping[str, Mapping[str, Any]]
    """Dotted field → variant → value, only fields that differ. A variant without the field is absent."""
    metrics: tuple[MetricFacts, ...]
    accuracies: tuple[AccuracyFacts, ...]
    claims: tuple[ClaimFacts, ...]
    curves: tuple[Curve, ...]
    cost: CostFacts
    images: ImageCounts
    gaps: tuple[Gap, ...]
    grid: Grid | None

    @property
    def others(self) -> tuple[str, ...]:
        """All variants but the baseline."""
        return self.variants[1:]


def gather(record: ExperimentRecord) -> Facts:
    """Compute all facts of a report."""
    # A run made again after a failure replaces it: finished runs come last and win.
    runs = {(r.variant, r.seed): r for r in sorted(record.runs, key=lambda r: r.status == FINISHED)}
    baseline = str(record.spec["baseline"])
    named = [baseline, *record.spec["variants"], *sorted({variant for variant, _ in runs})]
    variants = tuple(dict.fromkeys(named))
    seeds = tuple(sorted({*record.spec["seeds"], *(seed for _, seed in runs)}))
    in_order = [runs[v, s] for v in variants for s in seeds if (v, s) in runs]
    finished = [run for run in in_order if run.status == FINISHED]
    metrics = tuple(fact for key in METRICS if (fact := _metric(key, finished, variants, baseline)))
    return Facts(
        record=record,
        baseline=baseline,
        variants=variants,
        seeds=seeds,
        runs=runs,
        finished=len(finished),
        changes=config_changes({v: record.configs[v] for v in variants if v in record.configs}),
        metrics=metrics,
        accuracies=_accuracies(finished, variants),
        claims=tuple(_claim(claim, metrics) for claim in record.spec.get("claims") or ()),
        curves=_curves(finished, variants),
        cost=_cost(in_order),
        images=_image_counts(finished),
        gaps=_gaps(runs, variants, seeds, [metric.key for metric in metrics]),
        grid=_grid(finished, variants, seeds),
    )


def config_changes(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields in which the configurations differ: dotted name → variant → value.

    A part that one variant has and another switches off (``ema: null``) shows as its fields
    (``ema.decay``), which the other variant then lacks.
    """
    flat = {variant: _flatten(config) for variant, config in configs.items()}
    names = list(dict.fromkeys(name for fields in flat.values() for name in fields))
    parents = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    changes: dict[str, dict[str, Any]] = {}
    for name in names:
        present = {variant: fields[name] for variant, fields in flat.items() if name in fields}
        is_switch = name in parents and all(value in (None, {}) for value in present.values())
        distinct = {repr(value) for value in present.values()}
        if (len(distinct) > 1 or len(present) < len(flat)) and not is_switch:
            changes[name] = present
    return changes


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def _metric(
    key: str, finished: Sequence[RunRecord], variants: Sequence[str], baseline: str
) -> MetricFacts | None:
    values = _values(key, finished)
    if not values:
        return None
    shown = [variant for variant in variants if variant in values]
    measured = [run for run in finished if run.seed in values.get(run.variant, {})]
    spaces = {v: frozenset(_space(key, run) for run in measured if run.variant == v) for v in shown}
    differences = {v: _difference(values, spaces, v, baseline) for v in shown if v != baseline}
    return MetricFacts(
        key=key,
        label=f"{METRICS[key]} ({', '.join(sorted({_space(key, run) for run in measured}))})",
        lower_is_better=key in LOWER_IS_BETTER,
        values={variant: values[variant] for variant in shown},
        spaces=spaces,
        intervals={variant: mean_interval(list(values[variant].values())) for variant in shown},
        differences={variant: difference for variant, difference in differences.items() if difference},
    )


def _space(key: str, run: RunRecord) -> str:
    name = run.feature_space if key in {"fid", "kid"} else run.evaluator
    return name or "space not recorded"


def _difference(
    values: Mapping[str, Mapping[int, float]],
    spaces: Mapping[str, frozenset[str]],
    variant: str,
    against: str,
) -> PairedDifference | None:
    """Variant − against over common seeds; None without one, or where the spaces differ."""
    ours, theirs = values.get(variant, {}), values.get(against, {})
    if not ours.keys() & theirs.keys() or len(spaces[variant] | spaces[against]) > 1:
        return None
    return paired_difference(ours, theirs)


def _values(key: str, runs: Iterable[RunRecord]) -> Values:
    values: Values = {}
    for run in runs:
        value = run.metrics.get(key, math.nan)
        if math.isfinite(value):
            values.setdefault(run.variant, {})[run.seed] = value
    return values


def _accuracies(finished: Sequence[RunRecord], variants: Sequence[str]) -> tuple[AccuracyFacts, ...]:
    keys = list(dict.fromkeys(key for run in finished for key in run.metrics if key.startswith("accuracy_")))
    accuracies = []
    for key in keys:
        attribute = key.removeprefix("accuracy_")
        values = _values(key, finished)
        labels = {run.metrics.get(f"labels_{attribute}") for run in finished} - {None, 0}
        accuracies.append(
            AccuracyFacts(
                attribute=attribute,
                intervals={v: mean_interval(list(values[v].values())) for v in variants if v in values},
                chance=1 / (labels.pop() or 1) if len(labels) == 1 else None,
            )
        )
    return tuple(accuracies)


def _claim(claim: Mapping[str, Any], metrics: Sequence[MetricFacts]) -> ClaimFacts:
    metric = next((metric for metric in metrics if metric.key == claim["metric"]), None)
    variant, against = claim["variant"], claim["against"]
    difference = _difference(metric.values, metric.spaces, variant, against) if metric else None
    return ClaimFacts(
        text=claim["text"],
        source=claim.get("source", ""),
        variant=variant,
        against=against,
        metric=metric,
        metric_label=metric.label if metric else METRICS[claim["metric"]],
        direction=claim["direction"],
        margin=claim.get("margin"),
        difference=difference,
        smallest_p=smallest_p(difference.n) if difference else None,
    )


def _curves(finished: Sequence[RunRecord], variants: Sequence[str]) -> tuple[Curve, ...]:
    """Each distinct training once, with the variants that stand on it."""
    groups: list[tuple[list[str], dict[int, RunRecord]]] = []
    for variant in variants:
        runs = {run.seed: run for run in finished if run.variant == variant and run.history}
        same = next((group for group in groups if _same_training(group[1], runs)), None)
        if same:
            same[0].append(variant)
            same[1].update({seed: run for seed, run in runs.items() if seed not in same[1]})
        elif runs:
            groups.append(([variant], runs))

    drawn: set[str] = set()
    curves = []
    for names, runs in groups:
        fork = min(_fork(run, drawn) for run in runs.values())
        drawn.update(link for run in runs.values() for link in run.links)
        keys = dict.fromkeys(key for run in runs.values() for key in run.history)
        series = {
            key: {seed: _epochs(run, key) for seed, run in sorted(runs.items()) if run.history.get(key)}
            for key in keys
        }
        curves.append(Curve(tuple(names), fork, series))
    return tuple(curves)


def _fork(run: RunRecord, drawn: set[str]) -> int:
    epochs = sorted({epoch for points in run.history.values() for epoch, _ in points})
    shared = sum(link in drawn for link in run.links)
    return epochs[min(shared, len(epochs) - 1)] if epochs else 0


def _same_training(some: Mapping[int, RunRecord], others: Mapping[int, RunRecord]) -> bool:
    common = some.keys() & others.keys()
    return bool(common) and all(
        some[seed].links and list(some[seed].links) == list(others[seed].links) for seed in common
    )


def _epochs(run: RunRecord, key: str) -> list[tuple[int, float]]:
    # A resumed run may have logged an epoch twice; the later value stands.
    return sorted(dict(run.history.get(key, ())).items())


def _cost(runs: Sequence[RunRecord]) -> CostFacts:
    steps: dict[str, int] = {}
    seconds: dict[str, float] = {}
    steps_asked, seconds_asked = 0, 0.0
    for run in runs:
        times = [value for _, value in _epochs(run, "epoch_seconds")]
        # Link i stands for the i-th epoch. A run that did not finish trained as far as its history goes.
        trained = run.links if run.status == FINISHED else run.links[: len(times)]
        steps |= dict.fromkeys(trained, run.steps_per_epoch)
        seconds |= dict(zip(run.links, times, strict=False))
        steps_asked += len(run.links) * run.steps_per_epoch
        seconds_asked += sum(times)
    return CostFacts(
        epochs_asked=sum(len(run.links) for run in runs),
        epochs_trained=len(steps),
        steps_asked=steps_asked,
        steps_trained=sum(steps.values()),
        seconds_asked=seconds_asked,
        seconds_trained=sum(seconds.values()),
        sample_seconds=sum(run.metrics.get("sample_seconds", 0.0) for run in runs),
    )


def _image_counts(finished: Sequence[RunRecord]) -> ImageCounts:
    def distinct(key: str) -> tuple[int, ...]:
        return tuple(sorted({int(run.metrics[key]) for run in finished if key in run.metrics}))

    def too_few(run: RunRecord) -> bool:
        counts = [run.metrics.get(key, math.inf) for key in ("images", "reference_images")]
        return min(counts) < run.metrics.get("feature_dimension", 0)

    return ImageCounts(
        generated=distinct("images"),
        real=distinct("reference_images"),
        dimension=distinct("feature_dimension"),
        below_dimension=any(too_few(run) for run in finished),
    )


def _gaps(
    runs: Mapping[tuple[str, int], RunRecord],
    variants: Sequence[str],
    seeds: Sequence[int],
    metrics: Sequence[str],
) -> tuple[Gap, ...]:
    gaps = []
    for variant in variants:
        for seed in seeds:
            run = runs.get((variant, seed))
            if run is None:
                gaps.append(Gap(variant, seed, MISSING, "no run was recorded"))
            elif run.status != FINISHED:
                gaps.append(
                    Gap(variant, seed, run.status, run.reason or "no reason was recorded", run.run_id)
                )
            elif lacking := [k for k in metrics if not math.isfinite(run.metrics.get(k, math.nan))]:
                reason = f"no {', '.join(METRICS[key] for key in lacking)}"
                gaps.append(Gap(variant, seed, run.status, reason, run.run_id))
    return tuple(gaps)


def _grid(finished: Sequence[RunRecord], variants: Sequence[str], seeds: Sequence[int]) -> Grid | None:
    sampled = [run for run in finished if run.samples and run.prompts]
    if not sampled:
        return None
    # The seed that most variants have; the first of equals.
    seed = max(seeds, key=lambda seed: sum(run.seed == seed for run in sampled))
    chosen = {run.variant: run for run in sampled if run.seed == seed}
    prompts = list(next(iter(chosen.values())).prompts.items())
    picked = sorted(random.Random(0).sample(range(len(prompts)), min(GRID_PROMPTS, len(prompts))))
    return Grid(
        seed=seed,
        prompts=tuple(prompts[index] for index in picked),
        prompt_count=len(prompts),
        folders={v: folder for v in variants if v in chosen and (folder := chosen[v].samples)},
    )
