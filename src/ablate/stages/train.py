"""Stage train: a segment of the training, one stored state an epoch.

The loop that everything else is about. ``stages/batch.py`` draws what a step needs, ``stages/training.py`` is
the training's state and how it is stored.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch

from ablate.diffusion import randomness
from ablate.errors import RunError
from ablate.factors.base import Step
from ablate.stages.batch import draw_batch
from ablate.stages.trained import newest_stored_state
from ablate.stages.training import Training, forget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from ablate.factors import Acting
    from ablate.factors.observer import Observer
    from ablate.records import EpochRow
    from ablate.stages.batch import Batch
    from ablate.stages.keys import RunKeys
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

    Args:
        keys: those of any run that stands on this segment.
        observers: those of all runs that stand on it.
        begin: the state at which the segment leaves its parent; it and ``end`` are kept, the states
            between only until the next one is stored.
        on_epoch: called after each stored epoch.
        progress: told after each step how far the epoch is.

    Raises:
        RunError: the loss is no longer finite.
    """
    with store.lock(f"train-{keys.chain[min(begin + 1, end)]}"):
        newest = newest_stored_state(keys.chain, observers, end, store)
        for epoch in range(begin + 1, newest):
            forget(keys, observers, epoch, store)  # left by a process killed between two states
        training = Training.at(newest, keys, observers, store)
        for epoch in range(training.epoch, end):
            train_epoch(training, epoch, progress)
            training.save(store, kept=False)
            if epoch > begin:  # K[begin] belongs to the segment before
                forget(keys, observers, epoch, store)
            on_epoch(training)
        training.save(store, kept=True)


def train_epoch(training: Training, epoch: int, progress: Callable[[str], None]) -> None:
    """One epoch.

    Each draw is made from (seed, epoch, batch, purpose), so this epoch is the same whether the
    training started before it or at it.
    """
    train, acting = training.config.train, training.keys.acting(epoch)
    training.begin_observers(epoch)

    started = time.perf_counter()
    totals: dict[str, Tensor] = {}
    batches = epoch_batches(len(training.data.mean), train.batch, training.seed, epoch)
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
        norm = optimizer_step(training, acting, epoch, first // train.accumulation)
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


def forward(training: Training, batch: Batch) -> Step:
    """Noises the latents of a batch and lets the U-Net predict."""
    process = training.process
    x_t = process.noised(batch.x0, batch.noise, batch.t)
    with training.autocast():
        prediction = training.forward(x_t, batch.t, encoder_hidden_states=batch.context).sample
    return Step(process, x_t=x_t, prediction=prediction.float(), **batch.for_losses())


def batch_losses(training: Training, step: Step, acting: Acting) -> dict[str, Tensor]:
    """The losses that act on a step, each a scalar with its graph: ``mse``, ``lpips``, ``kl``."""
    parts = {loss.name: loss.loss(step, training.frozen) for loss in acting.losses}
    if acting.weighting:
        weights = acting.weighting.weights(step.t, step.process)
        parts |= {loss.name: weighted(parts[loss.name], weights) for loss in acting.losses if loss.weighted}
    return {name: part.mean() for name, part in parts.items()}


def weighted(loss: Tensor, weights: Tensor) -> Tensor:
    """A loss [B, …] with each image's ``weights`` [B]."""
    return loss * weights.view(-1, *[1] * (loss.ndim - 1))


def weighted_sum(parts: Mapping[str, Tensor], acting: Acting) -> Tensor:
    """The training loss: each loss with its weight, in their order."""
    first, *others = (loss.weight * parts[loss.name] for loss in acting.losses)
    return sum(others, start=first)


def optimizer_step(training: Training, acting: Acting, epoch: int, step: int) -> Tensor:
    """Clips the gradient, updates the weights and the averages; the gradient's norm before clipping."""
    clipping, parameters = acting.clipping, training.weights.values()
    for group in training.optimizer.param_groups:
        group["lr"] = acting.learning_rate.at(epoch, step)
    if clipping and clipping.when == "after-step":
        training.optimizer.step()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clipping.limit)
    else:
        norm = torch.nn.utils.clip_grad_norm_(parameters, clipping.limit if clipping else math.inf)
        training.optimizer.step()
    training.optimizer.zero_grad(set_to_none=True)
    for observer, average in training.averages.items():
        observer.update(average, training.weights)
    return norm.detach()


def _refuse_infinite(row: EpochRow, seed: int, epoch: int) -> None:
    for name, what in (("loss", "loss"), ("gradient_norm", "gradient's norm")):
        if not math.isfinite(row[name]):
            raise RunError(
                f"the {what} of seed {seed} became {row[name]} in epoch {epoch}",
                where="train",
                fix="Lower train.learning_rate or the weight of the loss that grew; see the loss curves.",
            )
