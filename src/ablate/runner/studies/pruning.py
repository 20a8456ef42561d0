"""Which trials of a search go on from a mark: Optuna's pruners, asked about what is recorded.

The pruner looks at a study in memory, in which the trials have the numbers and are judged in the order that
the record has. So its answer depends on nothing else: not on workers, and not on a process that was killed.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.experiment.pruners import Scored
from ablate.plan import regrown
from ablate.records import FINISHED
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import optuna

    from ablate.experiment.load import Experiment
    from ablate.experiment.pruners import Mark
    from ablate.plan import Plan
    from ablate.record.read import Child, Reader
    from ablate.record.write import Writer
    from ablate.runner.studies.search_study import Measured


def values_at(
    mark: Mark, variants: Collection[str], objective: str, reader: Reader, parent: str
) -> dict[tuple[str, int], float]:
    """(Variant, seed) → the objective of the runs that have come to a mark."""
    children = [c for c in reader.children(parent) if c.variant in variants and c.seed in mark.seeds]
    if mark.epoch is None:
        return {
            (child.variant, child.seed): child.metrics[objective]
            for child in children
            if child.status == FINISHED and objective in child.metrics
        }
    found = reader.at_marks([child.run_id for child in children], objective)
    return {
        (child.variant, child.seed): found[child.run_id][mark.epoch]
        for child in children
        if mark.epoch in found[child.run_id]
    }


def judged(
    experiment: Experiment,
    mark: Mark,
    trials: Sequence[str],
    values: Mapping[tuple[str, int], float],
    measured: Mapping[str, Measured],
) -> list[Scored]:
    """What the pruner says of ``trials`` at a mark, in the order of their numbers; of those that have a value
    with all seeds of the mark.

    Args:
        measured: what complete trials have brought.
    """
    judge = Judge(experiment, measured)
    found = []
    for name in trials:
        of_seeds = [values[name, seed] for seed in mark.seeds if (name, seed) in values]
        if len(of_seeds) == len(mark.seeds):
            value = fmean(of_seeds)
            found.append(Scored(name, mark.step, value, judge.prunes(name, mark.step, value)))
    return found


def results_key(plan: Plan, trial: str, mark: Mark) -> str:
    """What stands for the results by which a trial is judged at a mark."""
    runs = [run.keys.whole for run in plan.runs if run.variant == trial and run.seed in mark.seeds]
    return key_of({"results": [keys.at(mark.epoch).evaluate for keys in runs]})


def with_scored(plan: Plan, recorded: Sequence[Scored]) -> Plan:
    """The plan with what was judged so far, but for what was judged by results of other code or data: these
    trials come to their marks once more."""
    marks = {mark.step: mark for mark in plan.experiment.marks}
    scored = tuple(
        each
        for each in recorded
        if each.step in marks and each.key == results_key(plan, each.trial, marks[each.step])
    )
    return regrown(plan, replace(plan.experiment, scored=scored))


class Judge:
    """An experiment's pruner, and a study in memory that holds what was judged so far."""

    def __init__(self, experiment: Experiment, measured: Mapping[str, Measured]) -> None:
        import optuna

        search = experiment.spec.search
        assert search and search.pruner
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        figure = experiment.vocabulary.figures[search.objectives[0]]
        marks = experiment.marks
        self._steps = {mark.step: search.pruner.step_for_optuna(n) for n, mark in enumerate(marks)}
        study = optuna.create_study(
            study_name=f"seed {search.seed}",  # Hyperband draws brackets from it and the trial's number
            direction="minimize" if figure.lower_is_better else "maximize",
            sampler=optuna.samplers.RandomSampler(),
            pruner=search.pruner.made(len(marks)),
        )
        self._trials: dict[str, optuna.Trial] = {trial.name: study.ask() for trial in experiment.trials}
        for scored in experiment.scored:  # halving keeps in the study what it has seen
            self.prunes(scored.trial, scored.step, scored.value)
        for name, trial in self._trials.items():
            if name in measured:
                study.tell(trial, list(measured[name].values))

    def prunes(self, trial: str, step: int, value: float) -> bool:
        """Whether a trial ends at a mark, at which it has a value."""
        asked = self._trials[trial]
        asked.report(value, self._steps[step])
        return bool(asked.should_prune())


def end_pruned(experiment: Experiment, writer: Writer, parent: str) -> None:
    """Has MLflow's runs of trials that were pruned say so, and end."""
    pruned = experiment.pruned
    if not pruned:
        return
    for child in writer.children(parent):
        if (mark := pruned.get(child.variant)) and not _says_so(child):
            writer.prune_child(child, mark.words)


def _says_so(child: Child) -> bool:
    return child.pruned and child.status in (FINISHED, "KILLED")
