"""The Optuna study of a search: by ask and tell, and with the same proposals whenever it is asked again.

A proposal depends on the sampler's seed, the number of the trial and what has been told: the sampler is made
anew for each trial. What MLflow has recorded counts; a study that was lost is put together from it.
"""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.experiment.samplers import ONE_SEQUENCE, SAMPLERS
from ablate.experiment.space import Space
from ablate.experiment.trials import Proposal, trial_name
from ablate.patience import Note, log
from ablate.runner.studies.packing import remove_study
from ablate.runner.studies.study import RUNS, attach_sheet, open_optuna, patiently_on, sheet_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import optuna

    from ablate.experiment.pruners import Scored
    from ablate.experiment.search import Search
    from ablate.experiment.space import Params
    from ablate.runner.studies.acquisition import Costs
    from ablate.runner.studies.study import Storage

CANDIDATES = 4
"""Proposals of which the cheapest is taken. Of more, what is cheap would count more than what is good."""
VARIANT = "variant"
"""Attribute of a trial: the variant that it is."""


@dataclass(frozen=True)
class OnTheWay:
    """What a trial was worth at the marks of the pruner."""

    values: Mapping[int, float] = field(default_factory=dict)
    """Step of the mark → the objective."""
    pruned: bool = False
    """Whether it ended at the last of them."""


@dataclass(frozen=True)
class Measured:
    """What a trial has brought, in the means over the seeds."""

    values: tuple[float, ...]
    """Of the objectives."""
    excess: Mapping[str, float]
    """Metric of a constraint → how far the trial is beyond its limit; at most 0 where it keeps to it."""
    runs: Mapping[int, str]
    """Seed → MLflow's run."""


class SearchStudy:
    """The trials of a search in Optuna's database, and who proposes more of them.

    All methods wait while the database is locked, and say so to ``note``.

    Raises:
        UserError: the database cannot be used.
        UnreachableError: it is locked for minutes.
    """

    def __init__(
        self, storage: Storage, name: str, search: Search, directions: Sequence[str], note: Note = log
    ) -> None:
        self._search = search
        self._space = Space(search)
        self._patiently = patiently_on(storage, note)
        self._open = partial(open_optuna, storage, name, directions, note)
        self._remove = partial(remove_study, storage, name)
        self._study = self._open()

    def propose(
        self, known: Sequence[Proposal], count: int, number: int, costs: Costs | None = None
    ) -> list[Proposal]:
        """The next ``count`` trials, those of the round with this number; each runs from now on.

        Args:
            known: the trials that are recorded. What was proposed and not recorded, because the process was
                killed in between, is proposed again.
            costs: of several candidates for each trial, the cheapest by them is proposed; without it the
                first.
        """
        recorded = {proposal.name for proposal in known}
        for params in self._search.enqueue[len(known) :]:
            self._patiently(lambda params=params: self._study.enqueue_trial(params, skip_if_exists=True))  # type: ignore[misc]
        left = [trial for trial in self._in_state("RUNNING") if trial.user_attrs.get(VARIANT) not in recorded]
        proposals: list[Proposal] = []
        for index in range(len(known), len(known) + count):
            again = left.pop(0) if left else None
            enqueued = index < len(self._search.enqueue)
            sampler = partial(self._cheapest, index, again, costs) if costs and not enqueued else None
            params = self._patiently(
                partial(self._ask, index, again, sampler or partial(self._sampler, index))
            )
            proposals.append(Proposal(trial_name(index), params, round=number))
            if costs:
                costs.take(params)
        return proposals

    def _ask(
        self,
        index: int,
        again: optuna.trial.FrozenTrial | None,
        sampler: Callable[[], optuna.samplers.BaseSampler],
    ) -> Params:
        import optuna

        self._study.sampler = sampler()
        # What a trial was given before the process was killed, it is given again; the rest is proposed now.
        trial = optuna.trial.Trial(self._study, again._trial_id) if again else self._study.ask()
        trial.set_user_attr(VARIANT, trial_name(index))
        return self._space.suggest(trial)

    def _cheapest(
        self, index: int, again: optuna.trial.FrozenTrial | None, costs: Costs
    ) -> optuna.samplers.BaseSampler:
        """Proposes the cheapest of some candidates. They are drawn in a copy of the study: nothing is left of
        the others."""
        import optuna

        copy = optuna.create_study(directions=self._study.directions)
        trials = self._study.get_trials(deepcopy=False)
        copy.add_trials(trials[: again.number] if again else trials)
        candidates: list[Params] = []
        for number in range(CANDIDATES):
            copy.sampler = self._sampler(index, number)
            trial = copy.ask()
            candidates.append(self._space.suggest(trial))
            copy.tell(trial, state=optuna.trial.TrialState.FAIL)  # the next is drawn as if it were the first
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "experimental"
            chosen = min(candidates, key=costs.of)
            return optuna.samplers.PartialFixedSampler(chosen, optuna.samplers.RandomSampler(seed=0))

    def _sampler(self, index: int, candidate: int = 0) -> optuna.samplers.BaseSampler:
        search = self._search
        drawn = f"{search.seed} {index} {candidate}" if candidate else f"{search.seed} {index}"
        seed = random.Random(drawn).getrandbits(31)
        if search.sampler in ONE_SEQUENCE:
            seed = search.seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "group is experimental"
            return SAMPLERS[search.sampler](seed, search.round)

    def agree(
        self,
        trials: Sequence[Proposal],
        measured: Mapping[str, Measured],
        open_: set[str],
        scored: Sequence[Scored] = (),
    ) -> None:
        """Makes the study say what MLflow says, for all recorded trials.

        One that holds results of other code, or trials that nobody has recorded, is made anew before more is
        proposed: a sampler looks at all of its trials.

        Args:
            measured: what each complete one has brought.
            open_: those that are still to run. All others without results have failed, if they were not
                pruned.
            scored: what trials were worth at marks, and which of them ended there.
        """
        on_the_way: dict[str, OnTheWay] = {}
        for each in scored:
            seen = on_the_way.get(each.trial, OnTheWay())
            on_the_way[each.trial] = OnTheWay({**seen.values, each.step: each.value}, each.pruned)
        recorded = {proposal.name for proposal in trials}
        ended = (trial for trial in self._trials() if trial.state.is_finished())
        if not open_ and not all(_says(trial, recorded, measured, on_the_way) for trial in ended):
            self._remove()
            self._study = self._open()
        states: dict[str, dict[str, int]] = {}
        for trial in self._trials():
            states.setdefault(trial.user_attrs.get(VARIANT, ""), {})[trial.state.name] = trial.number
        for proposal in trials:
            has, result = states.get(proposal.name, {}), measured.get(proposal.name)
            seen = on_the_way.get(proposal.name, OnTheWay())
            state = "PRUNED" if seen.pruned else "COMPLETE" if result else "FAIL"
            if {"COMPLETE", "PRUNED", state} & has.keys() or proposal.name in open_:
                continue
            if "RUNNING" in has:
                self._patiently(partial(self._tell, has["RUNNING"], state, result, seen.values))
            else:  # the database was lost, or the trial was tried again after it had failed
                self._patiently(partial(self._add, proposal, state, result, seen.values))

    def _tell(self, number: int, state: str, result: Measured | None, seen: Mapping[int, float]) -> None:
        import optuna
        from optuna.trial import TrialState

        # What samplers do after a trial is for `optimize`: brute force would stop its loop.
        self._study.sampler = optuna.samplers.RandomSampler()
        frozen = next(trial for trial in self._study.get_trials(deepcopy=False) if trial.number == number)
        trial = optuna.trial.Trial(self._study, frozen._trial_id)
        for step in sorted(seen.keys() - frozen.intermediate_values.keys()):
            trial.report(seen[step], step)
        if result is None or state == "PRUNED":
            self._study.tell(number, state=TrialState[state], skip_if_finished=True)
            return
        for metric, excess in result.excess.items():
            if metric not in frozen.constraints:
                trial.set_constraint(metric, excess)
        trial.set_user_attr(RUNS, {str(seed): run for seed, run in result.runs.items()})
        attach_sheet(trial, result.runs)
        self._study.tell(number, list(result.values), skip_if_finished=True)

    def _add(
        self, proposal: Proposal, state: str, result: Measured | None, seen: Mapping[int, float]
    ) -> None:
        from optuna.trial import TrialState, create_trial

        known = Known(proposal.params)
        params = self._space.suggest(known)
        system = {f"constraints:{m}": e for m, e in result.excess.items()} if result else {}
        self._study.add_trial(
            create_trial(
                state=TrialState[state],
                values=[seen[max(seen)]] if state == "PRUNED" else list(result.values) if result else None,
                intermediate_values=dict(seen),
                params=params,
                distributions=known.distributions,
                user_attrs={VARIANT: proposal.name},
                system_attrs=system | sheet_of(result.runs if result else {}),
            )
        )

    def _in_state(self, state: str) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._trials() if trial.state.name == state]

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._patiently(lambda: self._study.get_trials(deepcopy=False))


def _says(
    trial: optuna.trial.FrozenTrial,
    recorded: set[str],
    measured: Mapping[str, Measured],
    on_the_way: Mapping[str, OnTheWay],
) -> bool:
    """Whether a trial that has ended is recorded, and has brought what the record says."""
    name = trial.user_attrs.get(VARIANT, "")
    result, seen = measured.get(name), on_the_way.get(name, OnTheWay())
    if trial.state.name == "FAIL" or name not in recorded:
        return name in recorded
    if trial.state.name == "PRUNED":
        return seen.pruned and trial.intermediate_values == seen.values
    brought = result and (tuple(trial.values), trial.constraints) == (result.values, result.excess)
    return bool(brought) and not seen.pruned


class Known:
    """Takes a trial's place: suggests what is known, and keeps the distributions."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self.distributions: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """As a trial."""
        from optuna.distributions import IntDistribution

        self.distributions[name] = IntDistribution(low, high, log=log, step=step)
        return int(self._params[name])

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """As a trial."""
        from optuna.distributions import FloatDistribution

        self.distributions[name] = FloatDistribution(low, high, log=log, step=step)
        return float(self._params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As a trial."""
        from optuna.distributions import CategoricalDistribution

        self.distributions[name] = CategoricalDistribution(choices)
        return self._params[name]
