"""``ablate verify``: trains variants together and each by itself, and compares weights and time."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ablate.errors import RunError
from ablate.parts.missing import require_parts
from ablate.records import Verification
from ablate.runner import tasks
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.graph import Task, ask, walk
from ablate.stages.trained import weights_file
from ablate.store import Store
from ablate.store.files import file_digest, link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.plan import Plan, Run
    from ablate.progress import RunProgress
    from ablate.runner.graph import Executor
    from ablate.runner.tasks import Event


def verify(plan: Plan, seed: int, progress: RunProgress) -> Verification:
    """Trains the variants of one seed sharing what they share, then each from its beginning.

    Both in stores of their own, with one worker, on the same prepared data; only training is timed.

    Raises:
        RunError: a training failed.
    """
    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
    runs = [run for run in plan.runs if run.seed == seed]
    with plan.store.aside("verify") as folder:
        _prepare(plan, runs)
        epochs = sum(len(run.keys.timeline) for run in runs)
        together = replace(plan, store=Store(folder / "together"))
        shared = sum(together.epochs_to_train().values()) // len(plan.experiment.spec.seeds)
        progress.begin(shared + epochs, ())
        shared_seconds = _train(together, runs, plan.store, progress)
        separate_seconds, equal = {}, {}
        for run in runs:
            alone = replace(plan, store=Store(folder / "alone" / run.variant))
            separate_seconds[run.variant] = _train(alone, [run], plan.store, progress)
            equal[run.variant] = _weights(run, alone.store) == _weights(run, together.store)
            shutil.rmtree(alone.store.root)
    return Verification(seed, shared_seconds, separate_seconds, equal)


def _prepare(plan: Plan, runs: Sequence[Run]) -> None:
    with LocalExecutor.of(plan, 1) as executor:
        _walk(executor, [task for task in tasks.tasks_of(plan, runs) if task.function is tasks.prepare], None)


def _train(plan: Plan, runs: Sequence[Run], prepared: Store, progress: RunProgress) -> float:
    """Seconds that training ``runs`` takes, in the order of their tasks, in an empty store."""
    entries = {("prepare", run.keys.prepare) for run in runs}
    entries |= {("augmented", run.keys.augmented) for run in runs if run.keys.augmented}
    for entry in entries:
        target = plan.store.path(*entry)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(prepared.fetched(*entry), target, copy_function=link)
    todo = list(tasks.trainings(plan, runs, plan.epochs_to_train()))
    names = {task.name for task in todo}
    todo = [replace(task, needs=tuple(need for need in task.needs if need in names)) for task in todo]
    with LocalExecutor.of(plan, 1) as executor:
        ask(Task("the start", (), tasks.try_out, ({},), ()), executor)  # the worker has started
        started = time.perf_counter()
        _walk(executor, todo, progress)
        return time.perf_counter() - started


def _walk(executor: Executor, todo: Sequence[Task], progress: RunProgress | None) -> None:
    """Raises RunError if a task failed, when all have ended."""
    failed: list[str] = []

    def on_event(event: Event) -> None:
        if progress and isinstance(event, tasks.EpochDone):
            progress.epoch(event.task, event.epochs, event.history[-1], event.memory)

    def on_end(task: Task, reason: str) -> None:
        if reason:
            failed.append(f"{task.name}: {reason}")
        elif progress:
            progress.done(task.name)

    walk(todo, executor, on_event, on_end)
    if failed:
        raise RunError(failed[0], where="verify")


def _weights(run: Run, store: Store) -> str:
    """Digest of the weights that a run samples from."""
    return file_digest(weights_file(run.keys, store))
