"""The Optuna study: it proposes the variants of each round and keeps a trial for each.

The study lies in ``optuna.db`` beside MLflow's database. It cannot lie in the same file: both keep
their schema version in a table called ``alembic_version``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.record.client import database_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import optuna

    from ablate.record.read import Child

OBJECTIVE = "fid"


@dataclass(frozen=True)
class Trial:
    """One proposal of a variant."""

    number: int
    variant: str
    state: str
    """Optuna's: COMPLETE, FAIL, RUNNING or WAITING."""
    value: float | None
    """The mean objective over the seeds, of a trial that is COMPLETE."""
    runs: Mapping[int, str]
    """Seed → MLflow's run."""


@dataclass(frozen=True)
class Result:
    """What MLflow has of one variant."""

    runs: Mapping[int, str]
    """Seed → run, of the runs that have finished."""
    value: float | None
    """The mean objective over the seeds; None until all of them have one."""


class Study:
    """An experiment's trials: variant name → mean FID over its seeds."""

    def __init__(self, database: Path, name: str, variants: Sequence[str]) -> None:
        import optuna
        from filelock import FileLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._running: list[optuna.Trial] = []
        self._choice = {"variant": optuna.distributions.CategoricalDistribution(list(variants))}
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):  # two processes creating the tables would race
            self._study = optuna.create_study(
                storage=f"sqlite:///{database}",
                study_name=name,
                direction="minimize",
                load_if_exists=True,
            )

    def enqueue(self, variants: Iterable[str]) -> None:
        """Has each of ``variants`` proposed once, in this order. Ends the trials that a process left."""
        self._end_left()
        for variant in variants:
            self._study.enqueue_trial({"variant": variant})

    def propose(self) -> list[str]:
        """The variants of the next round, each with a trial that runs now; none when all were proposed."""
        asked = [self._study.ask(self._choice) for _ in self._in_state("WAITING")]
        self._running += asked
        return [str(trial.params["variant"]) for trial in asked]

    def tell(self, results: Mapping[str, Result]) -> None:
        """Ends the trials of a round: variant → what MLflow has of it. As failed where that is incomplete."""
        from optuna.trial import TrialState

        for trial in self._running:
            result = results.get(trial.params["variant"], Result({}, None))
            trial.set_user_attr("mlflow_runs", {str(seed): run_id for seed, run_id in result.runs.items()})
            if result.value is None:
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, result.value)
        self._running = []

    def agree(self, results: Mapping[str, Result]) -> None:
        """Makes the trials say in the end what MLflow says: variant → what it has of it.

        No trial is left open, and each variant that is complete has a trial that is. One that lacks it
        gets it: the process that had measured it was killed before it could say so.
        """
        self._end_left()
        complete = {trial.variant: trial.value for trial in self._in_state("COMPLETE")}
        lacking = {
            variant: result
            for variant, result in results.items()
            if result.value is not None and complete.get(variant) != result.value
        }
        self.enqueue(lacking)
        self.propose()
        self.tell(lacking)

    def trials(self) -> list[Trial]:
        """All trials in the order of their numbers."""
        return [_trial(trial) for trial in self._study.get_trials(deepcopy=False)]

    def _in_state(self, state: str) -> list[Trial]:
        return [trial for trial in self.trials() if trial.state == state]

    def _end_left(self) -> None:
        """Ends, as failed, the trials that another process left."""
        from optuna.trial import TrialState

        for _ in self._in_state("WAITING"):
            self._study.ask(self._choice)  # only a trial that runs can be ended
        for trial in self._in_state("RUNNING"):
            self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def results_of(children: Collection[Child], seeds: Sequence[int]) -> dict[str, Result]:
    """Variant → what MLflow has of it, from the child runs of an experiment."""
    results = {}
    for variant in dict.fromkeys(child.variant for child in children):
        finished = {c.seed: c for c in children if c.variant == variant and c.status == "FINISHED"}
        values = [child.metrics[OBJECTIVE] for child in finished.values() if OBJECTIVE in child.metrics]
        runs = {seed: child.run_id for seed, child in finished.items()}
        results[variant] = Result(runs, fmean(values) if len(values) == len(seeds) else None)
    return results


def study_database(uri: str) -> Path:
    """``optuna.db`` beside MLflow's SQLite file, in the current folder for any other address."""
    database = database_of(uri)
    return (database.parent if database else Path()) / "optuna.db"


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    # A trial that waits has no parameters yet, only those it was enqueued with.
    given = trial.params or trial.system_attrs.get("fixed_params", {})
    runs = {int(seed): run_id for seed, run_id in trial.user_attrs.get("mlflow_runs", {}).items()}
    return Trial(trial.number, str(given.get("variant", "")), trial.state.name, trial.value, runs)
