"""``ablate verify``: trains variants together and each by itself, and compares weights and time."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ablate.errors import RunError
from ablate.parts.missing import require_parts
from ablate.records import Verification
from ablate.runner import tasks
from ablate.runner.local import LocalExecutor
from ablate.store import Store, file_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.plan import Plan, Run
    from ablate.runner.run import Screen
    from ablate.runner.tasks import Event, Task


def verify(plan: Plan, seed: int, screen: Screen) -> Verification:
    """Trains the variants of one seed sharing what they share, then each from its beginning.

    Both in stores of their own, with one worker, on the same prepared data; only training is timed.

    Raises:
        RunError: a training failed.
    """
    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
    runs = [run for run in plan.runs if run.seed == seed]
    plan.store.root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=plan.store.root, prefix="verify-") as folder:
        _prepare(plan, runs)
        epochs = sum(len(run.keys.timeline) for run in runs)
        together = replace(plan, store=Store(Path(folder) / "together"))
        screen.begin(sum(together.epochs_to_train().values()) // len(plan.experiment.spec.seeds) + epochs, 0)
        shared_seconds = _train(together, runs, plan.store, screen)
        separate_seconds, equal = {}, {}
        for run in runs:
            alone = replace(plan, store=Store(Path(folder) / run.variant))
            separate_seconds[run.variant] = _train(alone, [run], plan.store, screen)
            equal[run.variant] = _weights(run, alone.store) == _weights(run, together.store)
            shutil.rmtree(alone.store.root)
    return Verification(seed, shared_seconds, separate_seconds, equal)


def _prepare(plan: Plan, runs: Sequence[Run]) -> None:
    with LocalExecutor(str(plan.store.root), 1, runs[0].keys.config.compute.threads) as executor:
        _run(executor, [task for task in tasks.tasks_of(plan, runs) if task.function is tasks.prepare], None)


def _train(plan: Plan, runs: Sequence[Run], prepared: Store, screen: Screen) -> float:
    """Seconds that the trainings of ``runs`` take, in the order of their tasks, in an empty store."""
    entries = {("prepare", run.keys.prepare) for run in runs}
    entries |= {("augmented", run.keys.augmented) for run in runs if run.keys.augmented}
    for entry in entries:
        target = plan.store.path(*entry)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(prepared.path(*entry), target, copy_function=os.link)
    todo = [task for task in tasks.tasks_of(plan, runs) if task.function is tasks.train]
    names = {task.name for task in todo}
    todo = [replace(task, needs=tuple(need for need in task.needs if need in names)) for task in todo]
    with LocalExecutor(str(plan.store.root), 1, runs[0].keys.config.compute.threads) as executor:
        executor.call(tasks.check_schedulers, {})  # the worker has started
        started = time.perf_counter()
        _run(executor, todo, screen)
        return time.perf_counter() - started


def _run(executor: LocalExecutor, todo: Sequence[Task], screen: Screen | None) -> None:
    failed: list[str] = []

    def on_event(event: Event) -> None:
        if screen and isinstance(event, tasks.EpochDone):
            screen.epoch(event.task, event.epochs, event.history[-1])

    def on_end(task: Task, reason: str) -> None:
        if reason:
            failed.append(f"{task.name}: {reason}")

    executor.run(todo, on_event, on_end)
    if failed:
        raise RunError(failed[0], where="verify")


def _weights(run: Run, store: Store) -> str:
    """Digest of the weights that a run samples from."""
    link, observer = run.keys.chain[-1], run.keys.observer
    if observer:
        return file_digest(store.path("ema", observer.key(link)) / "shadow.safetensors")
    return file_digest(store.path("train", link) / "unet.safetensors")
