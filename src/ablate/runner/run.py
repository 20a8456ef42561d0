"""``ablate run``: plan → prepare → train → sample → evaluate → record, to the end or to be continued."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

from ablate import fingerprint
from ablate.errors import UserError
from ablate.parts.missing import require_parts
from ablate.runner.local import LocalExecutor
from ablate.runner.study import OBJECTIVE, Study
from ablate.runner.tasks import Event, Note, Task, audit, check_schedulers, tasks_of
from ablate.stages.evaluated import Evaluated
from ablate.stages.sampled import Sampled, preview_image
from ablate.tracking import SQLITE, Tracking, spec_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from ablate.plan import Plan, Run
    from ablate.records import EpochRow, Finding


class Screen(Protocol):
    """Where progress is shown."""

    def begin(self, epochs: int, runs: int) -> None:
        """So many epochs are to be trained and so many runs to be finished."""

    def note(self, task: str, text: str) -> None:
        """A task is doing something."""

    def epoch(self, task: str, epochs: int, row: EpochRow) -> None:
        """A task has trained one more epoch."""

    def end(self, task: str, reason: str, *, is_run: bool) -> None:
        """A task has ended, with the reason if it failed."""

    def findings(self, findings: Sequence[Finding]) -> None:
        """What the audit found."""


@dataclass
class Outcome:
    """What a call of ``run_experiment`` did."""

    parent: str
    tracking: Tracking
    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Run name → reason."""


def default_workers(plan: Plan) -> int:
    """As many as cores allow with the configured threads, no more than there is to do; 1 on a GPU."""
    compute = plan.runs[0].keys.config.compute
    if fingerprint.device_kind(compute.device) == "cuda":
        return 1
    # Containers and job schedulers often allow fewer cores than the machine has; only Linux can tell.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // compute.threads, len(plan.runs)))


def run_audit(plan: Plan, screen: Screen) -> list[Finding]:
    """What acts in each variant of an experiment, asked with its first seed.

    Raises:
        UserError: a scheduler refuses its options.
    """
    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
    with LocalExecutor(str(plan.store.root), 1, _threads(plan)) as executor:
        executor.call(check_schedulers, plan.experiment.variants)
        return _audit(plan, executor, screen)


def _audit(plan: Plan, executor: LocalExecutor, screen: Screen) -> list[Finding]:
    spec = plan.experiment.spec
    variants = {
        name: [run.keys for run in plan.runs if run.variant == name] for name in plan.experiment.variants
    }
    screen.note("audit", "a few steps of each variant")

    def on_event(event: Event) -> None:
        assert isinstance(event, Note)
        screen.note(event.task, event.text)

    return executor.ask("audit", audit, (variants, spec.baseline, tuple(spec.expect)), on_event)


def _threads(plan: Plan) -> int:
    return plan.runs[0].keys.config.compute.threads


def run_experiment(
    plan: Plan, uri: str, screen: Screen, workers: int | None = None, *, audited: bool = True
) -> Outcome:
    """Runs what is missing of an experiment and records it. Results that MLflow has are not made again.

    Raises:
        UserError: MLflow cannot be reached, a scheduler refuses its options, or the audit found
            something inert that the spec does not expect.
        ComponentError: a pretrained part is missing and cannot be fetched.
        RunError: a worker died; the same call goes on where it stopped.
    """
    name = plan.experiment.name
    tracking = Tracking(uri, name)
    key = spec_key(plan)
    parent = tracking.find_parent(key)
    keys = {run.keys.evaluate for run in plan.runs}
    complete = tracking.keep_current(parent, keys) if parent else set()
    waiting = [run for run in plan.runs if (run.variant, run.keys.evaluate) not in complete]
    if parent and not waiting:
        tracking.end_parent(parent, failed=False)  # unless killed before it could, it has ended long ago
        return Outcome(parent, tracking)

    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
    plan.store.clear_leftovers()
    with LocalExecutor(str(plan.store.root), workers or default_workers(plan), _threads(plan)) as executor:
        executor.call(check_schedulers, plan.experiment.variants)
        findings = None
        if audited:
            findings = _audit(plan, executor, screen)
            screen.findings(findings)
            refuse_inert(findings)
        parent = tracking.begin_parent(plan, key)
        tracking.log_findings(parent, findings)
        recorder = Recorder(plan, tracking, parent, waiting, screen)
        study = Study(study_database(uri), f"{name} {key[:12]}", list(plan.experiment.variants))
        trials = study.ask(list(dict.fromkeys(run.variant for run in waiting)))
        screen.begin(sum(plan.epochs_to_train().values()), len(waiting))
        executor.run(list(tasks_of(plan, waiting)), recorder.on_event, recorder.on_end)
    outcome = recorder.outcome
    _tell(study, trials, plan, tracking, outcome)
    tracking.end_parent(outcome.parent, failed=bool(outcome.failed))
    return outcome


def refuse_inert(findings: Sequence[Finding]) -> None:
    """Stops at what was meant to act and does not.

    Raises:
        UserError: a finding is inert and not expected to be.
    """
    stopping = [finding for finding in findings if finding.act == "inert" and not finding.expected]
    if stopping:
        variants = ", ".join(dict.fromkeys(finding.variant for finding in stopping))
        first = stopping[0]
        raise UserError(
            f"{first.about} of {first.variant} does nothing: {first.reason}",
            where="audit",
            fix=f"Mend it, or write `expect: {{{first.variant}: inert}}` if that is what you study, or run "
            f"with --no-audit. Variants with something inert: {variants}.",
        )


def study_database(uri: str) -> Path:
    """``optuna.db`` beside MLflow's SQLite file, in the current folder for any other address."""
    return (Path(uri.removeprefix(SQLITE)).parent if uri.startswith(SQLITE) else Path()) / "optuna.db"


class Recorder:
    """Writes into MLflow what the workers report, as it comes."""

    def __init__(
        self, plan: Plan, tracking: Tracking, parent: str, waiting: Sequence[Run], screen: Screen
    ) -> None:
        self.plan = plan
        self.tracking = tracking
        self.screen = screen
        self.outcome = Outcome(parent, tracking)
        self.runs = {run.name: run for run in waiting}
        existing = tracking.children(parent)
        self.run_ids = {run.name: tracking.begin_child(parent, run, existing) for run in waiting}
        known = {run.info.run_id for run in existing}
        self.epochs_logged = {
            name: tracking.epochs_logged(run_id) if run_id in known else 0
            for name, run_id in self.run_ids.items()
        }
        self.standing: dict[str, tuple[str, ...]] = {task.name: task.runs for task in tasks_of(plan, waiting)}

    def on_event(self, event: Event) -> None:
        """Shows a note; logs an epoch's curves and preview to every run that stands on it."""
        if isinstance(event, Note):
            self.screen.note(event.task, event.text)
            return
        self.screen.epoch(event.task, event.epochs, event.history[-1])
        for name in self.standing[event.task]:
            self._log_history(name, event.history)
            if event.preview:
                image = preview_image(self.plan.store, event.preview)
                self.tracking.log_preview(self.run_ids[name], image, event.epochs)

    def on_end(self, task: Task, reason: str) -> None:
        """Ends the run whose last task this is, or all runs that a failed task takes with it."""
        is_run = task.name in self.runs
        if reason:
            for name in task.runs:
                if name not in self.outcome.failed:
                    self.outcome.failed[name] = reason
                    self.tracking.fail_child(self.run_ids[name], reason)
        elif is_run:
            self._finish(self.runs[task.name])
        self.screen.end(task.name, reason, is_run=is_run)

    def _finish(self, run: Run) -> None:
        store, keys = self.plan.store, run.keys
        sampled = Sampled(store.path("sample", keys.sample))
        self._log_history(run.name, sampled.history)
        for epoch, preview in keys.previews():
            if store.has("preview", preview):
                self.tracking.log_preview(self.run_ids[run.name], preview_image(store, preview), epoch)
        self.tracking.finish_child(
            self.run_ids[run.name],
            run,
            Evaluated(store.path("evaluate", keys.evaluate)),
            sampled.folder,
            sampled.history,
            self.plan.steps_per_epoch(run),
        )
        self.outcome.finished.append(run.name)

    def _log_history(self, name: str, history: Sequence[EpochRow]) -> None:
        known = self.epochs_logged[name]
        if len(history) > known:
            self.tracking.log_epochs(self.run_ids[name], history, known)
            self.epochs_logged[name] = len(history)


def _tell(
    study: Study, trials: dict[str, optuna.Trial], plan: Plan, tracking: Tracking, outcome: Outcome
) -> None:
    """Ends each variant's trial with the mean objective over its seeds."""
    children = tracking.children(outcome.parent)
    for variant, trial in trials.items():
        mine = {
            int(run.data.tags["ablate.seed"]): run
            for run in children
            if run.data.tags["ablate.variant"] == variant and run.info.status == "FINISHED"
        }
        values = [run.data.metrics[OBJECTIVE] for run in mine.values() if OBJECTIVE in run.data.metrics]
        complete = len(values) == len(plan.experiment.spec.seeds)
        run_ids = {seed: run.info.run_id for seed, run in mine.items()}
        study.tell(trial, run_ids, fmean(values) if complete else None)
