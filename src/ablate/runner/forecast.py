"""What a plan will cost before anything runs: each task's seconds by what earlier commands have measured, and
the walk over them on a number of workers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ablate.plan import steps_per_epoch
from ablate.runner import tasks as work
from ablate.runner.disk_space import bytes_of_store
from ablate.runner.schedule import Schedule, schedule
from ablate.stages import effort
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ablate.plan import Plan, Run
    from ablate.runner.graph import Task
    from ablate.runner.times import Times
    from ablate.stages.keys import RunKeys

HOUR = 3600
SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of workers that a time is predicted for."""
GAIN = 0.95
"""A larger number that leaves more than this share of the time is not a gain, and left out."""


@dataclass(frozen=True)
class Piece:
    """Some of a task's work that is all of one kind."""

    what: str
    """In words."""
    kind: str
    """Key of ``stages/effort.py``."""
    units: float
    rehearsal: Callable[..., None]
    """The function of ``runner/tasks.py`` that finds out how long a unit takes,"""
    arguments: tuple[Any, ...]
    """and what it is called with."""


@dataclass(frozen=True)
class Forecast:
    """Tasks with their lengths in seconds, as far as these are known."""

    tasks: tuple[Task, ...]
    unmeasured: tuple[Piece, ...]
    """Work of which nobody knows how long it takes, one piece of each kind."""
    sources: tuple[str, ...]
    """What says how long the rest takes: ``runs of ema``, ``a few steps``."""
    device: str
    """``GPU`` or ``core``: what the hours are of."""
    devices: int
    """Of each worker."""

    @property
    def known(self) -> bool:
        """Whether there is something to do, and all of it is known."""
        return bool(self.sources) and not self.unmeasured

    @property
    def ground(self) -> str:
        """What says how long the known work takes, in words."""
        return " and ".join(self.sources)

    @property
    def unknown(self) -> list[str]:
        """The work that is not known, in words."""
        return list(dict.fromkeys(piece.what for piece in self.unmeasured))

    @cached_property
    def hours(self) -> float:
        """Hours of a GPU or a core that all work takes."""
        return sum(task.length for task in self.tasks) * self.devices / HOUR

    def on(self, workers: int) -> Schedule:
        """The walk on ``workers`` workers, in seconds."""
        return schedule(self.tasks, workers)

    def worthwhile(self, workers: int | None = None) -> dict[int, Schedule]:
        """The walk on numbers of workers, as long as more of them save time; or on ``workers`` of them."""
        if workers:
            return {workers: self.on(workers)}
        found: dict[int, Schedule] = {}
        for size in SIZES:
            walk = self.on(size)
            if found and walk.makespan > GAIN * min(other.makespan for other in found.values()):
                break
            found[size] = walk
        return found

    def price(self, walk: Schedule, an_hour: float) -> float:
        """Of all workers of a walk, paid to its end."""
        return an_hour * walk.workers * self.devices * walk.makespan / HOUR


def forecast(plan: Plan, runs: Sequence[Run], times: Times) -> Forecast:
    """What it takes to give ``runs``, some of the plan's, their results, with what the store holds by now."""
    compute, train = plan.runs[0].keys.config.compute, plan.runs[0].keys.config.train
    on_gpu = plan.runs[0].keys.numerics["device"] == "cuda"
    plan = replace(plan, runs=tuple(runs))  # their segments alone: of others nothing is trained
    missing = plan.epochs_to_train()
    found, unmeasured, sources = [], dict[str, Piece](), []
    for task in work.tasks_of(plan, runs, plan.store.has):  # no file is read: what is there counts
        length = 0.0
        for piece in _pieces(plan, task, missing):
            if known := times.find(piece.kind):
                length += piece.units * known.seconds
                sources.append(known.source)
            else:
                unmeasured.setdefault(piece.kind, piece)
        found.append(replace(task, length=length))
    return Forecast(
        tuple(found),
        tuple(unmeasured.values()),
        tuple(sorted(set(sources))),
        device="GPU" if on_gpu else "core",
        devices=train.devices * (1 if on_gpu else compute.threads),
    )


def disk(plan: Plan, workers: int) -> int | None:
    """Bytes that the store will hold more than now, at least; None if no U-Net of such a shape is in it."""
    sizes: dict[str, int] = {}
    for key, made_of in plan.store.entries("train"):
        unet = key_of(made_of["unet"])
        if unet not in sizes:
            sizes[unet] = plan.store.size("train", key)
    unets = {
        name: key_of(config.unet.model_dump(mode="json")) for name, config in plan.experiment.variants.items()
    }
    if not set(unets.values()) <= set(sizes):
        return None
    prompts = {run.keys.data: plan.prompts(run.keys) for run in plan.runs}
    return bytes_of_store(plan, {name: sizes[unet] for name, unet in unets.items()}, prompts, workers)


def _pieces(plan: Plan, task: Task, missing: dict[str, int]) -> Iterator[Piece]:
    """What a task is going to do."""
    keys: RunKeys = task.arguments[0]
    if task.function is work.prepare:
        if not work.is_prepared(keys, plan.store):
            kind = effort.of_preparing(keys)
            yield Piece("preparing the data", kind, plan.images(keys), work.prepare, (keys,))
        return
    if task.function is not work.measure:
        _, observers, _, end = task.arguments
        train = keys.config.train
        steps = steps_per_epoch(plan.images(keys), train.batch, train.accumulation)
        for epoch in range(end - missing.get(keys.chain[end], 0), end):
            losses = ", ".join(loss.label for loss in keys.acting(epoch).losses)
            kind, arguments = effort.of_steps(keys, epoch, observers), (keys, epoch, observers)
            yield Piece(f"training with {losses}", kind, steps, work.time_step, arguments)
    if task.function is not work.train and not plan.store.has("sample", keys.sample):
        sampler = f"{keys.config.sample.steps} steps of {keys.config.sample.scheduler}"
        what = f"samples in {sampler}, and their figures"
        yield Piece(what, effort.of_results(keys), plan.prompts(keys), work.time_image, (keys,))
