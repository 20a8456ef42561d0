"""What the runs of an experiment report → MLflow, as it comes."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from ablate.stages.evaluated import Evaluated
from ablate.stages.sampled import Sampled, preview_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ablate.plan import Plan, Run
    from ablate.record.write import Writer
    from ablate.records import EpochRow
    from ablate.stages.evaluated import Figures


class Recorder:
    """Follows the runs of an experiment and writes what they reach. Runs are told apart by their names."""

    def __init__(self, plan: Plan, writer: Writer, parent: str) -> None:
        self.plan = plan
        self.writer = writer
        self.parent = parent
        self.finished: list[str] = []
        self.failed: dict[str, str] = {}
        """Run name → reason."""
        self._runs: dict[str, Run] = {}
        self._run_ids: dict[str, str] = {}
        self._epochs_logged: dict[str, int] = {}

    def begin(self, runs: Iterable[Run]) -> None:
        """Finds or makes the child run of each of ``runs``."""
        existing = self.writer.children(self.parent)
        known = {child.run_id for child in existing}
        for run in runs:
            run_id = self.writer.begin_child(self.parent, run, existing)
            self._runs[run.name], self._run_ids[run.name] = run, run_id
            self._epochs_logged[run.name] = self.writer.epochs_logged(run_id) if run_id in known else 0

    def epoch(self, names: Iterable[str], history: Sequence[EpochRow], preview: str | None) -> None:
        """Logs the curves so far, and the preview with this key, to every run that shares the epoch."""
        for name in names:
            self._log_history(name, history)
            if preview:
                self._log_preview(name, preview, len(history))

    def finish(self, name: str) -> None:
        """Logs all that a run has brought and ends it."""
        run, store = self._runs[name], self.plan.store
        sampled = Sampled(store.path("sample", run.keys.sample))
        evaluated = Evaluated(store.path("evaluate", run.keys.evaluate))
        self._log_history(name, sampled.history)
        for epoch, preview in run.keys.previews():
            if store.has("preview", preview):
                self._log_preview(name, preview, epoch)
        self.writer.finish_child(
            self._run_ids[name],
            {**evaluated.figures.metrics, **training_costs(run.keys.timeline, sampled.history)},
            run_record(run, evaluated.figures, self.plan.steps_per_epoch(run)),
            evaluated,
            sampled.folder / "images",
        )
        self.finished.append(name)

    def fail(self, names: Iterable[str], reason: str) -> None:
        """Ends runs as failed, each with the first reason that is given."""
        for name in names:
            if name not in self.failed:
                self.failed[name] = reason
                self.writer.fail_child(self._run_ids[name], reason)

    def _log_history(self, name: str, history: Sequence[EpochRow]) -> None:
        known = self._epochs_logged[name]
        if len(history) > known:
            self.writer.log_epochs(self._run_ids[name], history, known)
            self._epochs_logged[name] = len(history)

    def _log_preview(self, name: str, preview: str, epoch: int) -> None:
        image = preview_image(self.plan.store, preview)
        self.writer.log_preview(self._run_ids[name], image, epoch)


def training_costs(timeline: Sequence[Any], history: Sequence[EpochRow]) -> dict[str, float]:
    """Seconds of a whole training, and of an epoch among the last, in which all that is configured acts.

    ``timeline`` has what acts in each epoch.
    """
    seconds = [row["epoch_seconds"] for row in history]
    last = [time for time, acting in zip(seconds, timeline, strict=True) if acting == timeline[-1]]
    return {"train_seconds": sum(seconds), "seconds_per_epoch": fmean(last)}


def run_record(run: Run, figures: Figures, steps_per_epoch: int) -> dict[str, Any]:
    """What a report needs of a run beside its figures, and the keys under which the store has it."""
    keys = run.keys
    return {
        "links": keys.chain[1:],
        "steps_per_epoch": steps_per_epoch,
        "feature_space": figures.feature_space,
        "evaluator": figures.evaluator,
        "weights": figures.weights,
        "keys": {
            "prepare": keys.prepare,
            "train": keys.chain[-1],
            "ema": keys.weights[1] if keys.observer else None,
            "sample": keys.sample,
            "evaluate": keys.evaluate,
        },
    }
