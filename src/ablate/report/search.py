"""What a search has found: its trials apart from what was confirmed, so that no table mixes the two."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ablate.records import BY_SEEDS, CONFIRMATION, FINISHED, PATH
from ablate.stats import best_first, front

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.metrics.base import Figure
    from ablate.records import ExperimentRecord, RunRecord


@dataclass(frozen=True)
class Trial:
    """A trial of the search, in the means over the search's seeds."""

    name: str
    round: int
    params: Mapping[str, Any]
    values: Mapping[str, float]
    """Objective → mean; {} until it is complete."""
    kept: bool
    """Whether it keeps to the constraints."""
    trained: int
    """Optimizer steps that nobody had trained before it."""
    reason: str
    """Why it has no results, if it has none and was not pruned."""
    marks: Mapping[int, float] = field(default_factory=dict)
    """Step of a mark of the pruner → the objective there."""
    pruned: int = 0
    """The step of the mark at which it was pruned; 0 if it was not."""
    runs: tuple[str, ...] = ()
    """MLflow's runs, one for each seed of the search."""

    @property
    def state(self) -> str:
        """``complete``, ``pruned`` or ``without results``."""
        return "complete" if self.values else "pruned" if self.pruned else "without results"


@dataclass(frozen=True)
class Stage:
    """Optimizer steps of a stage of the search."""

    name: str
    runs: int
    asked: int
    trained: int


@dataclass(frozen=True)
class Searched:
    """A search, apart from what was confirmed of it."""

    sampler: str
    pruner: str
    """Its name; "" without one."""
    objectives: Mapping[str, Figure]
    seeds: tuple[int, ...]
    fresh: tuple[int, ...]
    """Seeds of the confirmation; () before it."""
    trials: tuple[Trial, ...]
    confirmed: tuple[str, ...]
    baseline: Mapping[str, float]
    """Objective → mean over the search's seeds."""
    stages: tuple[Stage, ...]
    path: tuple[tuple[str, str, Mapping[str, Mapping[int, float]]], ...]
    """(Step, what was changed, objective → seed → value) from the baseline to the best trial, with fresh
    seeds."""
    spec: Mapping[str, Any]
    """``search`` of the spec."""
    runs: tuple[RunRecord, ...] = ()
    """Those with the search's seeds that have finished, the baseline's among them."""

    @property
    def by_seeds(self) -> bool:
        """Whether its pruner judges after each seed of a trial, and not at epochs."""
        return self.pruner in BY_SEEDS

    def better(self, objective: str, value: float) -> float:
        """A value so that less is better."""
        return value if self.objectives[objective].lower_is_better else -value

    @property
    def complete(self) -> list[Trial]:
        """The trials that count: with results, and within the constraints."""
        return [trial for trial in self.trials if trial.values and trial.kept]

    @property
    def ranked(self) -> list[Trial]:
        """Those that count, the best first; with several objectives front by front."""
        named = {trial.name: trial for trial in self.complete}
        return [named[name] for name in best_first(self._points())]

    @property
    def unbeaten(self) -> list[Trial]:
        """The Pareto front, from the best in the first objective on."""
        named = {trial.name: trial for trial in self.complete}
        return [named[name] for name in front(self._points())]

    @property
    def pruned(self) -> list[Trial]:
        """The trials that were ended early."""
        return [trial for trial in self.trials if trial.pruned]

    def _points(self) -> dict[str, list[float]]:
        return {t.name: [self.better(key, t.values[key]) for key in self.objectives] for t in self.complete}


def apart(
    record: ExperimentRecord, figures: Mapping[str, Figure]
) -> tuple[ExperimentRecord, Searched | None]:
    """A record without the trials of a search, and the search. What stays are the baseline and what was
    confirmed, with fresh seeds; before that the baseline alone."""
    if record.search is None:
        return record, None
    searched = _searched(record, figures)
    shown = (record.spec["baseline"], *searched.confirmed)
    seeds = searched.fresh or searched.seeds
    spec = {**record.spec, "seeds": list(seeds), "variants": _only(record.spec["variants"], shown)}
    runs = [run for run in record.runs if run.variant in shown and run.seed in seeds]
    return replace(record, spec=spec, configs=_only(record.configs, shown), runs=runs), searched


def _only(mapping: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name in names}


def _searched(record: ExperimentRecord, figures: Mapping[str, Figure]) -> Searched:
    assert record.search is not None
    spec, found = record.spec["search"], record.search
    seeds, trained = tuple(record.spec["seeds"]), found["trained"]
    confirmed = tuple(found["confirmed"])
    fresh = tuple(spec["confirm"]["seeds"]) if confirmed else ()
    finished = {(run.variant, run.seed): run for run in record.runs if run.status == FINISHED}
    failed = {run.variant: run.reason for run in record.runs if run.status != FINISHED}
    objectives = {key: figures[key] for key in spec["objectives"]}
    scored = found.get("scored", ())
    ended = {each["trial"]: each["step"] for each in scored if each["pruned"]}
    asked: dict[str, int] = found.get("asked", {})
    recorded: dict[str, list[str]] = {}
    for run in record.runs:
        if run.seed in seeds:
            recorded.setdefault(run.variant, []).append(run.run_id)

    def trial(proposal: Mapping[str, Any]) -> Trial:
        name = proposal["name"]
        runs = [finished[name, seed] for seed in seeds if (name, seed) in finished]
        needed = {*objectives, *(limit["metric"] for limit in spec["constraints"])}
        whole = len(runs) == len(seeds) and all(needed <= run.metrics.keys() for run in runs)
        return Trial(
            name,
            proposal["round"],
            proposal["params"],
            {key: fmean(run.metrics[key] for run in runs) for key in objectives} if whole else {},
            whole and all(_keeps(limit, runs) for limit in spec["constraints"]),
            trained.get(name, 0),
            proposal["reason"] or ("" if whole or name in ended else failed.get(name) or "not finished yet"),
            {each["step"]: each["value"] for each in scored if each["trial"] == name},
            ended.get(name, 0),
            tuple(recorded.get(name, ())),
        )

    trials = tuple(trial(p) for p in found["proposals"] if p["kind"] == "trial")
    path = [p for p in found["proposals"] if p["kind"] == "path"]
    on_path = {proposal["name"] for proposal in path}
    baseline = record.spec["baseline"]
    base = [finished[baseline, seed] for seed in seeds if (baseline, seed) in finished]
    base = [run for run in base if objectives.keys() <= run.metrics.keys()]
    first = [run for (v, seed), run in finished.items() if seed in seeds and v not in asked]
    cut_off = Stage("", sum(run.variant in asked for run in record.runs), sum(asked.values()), 0)
    second = [run for (v, seed), run in finished.items() if seed in fresh and v not in on_path]
    third = [run for (v, _), run in finished.items() if v in on_path]
    of_trials = sum(steps for name, steps in trained.items() if name not in (CONFIRMATION, PATH))
    stages = (
        _stage("the search", first, of_trials, cut_off),
        _stage(CONFIRMATION, second, trained.get(CONFIRMATION, 0)),
        _stage(PATH, third, trained.get(PATH, 0)),
    )
    return Searched(
        spec["sampler"],
        (spec.get("pruner") or {}).get("kind", ""),
        objectives,
        seeds,
        fresh,
        trials,
        confirmed,
        {key: fmean(run.metrics[key] for run in base) for key in objectives} if base else {},
        tuple(stage for stage in stages if stage.runs),
        _path(record, path, confirmed, finished, objectives, fresh),
        spec,
        tuple(run for (_, seed), run in finished.items() if seed in seeds),
    )


def _keeps(limit: Mapping[str, Any], runs: Sequence[RunRecord]) -> bool:
    value = fmean(run.metrics[limit["metric"]] for run in runs)
    most, least = limit["at_most"], limit["at_least"]
    return bool(value <= most if most is not None else value >= least)


def _stage(name: str, runs: Sequence[RunRecord], trained: int, cut_off: Stage = Stage("", 0, 0, 0)) -> Stage:
    """A stage of runs that have finished, and of those that were ``cut_off``."""
    asked = sum(len(run.links) * run.steps_per_epoch for run in runs)
    return Stage(name, len(runs) + cut_off.runs, asked + cut_off.asked, trained)


def _path(
    record: ExperimentRecord,
    proposals: Sequence[Mapping[str, Any]],
    confirmed: Sequence[str],
    finished: Mapping[tuple[str, int], RunRecord],
    objectives: Mapping[str, Figure],
    fresh: Sequence[int],
) -> tuple[tuple[str, str, Mapping[str, Mapping[int, float]]], ...]:
    """The best variant of each step, by the first objective."""
    objective, figure = next(iter(objectives.items()))
    sign = 1 if figure.lower_is_better else -1

    def values(name: str) -> dict[str, dict[int, float]]:
        runs = {seed: finished[name, seed] for seed in fresh if (name, seed) in finished}
        return {
            key: {seed: run.metrics[key] for seed, run in runs.items() if key in run.metrics}
            for key in objectives
        }

    def mean(name: str) -> float:
        found = values(name)[objective]
        return sign * fmean(found.values()) if len(found) == len(fresh) else math.inf

    if not proposals:
        return ()
    baseline = record.spec["baseline"]
    here: Mapping[str, Any] = {}
    steps = [("baseline", "", values(baseline))]
    for number in range(1, max(p["round"] for p in proposals) + 1):
        best = min((p for p in proposals if p["round"] == number), key=lambda p: mean(p["name"]))
        steps.append((best["name"], _changed(here, best["params"]), values(best["name"])))
        here = best["params"]
    winner = min(confirmed, key=mean)
    params = next(p["params"] for p in record.search["proposals"] if p["name"] == winner)  # type: ignore[index]
    return (*steps, (winner, _changed(here, params), values(winner)))


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {shown(value)}" for name, value in new.items() if old.get(name) != value)


def shown(value: Any) -> str:
    """A value of a point: fractions with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else "null" if value is None else str(value)
