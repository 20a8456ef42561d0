"""A plan as tasks: what can be dispatched to a worker, and what has to be done before.

The unit of dispatch is a segment of training. Each run's sampling and evaluation follow it, in the same task
if no other run uses the segment. Workers read and write the store only. What they want to be known goes
through ``emit`` to the one process that writes the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablate.errors import MeaninglessError
from ablate.records import Cluster
from ablate.runner.graph import Task
from ablate.stages import effort
from ablate.stages.sampled import Sampled
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import torch

    from ablate.experiment.config import Config
    from ablate.factors.observer import Observer
    from ablate.plan import Plan, Run, Segment
    from ablate.progress import RunProgress
    from ablate.records import EpochRow, Finding
    from ablate.stages.keys import RunKeys
    from ablate.stages.training import Training
    from ablate.stages.trial import Tried
    from ablate.store import Store


@dataclass(frozen=True)
class Note:
    """What a task is doing, in a few words."""

    task: str
    text: str
    lasting: bool = False
    """Whether it has to be read: it then stays on the screen and in the log."""


@dataclass(frozen=True)
class EpochDone:
    """A segment has trained and stored one more epoch."""

    task: str
    epochs: int
    """How many epochs of the chain are trained now."""
    history: Sequence[EpochRow]
    preview: str | None
    """Key of the preview drawn after it."""
    memory: int
    """Bytes that the process takes now; of a GPU's memory, where it trains there."""


@dataclass(frozen=True)
class Took:
    """A task has done some work, and how long it took."""

    task: str
    kind: str
    """Key of ``stages/effort.py``."""
    units: float
    seconds: float


Event = Note | EpochDone | Took | Cluster
Emit = Callable[[Event], None]
Ask = Callable[[str, str], bool]
"""Whether there is an entry: by its stage and its key."""


def show(event: Event, progress: RunProgress) -> None:
    """Shows every event but an epoch."""
    if isinstance(event, Cluster):
        progress.cluster(event)
    elif isinstance(event, Note) and event.lasting:
        progress.say(f"{event.task}: {event.text}")
    elif isinstance(event, Note):
        progress.note(event.task, event.text)


SILENCE = 10.0
"""Seconds of an epoch after which a word is due on how far it is."""


def tasks_of(plan: Plan, runs: Sequence[Run], there: Ask | None = None) -> Iterator[Task]:
    """The tasks that give ``runs`` their results, each after those it needs.

    Seed by seed: the first seed of all variants has its results before the second is begun, so that there
    is something to look at early. A training that one run alone uses and its measuring are one task.

    ``there``: whether the store has an entry; by default all files of it are looked at.
    """
    by_data: dict[str, list[Run]] = {}
    for run in runs:
        by_data.setdefault(data_task(run.keys), []).append(run)
    for name, some in by_data.items():
        standing = tuple(run.name for run in some)
        yield Task(name, (), prepare, (some[0].keys,), standing, length=0)

    by_seed: dict[int, list[Run]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).append(run)
    missing = plan.epochs_to_train()
    for turn, some in enumerate(by_seed.values()):
        for task in _tasks_of_seed(plan, some, missing, there or plan.store.sound):
            yield replace(task, turn=turn)


def _tasks_of_seed(plan: Plan, runs: Sequence[Run], missing: Mapping[str, int], there: Ask) -> Iterator[Task]:
    trained: dict[str, Task] = {}
    to_sample = [run for run in runs if not there("sample", run.keys.sample)]
    for task in trainings(plan, [run for run in to_sample if not run.has_weights(there)], missing):
        trained |= dict.fromkeys(task.runs, task)  # a branch comes after its trunk
        if len(task.runs) > 1:
            yield task
    for run in runs:
        length = float(run.keys.config.sample.steps)
        last = trained.get(run.name)
        if last and len(last.runs) == 1:
            length += last.length
            yield Task(run.name, last.needs, train_and_measure, last.arguments, (run.name,), length)
        else:
            needs = (last.name if last else data_task(run.keys),)
            yield Task(run.name, needs, measure, (run.keys,), (run.name,), length)


def trainings(plan: Plan, runs: Sequence[Run], missing: Mapping[str, int]) -> Iterator[Task]:
    """A task for each segment of training that ``runs`` use, those with a parent after it.

    ``missing``: key of a segment → its epochs that the store lacks.
    """
    from ablate.plan import segments

    for segment in segments(runs):
        needs = [data_task(segment.keys)]
        needs += [task_name(segment.parent)] if segment.parent else []
        arguments = (segment.keys, segment.observers, segment.begin, segment.end)
        standing = tuple(run.name for run in segment.runs)
        length = float(missing.get(segment.key, 0) * plan.steps_per_epoch(segment.runs[0]))
        yield Task(task_name(segment), tuple(needs), train, arguments, standing, length)


def is_prepared(keys: RunKeys, store: Store) -> bool:
    """Whether a store has a run's data, with the augmented forms that it trains on."""
    forms = keys.augmented is None or store.has("augmented", keys.augmented)
    return forms and store.has("prepare", keys.prepare)


def data_task(keys: RunKeys) -> str:
    """The task that prepares a run's data, with the augmented forms that it trains on."""
    return f"prepare {(keys.augmented or keys.prepare)[:8]}"


def task_name(segment: Segment) -> str:
    """``train seed 3, epochs 0–20 (none, mid-way)``."""
    variants = ", ".join(dict.fromkeys(run.variant for run in segment.runs))
    return f"train seed {segment.runs[0].seed}, epochs {segment.begin}–{segment.end} ({variants})"


def try_out(configs: Mapping[str, Config], root: str, task: str, emit: Emit) -> Tried:
    """What of sampling and measuring would fail, and how large the weights are."""
    from ablate.stages.trial import try_out as stage

    return stage(configs, lambda text: emit(Note(task, text)))


def _store(root: str, task: str, emit: Emit) -> Store:
    """The store, which says what it finds damaged."""
    return open_store(root, lambda text: emit(Note(task, text, lasting=True)))


def audit(
    variants: Mapping[str, Sequence[RunKeys]],
    baseline: str,
    expect: Collection[str],
    root: str,
    task: str,
    emit: Emit,
) -> list[Finding]:
    """What acts in each variant, and what does not."""
    from ablate.audit.audit import audit as ask

    return ask(variants, baseline, expect, _store(root, task, emit), lambda text: emit(Note(task, text)))


def prepare(keys: RunKeys, root: str, task: str, emit: Emit) -> None:
    """Latents and text states of a data set, and its augmented forms."""
    from ablate.stages.prepare import prepare as stage
    from ablate.store.growing import is_begun

    store, started = _store(root, task, emit), time.monotonic()
    whole = not is_prepared(keys, store) and not is_begun(store, "prepare", keys.prepare)
    prepared = stage(keys, store, lambda text: emit(Note(task, text)))
    if whole:  # not only the rest of what another began
        seconds = time.monotonic() - started
        emit(Took(task, effort.of_preparing(keys), len(prepared.mean), seconds))


def train(
    keys: RunKeys, observers: Sequence[Observer], begin: int, end: int, root: str, task: str, emit: Emit
) -> None:
    """A segment of training, with previews."""
    from ablate.plan import steps_per_epoch
    from ablate.stages.sample import preview
    from ablate.stages.train import train as stage

    store = _store(root, task, emit)
    every, config = keys.config.track.preview_every, keys.config.train

    last = started = time.monotonic()
    epochs = 0

    def on_epoch(training: Training) -> None:
        nonlocal last, started, epochs
        last = time.monotonic()
        try:
            key = preview(training, store) if every and training.epoch % every == 0 else None
        except MeaninglessError as error:
            # Variants that draw otherwise use the same training: only the run that draws so fails.
            emit(Note(task, f"no preview of epoch {training.epoch}: {error}", lasting=True))
            key = None
        emit(EpochDone(task, training.epoch, tuple(training.history), key, _memory(training.device)))
        # Of the first epoch its steps alone: the time before is that of loading, or of waiting for others.
        now, trained = time.monotonic(), training.history[-1]["epoch_seconds"]
        kind = effort.of_steps(keys, training.epoch - 1, observers)
        steps = steps_per_epoch(len(training.data.mean), config.batch, config.accumulation)
        emit(Took(task, kind, steps, now - started if epochs else trained))
        started, epochs = now, epochs + 1

    def progress(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > SILENCE:
            last = time.monotonic()
            emit(Note(task, text))

    emit(Note(task, "starting"))
    stage(keys, observers, begin, end, store, on_epoch, progress)


def _memory(device: torch.device) -> int:
    import psutil
    import torch

    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    return int(psutil.Process().memory_info().rss)


def measure(keys: RunKeys, root: str, task: str, emit: Emit) -> None:
    """A run's samples and their figures."""
    from ablate.stages.evaluate import evaluate
    from ablate.stages.sample import sample

    store, started = _store(root, task, emit), time.monotonic()
    new = not store.has("sample", keys.sample)
    sample(keys, store, lambda text: emit(Note(task, f"sampling {text}")))
    evaluate(keys, store, lambda text: emit(Note(task, text)))
    if new:
        images = len(Sampled(store.fetched("sample", keys.sample)).names)
        emit(Took(task, effort.of_results(keys), images, time.monotonic() - started))


def train_and_measure(
    keys: RunKeys, observers: Sequence[Observer], begin: int, end: int, root: str, task: str, emit: Emit
) -> None:
    """The last segment of a run that no other uses, and the run's samples and figures."""
    train(keys, observers, begin, end, root, task, emit)
    measure(keys, root, task, emit)


def time_step(
    keys: RunKeys, epoch: int, observers: Sequence[Observer], root: str, task: str, emit: Emit
) -> None:
    """What an optimizer step of an epoch takes."""
    from ablate.stages.rehearsal import seconds_per_step

    store = _store(root, task, emit)
    seconds = seconds_per_step(keys, epoch, observers, store, lambda text: emit(Note(task, text)))
    emit(Took(task, effort.of_steps(keys, epoch, observers), 1, seconds))


def time_image(keys: RunKeys, root: str, task: str, emit: Emit) -> None:
    """What drawing and measuring an image takes."""
    from ablate.stages.rehearsal import seconds_per_image

    seconds = seconds_per_image(keys, _store(root, task, emit), lambda text: emit(Note(task, text)))
    emit(Took(task, effort.of_results(keys), 1, seconds))
