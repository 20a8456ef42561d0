"""The Optuna study: it owns which variants are asked for, one trial each.

The study lies in ``optuna.db`` beside MLflow's database. It cannot lie in the same file: both keep
their schema version in a table called ``alembic_version``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import optuna

OBJECTIVE = "fid"


class Study:
    """An experiment's trials: variant name → mean FID over its seeds."""

    def __init__(self, database: Path, name: str, variants: Sequence[str]) -> None:
        import optuna
        from filelock import FileLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._variants = list(variants)
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):  # two processes creating the tables would race
            self._study = optuna.create_study(
                storage=f"sqlite:///{database}",
                study_name=name,
                direction="minimize",
                load_if_exists=True,
            )

    def ask(self, variants: Sequence[str]) -> dict[str, optuna.Trial]:
        """A running trial for each of ``variants``. Trials that a killed process left are ended."""
        import optuna

        running = (optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING)
        for left in self._study.get_trials(deepcopy=False, states=running):
            self._study.tell(left.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
        for variant in variants:
            self._study.enqueue_trial({"variant": variant})
        distribution = {"variant": optuna.distributions.CategoricalDistribution(self._variants)}
        trials = [self._study.ask(distribution) for _ in variants]
        return {trial.params["variant"]: trial for trial in trials}

    def tell(self, trial: optuna.Trial, runs: dict[int, str], value: float | None) -> None:
        """Ends a trial with its objective, or as failed when there is none."""
        import optuna

        trial.set_user_attr("mlflow_runs", {str(seed): run_id for seed, run_id in runs.items()})
        if value is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, value)
