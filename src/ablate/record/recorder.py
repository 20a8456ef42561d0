"""What the runs of an experiment report → MLflow, in a thread of its own: training never waits for it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from queue import Queue
from statistics import fmean
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from ablate import patience
from ablate.record.aggregates import Aggregates
from ablate.record.write import now
from ablate.stages.evaluated import Evaluated, networks
from ablate.stages.sampled import Sampled, preview_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ablate.plan import Plan, Run
    from ablate.record.write import Writer
    from ablate.records import EpochRow
    from ablate.stages.evaluated import Figures


@dataclass
class Logged:
    """A run, and what MLflow has of it."""

    run: Run
    run_id: str
    epochs: int
    metrics: Mapping[str, float]


class Recorder:
    """Follows the runs of an experiment and writes what they reach. Runs are told apart by their names.

    A context manager. What is to be written waits in a queue: while MLflow is away, training goes on. Left
    without an error, it waits until all is written and raises what kept it from that, as ``flush``.
    """

    def __init__(self, plan: Plan, writer: Writer, parent: str) -> None:
        self.plan = plan
        self.writer = writer
        self.parent = parent
        self.finished: list[str] = []
        self.failed: dict[str, str] = {}
        """Run name → reason."""
        self._logged: dict[str, Logged] = {}
        self._aggregates = Aggregates(writer, parent)
        self._calls: Queue[Callable[[], object]] = Queue()
        self._written = 0
        self._awaited = False
        """Whether somebody waits for what is in the queue."""
        self._trouble: Exception | None = None
        # A daemon: Ctrl-C does not wait for it. What it has not written yet the next command writes.
        Thread(target=self._write, name="record", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.flush()
        elif issubclass(error, Exception):  # something else went wrong, and is to be told soon
            with contextlib.suppress(Exception):
                self.flush(seconds=10)

    def begin(self, runs: Iterable[Run]) -> None:
        """Finds or makes the child run of each of ``runs``. Raises as ``connect``."""
        children = self.writer.all_children(self.parent)
        children.sort(key=lambda child: (child.superseded, child.started))
        # Of several of one key the oldest that counts; else one that counted once.
        existing = {(child.variant, child.seed, child.key): child for child in reversed(children)}
        epochs = self.writer.epochs_logged([child.run_id for child in existing.values()])
        for run in runs:
            child = existing.get((run.variant, run.seed, run.keys.whole.evaluate))
            run_id = self.writer.begin_child(self.parent, run, child)
            known = child.metrics if child else {}
            self._logged[run.name] = Logged(run, run_id, epochs.get(run_id, 0), known)

    def epoch(self, names: Iterable[str], history: Sequence[EpochRow], preview: str | None) -> None:
        """Logs the curves so far, and the preview with this key, to every run that shares the epoch."""
        at = now()
        for name in names:
            self._calls.put(partial(self._log_epoch, name, history, preview, at))

    def finish(self, name: str) -> None:
        """Logs all that a run has brought and ends it; of a run as far as a mark, what it is worth there."""
        self._calls.put(partial(self._finish, name, now()))

    def fail(self, names: Iterable[str], reason: str) -> None:
        """Ends runs as failed, each with the first reason that is given."""
        for name in names:
            if name not in self.failed:
                self.failed[name] = reason
                self._calls.put(partial(self.writer.fail_child, self._logged[name].run_id, reason))

    def sum_up(self, plan: Plan, variant: str) -> None:
        """Has the means of a variant say what its seeds say, when all is written that is in the queue now."""
        self.then(partial(self._aggregates.keep, plan, variant))

    def then(self, call: Callable[[], object]) -> None:
        """Calls something when all is written that is in the queue now."""
        self._calls.put(call)

    def flush(self, seconds: float | None = None) -> None:
        """Waits until all is written.

        Raises:
            UserError: MLflow has refused something.
            UnreachableError: for ``seconds``, by default some minutes, nothing could be written.
        """
        self._awaited = True
        written, since = self._written, time.monotonic()
        while self._calls.unfinished_tasks:
            if self._written > written:
                written, since = self._written, time.monotonic()
            if time.monotonic() - since > (patience.PATIENCE if seconds is None else seconds):
                raise self._trouble or self.writer.client.patiently.given_up("nothing can be written")
            time.sleep(0.002)
        self._awaited = False
        if self._trouble:
            raise self._trouble

    # ── in the thread ────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        while True:
            call = self._calls.get()
            try:
                self._persist(call)
            except Exception as error:  # told in the end: it must not stop what trains
                self._trouble = self._trouble or error
            self._written += 1
            self._calls.task_done()

    def _persist(self, call: Callable[[], object]) -> None:
        """Makes a call until MLflow takes it, for as long as there is time: until somebody waits."""
        while True:
            try:
                call()
                return
            except patience.UnreachableError:
                if self._awaited:
                    raise

    # Each call knows from the beginning when it was: MLflow drops points that it has with the same time.

    def _log_epoch(self, name: str, history: Sequence[EpochRow], preview: str | None, now: int) -> None:
        self._log_history(self._logged[name], history, now)
        if preview:
            self._log_preview(self._logged[name], preview, len(history))

    def _finish(self, name: str, now: int) -> None:
        logged = self._logged[name]
        run, store = logged.run, self.plan.store
        sampled = Sampled(store.sound_path("sample", run.keys.sample))
        evaluated = Evaluated(store.sound_path("evaluate", run.keys.evaluate))
        self._log_history(logged, sampled.history, now)
        for epoch, preview in run.keys.previews():
            self._log_preview(logged, preview, epoch)
        metrics = {**evaluated.figures.metrics, **training_costs(run.keys.timeline, sampled.history)}
        search = self.plan.experiment.spec.search
        if search and run.keys is not run.keys.whole:
            objectives = {metric: metrics[metric] for metric in search.objectives if metric in metrics}
            self.writer.log_mark(logged.run_id, run.keys.epochs, objectives, now)
            return
        self.writer.finish_child(
            logged.run_id,
            {metric: value for metric, value in metrics.items() if metric not in logged.metrics},
            run_record(run, evaluated.figures, self.plan.steps_per_epoch(run)),
            evaluated,
            sampled.folder / "images",
            now,
        )
        self.finished.append(name)

    def _log_history(self, logged: Logged, history: Sequence[EpochRow], now: int) -> None:
        if len(history) > logged.epochs:
            self.writer.log_epochs(logged.run_id, history, logged.epochs, now)
            logged.epochs = len(history)

    def _log_preview(self, logged: Logged, preview: str, epoch: int) -> None:
        if self.plan.store.sound("preview", preview):
            self.writer.log_preview(logged.run_id, preview_image(self.plan.store, preview), epoch)


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
        "networks": networks(keys, figures),
        "weights": figures.weights,
        "keys": {
            "prepare": keys.prepare,
            "train": keys.chain[-1],
            "ema": keys.weights[1] if keys.observer else None,
            "sample": keys.sample,
            "evaluate": keys.evaluate,
        },
    }
