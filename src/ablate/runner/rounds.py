"""Which runs come next: all that is missing of a fixed design, or round after round of a search.

A round is a plan and those of its runs that are to be done now. Whoever asks for the next round must
have recorded the one before.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.experiment.pruners import Scored
from ablate.experiment.space import Space
from ablate.experiment.trials import Proposal, branch_points, grown, resolve, trials_left
from ablate.plan import regrown
from ablate.records import CONFIRMATION, FINISHED, PATH
from ablate.runner.needs import write_needs
from ablate.runner.studies.acquisition import Costs
from ablate.runner.studies.pruning import end_pruned, judged, results_key, values_at, with_scored
from ablate.runner.studies.search_study import Measured, SearchStudy
from ablate.runner.studies.study import results_of
from ablate.stats import best_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ablate.experiment.load import Experiment
    from ablate.experiment.pruners import Mark
    from ablate.plan import Plan, Run
    from ablate.record.read import Child, Reader
    from ablate.record.write import Writer
    from ablate.runner.studies.study import Study


def fixed_rounds(
    plan: Plan, waiting: Sequence[Run], study: Study, writer: Writer, parent: str
) -> Iterator[tuple[Plan, list[Run]]]:
    """The variants of a fixed design, all in one round."""
    seeds = plan.experiment.spec.seeds
    study.enqueue(dict.fromkeys(run.variant for run in waiting))
    while variants := study.propose():
        yield plan, [run for run in waiting if run.variant in variants]
        study.tell(results_of(writer.children(parent), seeds))
    study.agree(results_of(writer.children(parent), seeds))


def resumed(plan: Plan, reader: Reader, parent: str) -> Plan:
    """The plan with all that its search has proposed so far, as MLflow has it, and with the scores of trials
    that still hold."""
    found = reader.searched(parent)
    proposals = [Proposal(**proposal) for proposal in found.get("proposals", ())]
    confirmed, trained = found.get("confirmed", ()), found.get("trained", {})
    experiment = replace(grown(plan.experiment, proposals, confirmed, trained), scored=())
    return with_scored(regrown(plan, experiment), [Scored(**scored) for scored in found.get("scored", ())])


class SearchRounds:
    """The rounds of a search: trials, then the best ones with fresh seeds, then the way to the best."""

    def __init__(
        self,
        plan: Plan,
        study: SearchStudy,
        writer: Writer,
        parent: str,
        say: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self._study = study
        self._writer = writer
        self._parent = parent
        self._say = say
        self._points = branch_points(plan.experiment)
        self._began = time.monotonic()

    def __call__(self, waiting: Sequence[Run]) -> Iterator[tuple[Plan, list[Run]]]:
        """Round after round, beginning with what an earlier command has left."""
        study, todo = self._study, list(waiting)
        while True:
            children = self._writer.children(self._parent)
            left = {run.variant for run in todo if run.variant != self.plan.experiment.spec.baseline}
            measured = measured_of(self.plan.experiment, children)
            study.agree(self.plan.experiment.trials, measured, left, self.plan.experiment.scored)
            if not left:
                before = self.plan
                self._grow(study, measured, children)
                todo += [run for run in self.plan.runs if run not in before.runs]
                if self.plan is before and not todo:
                    write_needs(self.plan, goes_on=not has_ended(self.plan, self._writer, self._parent))
                    return
                self._announce(todo)
            self._keep_branch_points(todo)
            yield from self._from_mark_to_mark(todo)
            todo = []

    def _from_mark_to_mark(self, todo: Sequence[Run]) -> Iterator[tuple[Plan, list[Run]]]:
        """The runs of a round: without a pruner all at once; else those of trials as far as each mark in
        turn. A trial that is pruned or fails goes no further."""
        left = list(todo)
        for mark, following in pairwise([*self.plan.experiment.marks, None]):
            assert mark
            trials = self._to_judge(mark, left)
            known = self._values_at(mark, trials)
            some = [
                run
                for run in self._cut(left, mark)
                if not self._is_trial(run) or (run.variant in trials and (run.variant, run.seed) not in known)
            ]
            if some:
                yield with_runs(self.plan, some), some
            going_on = self._judge(mark, trials, left, following)
            done = {run.name for run in some if run.keys is run.keys.whole}
            left = [
                r for r in left if r.name not in done and (r.variant not in trials or r.variant in going_on)
            ]
        if left:  # nothing is left of a round whose proposals are all invalid
            yield self.plan, left

    def _is_trial(self, run: Run) -> bool:
        """Whether a run is one of a trial's with the seeds of the search."""
        experiment = self.plan.experiment
        return run.seed in experiment.spec.seeds and any(run.variant == t.name for t in experiment.trials)

    def _cut(self, runs: Sequence[Run], mark: Mark | None) -> list[Run]:
        """What a mark asks for of ``runs``: those of trials with its seeds and as far as its epoch."""
        if mark is None:
            return list(runs)
        asked = [run for run in runs if run.seed in mark.seeds or not self._is_trial(run)]
        return [run.at(mark) if self._is_trial(run) else run for run in asked]

    def _to_judge(self, mark: Mark, left: Sequence[Run]) -> list[str]:
        """The trials that are to be judged at a mark: neither before, nor where it lies behind their end."""
        experiment = self.plan.experiment
        judged_before = {each.trial for each in experiment.scored if each.step == mark.step}
        on_the_way = {run.variant for run in left if mark.epoch is None or mark.epoch < run.keys.epochs}
        return [t.name for t in experiment.trials if t.name in on_the_way - judged_before]

    def _values_at(self, mark: Mark, trials: Sequence[str]) -> dict[tuple[str, int], float]:
        search = self.plan.experiment.spec.search
        assert search
        return values_at(mark, trials, search.objectives[0], self._writer, self._parent) if trials else {}

    def _judge(
        self, mark: Mark, trials: Sequence[str], left: Sequence[Run], following: Mark | None
    ) -> set[str]:
        """Judges trials at a mark, and records it with what is trained next. Gives those that go on."""
        if not trials:
            return set()
        experiment = self.plan.experiment
        measured = measured_of(experiment, self._writer.children(self._parent))
        scored = [
            replace(each, key=results_key(self.plan, each.trial, mark))
            for each in judged(experiment, mark, trials, self._values_at(mark, trials), measured)
        ]
        going_on = {each.trial for each in scored if not each.pruned}
        trained = dict(experiment.trained)
        next_runs = self._cut([run for run in left if run.variant in going_on], following)
        for (name, _), steps in _by_stage(self.plan, next_runs).items():
            trained[name] = trained.get(name, 0) + steps
        grown_by = replace(experiment, scored=(*experiment.scored, *scored), trained=trained)
        self.plan = regrown(self.plan, grown_by)
        write_needs(self.plan, goes_on=True)
        self._writer.describe_parent(self._parent, self.plan)
        end_pruned(self.plan.experiment, self._writer, self._parent)
        return going_on

    def _grow(self, study: SearchStudy, measured: Mapping[str, Measured], children: Sequence[Child]) -> None:
        experiment, search = self.plan.experiment, self.plan.experiment.spec.search
        assert search
        if count := self._trials_to_come():
            number = max((trial.round for trial in experiment.trials), default=-1) + 1
            costs = None
            if number and search.acquisition == "per-cost":
                costs = Costs(self.plan, {experiment.spec.baseline, *measured, *experiment.pruned})
            new = study.propose(experiment.trials, count, number, costs)
            self._take([*experiment.proposals, *new], experiment.confirmed)
        elif self._late or not search.confirm:
            return
        elif not experiment.confirmed:
            best = best_of(experiment, measured)[: search.confirm.best]
            if not best:
                self._say("no trial has results and keeps to the constraints, so there is none to confirm")
                return
            self._take(experiment.proposals, best)
        elif search.confirm.path and (step := next_step(experiment, children)):
            self._take([*experiment.proposals, *step], experiment.confirmed)

    def _trials_to_come(self) -> int:
        """How many trials the next round has; 0 when the search has ended, or this command's time."""
        left, search = trials_left(self.plan.experiment), self.plan.experiment.spec.search
        assert search
        if self._late and left:
            self._say(f"the time is up with {left} trials left; the same command goes on")
        return 0 if self._late else min(search.round, left)

    @property
    def _late(self) -> bool:
        search = self.plan.experiment.spec.search
        assert search
        return search.timeout is not None and time.monotonic() - self._began >= search.timeout * 3600

    def _take(self, proposals: Sequence[Proposal], confirmed: Sequence[str]) -> None:
        self.plan = regrown(self.plan, grown(self.plan.experiment, proposals, confirmed))

    def _announce(self, todo: Sequence[Run]) -> None:
        """Keeps, before anything is trained, what was proposed and what it costs."""
        experiment = self.plan.experiment
        trained = dict(experiment.trained)
        explaining = {step.name for step in experiment.steps}
        first = self._cut(todo, next(iter(experiment.marks), None))
        for (name, fresh), steps in _by_stage(self.plan, first).items():
            stage = PATH if name in explaining else CONFIRMATION if fresh else name
            if stage in (PATH, CONFIRMATION) or stage not in trained:
                trained[stage] = trained.get(stage, 0) + steps
        self.plan = replace(self.plan, experiment=replace(experiment, trained=trained))
        # Before the marks, which `ablate gc` would take for those of states long gone.
        write_needs(self.plan, goes_on=True)
        self._writer.describe_parent(self._parent, self.plan)

    def _keep_branch_points(self, todo: Sequence[Run]) -> None:
        """Has the store keep the states from which later trials may go on."""
        for run in todo:
            for epoch in self._points & set(range(1, len(run.keys.chain))):
                self.plan.store.keep("train", run.keys.chain[epoch])
        for segment in self.plan.segments:
            self.plan.store.keep("train", segment.key)


def with_runs(plan: Plan, runs: Sequence[Run]) -> Plan:
    """The plan with ``runs`` in the place of those that have their names."""
    named = {run.name: run for run in runs}
    return replace(plan, runs=tuple(named.get(run.name, run) for run in plan.runs))


def has_ended(plan: Plan, reader: Reader, parent: str) -> bool:
    """Whether nothing would come after the runs that a search has proposed so far."""
    experiment, children = plan.experiment, reader.children(parent)
    confirm = experiment.spec.search and experiment.spec.search.confirm
    if trials_left(experiment):
        return False
    if not confirm:
        return True
    if not experiment.confirmed:
        return not best_of(experiment, measured_of(experiment, children))
    return not (confirm.path and next_step(experiment, children))


def _by_stage(plan: Plan, todo: Sequence[Run]) -> dict[tuple[str, bool], int]:
    """(Variant, whether with fresh seeds) → optimizer steps that are missing and that it is the first to
    need."""
    seeds = plan.experiment.spec.seeds
    found: dict[tuple[str, bool], int] = {}
    for fresh in (False, True):
        some = tuple(run for run in todo if (run.seed not in seeds) == fresh)
        if some:
            steps = replace(plan, runs=some).steps_by_variant()
            found |= {(variant, fresh): count for variant, count in steps.items()}
    return found


def measured_of(experiment: Experiment, children: Sequence[Child]) -> dict[str, Measured]:
    """Variant → what it has brought with the seeds of the search, of those that are complete."""
    search, seeds = experiment.spec.search, experiment.spec.seeds
    assert search
    needed = dict.fromkeys((*search.objectives, *(limit.metric for limit in search.constraints)))
    found = {}
    for variant, by_seed in _finished(children).items():
        means = {m: value for m in needed if (value := _mean(by_seed, seeds, m)) is not None}
        if len(means) < len(needed):
            continue
        excess: dict[str, float] = {}
        for limit in search.constraints:  # a metric may have a limit on each side
            beyond = limit.excess(means[limit.metric])
            excess[limit.metric] = max(beyond, excess.get(limit.metric, beyond))
        runs = {seed: by_seed[seed].run_id for seed in seeds}
        found[variant] = Measured(tuple(means[metric] for metric in search.objectives), excess, runs)
    return found


def _finished(children: Sequence[Child]) -> dict[str, dict[int, Child]]:
    found: dict[str, dict[int, Child]] = {}
    for child in children:
        if child.status == FINISHED:
            found.setdefault(child.variant, {})[child.seed] = child
    return found


def _mean(by_seed: Mapping[int, Child], seeds: Sequence[int], metric: str) -> float | None:
    """The mean of a metric over the seeds; None until all of them have it."""
    runs = [by_seed[seed] for seed in seeds if seed in by_seed]
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    return fmean(values) if len(values) == len(seeds) else None


def best_of(experiment: Experiment, measured: Mapping[str, Measured]) -> list[str]:
    """The trials that keep to the constraints, the best first; with several objectives front by front."""
    search = experiment.spec.search
    assert search
    signs = [1.0 if experiment.vocabulary.figures[m].lower_is_better else -1.0 for m in search.objectives]
    points = {
        trial.name: [sign * value for sign, value in zip(signs, found.values, strict=True)]
        for trial in experiment.trials
        if (found := measured.get(trial.name)) and all(excess <= 0 for excess in found.excess.values())
    }
    return best_first(points)


def next_step(experiment: Experiment, children: Sequence[Child]) -> list[Proposal]:
    """The next step of the way from the baseline to the best confirmed trial, as irace walks it (Fawcett &
    Hoos 2016): each change that is left, alone, on top of those that were made; [] at the end."""
    search = experiment.spec.search
    assert search and search.confirm
    objective, seeds = search.objectives[0], search.confirm.seeds
    sign = 1.0 if experiment.vocabulary.figures[objective].lower_is_better else -1.0
    finished = _finished(children)

    def value(name: str) -> float:
        mean = _mean(finished.get(name, {}), seeds, objective)
        return float("inf") if mean is None else sign * mean

    by_name = {proposal.name: proposal for proposal in experiment.proposals}
    winner = by_name[min(experiment.confirmed, key=value)]
    steps: dict[int, list[Proposal]] = {}
    for step in experiment.steps:
        steps.setdefault(step.round, []).append(step)
    here = {} if not steps else min(steps[max(steps)], key=lambda proposal: value(proposal.name)).params
    config, _ = resolve(experiment, here)
    number = max(steps, default=0) + 1
    ways = []
    for move, change in Space(search).moves(winner.params).items():
        there, reason = resolve(experiment, here | change)
        if there is not None and there != config and not reason:
            ways.append(Proposal(f"path-{number}-{move}"[:64], here | change, "path", number))
    return ways if len(ways) > 1 else []  # the last change leads to the best trial, which is measured
