"""One training step: the forward pass, the losses, the update. The loop is in ``stages/train.py``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from ablate.errors import MeaninglessError
from ablate.factors.base import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ablate.factors import Acting
    from ablate.stages.batch import Batch
    from ablate.stages.training import Training


def forward(training: Training, batch: Batch) -> Step:
    """Noises the latents of a batch and lets the U-Net predict."""
    process = training.process
    x_t = process.noised(batch.x0, batch.noise, batch.t)
    part = training.ranks.part(len(x_t))
    with training.autocast():
        own = training.forward(x_t[part], batch.t[part], encoder_hidden_states=batch.context[part]).sample
    prediction = training.ranks.gathered(own.float())
    return Step(process, x_t=x_t, prediction=prediction, **batch.for_losses())


def batch_losses(training: Training, step: Step, acting: Acting) -> dict[str, Tensor]:
    """The losses that act on a step, each a scalar with its graph: ``mse``, ``lpips``, ``kl``.

    Raises MeaninglessError if one is neither a scalar nor has an entry for each image.
    """
    parts = {loss.name: loss.loss(step, training.frozen) for loss in acting.losses}
    for name, part in parts.items():
        if part.ndim and len(part) != len(step.t):
            what = f"gives the shape {list(part.shape)} for a batch of {len(step.t)} images"
            fix = "A loss is a scalar, or has an entry for each image: [B, …]."
            raise MeaninglessError(what, where=f"losses.{name}", fix=fix)
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


def learning_rate(acting: Acting, passed: float, epochs: int) -> float:
    """The learning rate after ``passed`` of ``epochs``."""
    schedule, value = acting.lr_schedule, acting.learning_rate.value
    return value * schedule.share(passed, epochs) if schedule else value


def optimizer_step(training: Training, acting: Acting, passed: float) -> Tensor:
    """Clips the gradient, updates the weights and the averages; the gradient's norm before clipping.

    ``passed``: epochs before this step, with the share of its own.
    """
    clipping, parameters = acting.clipping, training.weights.values()
    training.ranks.sum_gradients(parameters)
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate(acting, passed, training.config.train.epochs)
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
