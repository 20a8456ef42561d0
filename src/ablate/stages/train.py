"""Stage train: a segment of the training, one stored state an epoch.

The loop that everything else is about. ``batch.py`` draws what a step needs, ``step.py`` computes it,
``training.py`` is the training's state and how it is stored.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from filelock import Timeout

from ablate.diffusion import randomness
from ablate.errors import RunError
from ablate.hardware import device_kind
from ablate.stages.batch import draw_batch
from ablate.stages.ranks import together
from ablate.stages.step import batch_losses, forward, optimizer_step, weighted_sum
from ablate.stages.trained import newest_sound_state
from ablate.stages.training import Training, forget
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from ablate.factors.observer import Observer
    from ablate.locks import Lock
    from ablate.records import EpochRow
    from ablate.stages.keys import RunKeys
    from ablate.stages.ranks import Ranks
    from ablate.store import Store


def train(
    keys: RunKeys,
    observers: Sequence[Observer],
    begin: int,
    end: int,
    store: Store,
    on_epoch: Callable[[Training], None],
    progress: Callable[[str], None],
) -> None:
    """Trains from the newest stored state up to K[``end``] and stores each state.

    A process trains epoch e under the lock of K[e+1], and lets go of it when it holds the next. So of
    several that want overlapping parts of a chain one trains, and the others wait and go on from what it
    has stored.

    Args:
        keys: those of any run that uses this segment.
        observers: those of all runs that use it.
        begin: the state at which the segment leaves its parent. States that are marked as kept stay, this
            one and K[``end``] among them; the others only until the next one is stored. Where the parent's
            state lacks its moments, the training begins before it.
        on_epoch: called after each stored epoch.
        progress: told after each step how far the epoch is.

    Raises:
        RunError: the loss is no longer finite, or another process of ``train.devices`` has failed.
    """
    for kept in {begin, end} - {0}:
        store.keep("train", keys.chain[kept])
    training: Training | None = None
    config = keys.config
    with (
        together(
            config.train.devices, device_kind(config.compute.device), follow, keys, store.address
        ) as others,
        ExitStack() as held,
    ):
        while (newest := _newest(training, keys, observers, end, store)) < end:
            lock = store.lock(f"train-{keys.chain[newest + 1]}")
            _acquire(lock, progress)
            held.close()  # only now: who waits for the state before will wait for the next one, too
            held.callback(lock.release)
            if _newest(training, keys, observers, end, store) != newest:
                continue  # another process has gone on in the meantime
            if training is None or training.epoch != newest:
                training = _found(newest, keys, observers, store, others.ranks)
            if training is None:
                continue
            others.come_to(newest)
            train_epoch(training, newest, progress)
            training.save(store)
            forget(keys, observers, newest, store)
            on_epoch(training)
    for epoch in range(begin + 1, end):
        forget(keys, observers, epoch, store)  # left by a process that was killed between two states


def _newest(
    training: Training | None, keys: RunKeys, observers: Sequence[Observer], end: int, store: Store
) -> int:
    """The last state up to K[``end``] that is in memory or stored."""
    stored = newest_sound_state(keys.chain, observers, end, store)
    return max(stored, training.epoch) if training else stored


def _acquire(lock: Lock, progress: Callable[[str], None]) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        progress("waiting for another process that trains this epoch")
        lock.acquire()


def _found(
    epoch: int, keys: RunKeys, observers: Sequence[Observer], store: Store, ranks: Ranks
) -> Training | None:
    """The training as stored at K[``epoch``]; None if another process has forgotten that state."""
    try:
        return Training.at(epoch, keys, observers, store, ranks)
    except FileNotFoundError:
        if newest_sound_state(keys.chain, observers, epoch, store) == epoch:
            raise
        return None


def follow(keys: RunKeys, address: str, ranks: Ranks, epochs: Iterator[int]) -> None:
    """What the other processes of a training do: the epochs that the first one comes to. They keep no average
    and store nothing."""
    training: Training | None = None
    for epoch in epochs:
        if training is None or training.epoch != epoch:
            training = Training.at(epoch, keys, (), open_store(address), ranks)
        train_epoch(training, epoch, lambda text: None)


def train_epoch(
    training: Training, epoch: int, progress: Callable[[str], None], at_most: int | None = None
) -> None:
    """One epoch, or its first ``at_most`` batches.

    Each draw is made from (seed, epoch, batch, purpose), so this epoch is the same whether the
    training started before it or at it.
    """
    train, acting = training.config.train, training.keys.acting(epoch)
    training.begin_observers(epoch)

    started = time.perf_counter()
    totals: dict[str, Tensor] = {}
    batches = epoch_batches(len(training.data.mean), train.batch, training.seed, epoch)[:at_most]
    for first in range(0, len(batches), train.accumulation):
        group = batches[first : first + train.accumulation]
        for number, rows in enumerate(group, start=first):
            batch = draw_batch(training, rows, epoch, number, acting)
            step = forward(training, batch)
            parts = batch_losses(training, step, acting)
            loss = weighted_sum(parts, acting)
            (loss / len(group)).backward()
            for name, part in {"loss": loss, **{f"loss_{k}": v for k, v in parts.items()}}.items():
                totals[name] = totals.get(name, 0) + part.detach() / len(batches)
        norm = optimizer_step(training, acting, epoch + first / len(batches))
        totals["gradient_norm"] = totals.get("gradient_norm", 0) + norm
        progress(f"epoch {epoch}, {first + len(group)}/{len(batches)} batches")

    row: EpochRow = {name: float(total) for name, total in totals.items()}
    row["gradient_norm"] /= math.ceil(len(batches) / train.accumulation)
    row["epoch_seconds"] = time.perf_counter() - started
    _refuse_infinite(row, training.seed, epoch)
    training.history.append(row)
    training.epoch = epoch + 1


def epoch_batches(images: int, batch: int, seed: int, epoch: int) -> list[Tensor]:
    """The images' rows in this epoch's order, in full batches (one smaller batch if there is none)."""
    order = randomness.permutation(images, seed, epoch, "order")
    return list(order[: max(images - images % batch, min(images, batch))].split(batch))


def _refuse_infinite(row: EpochRow, seed: int, epoch: int) -> None:
    for name, what in (("loss", "loss"), ("gradient_norm", "gradient's norm")):
        if not math.isfinite(row[name]):
            raise RunError(
                f"the {what} of seed {seed} became {row[name]} in epoch {epoch}",
                where="train",
                fix="Lower train.learning_rate or the weight of the loss that grew; see the loss curves.",
            )
