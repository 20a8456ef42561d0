"""A few training steps of a configuration, recorded layer by layer, and the difference of two such records.

The steps are those of ``ablate.stages``: what is recorded here is what a run would do.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ablate.metrics.cosine import cosine
from ablate.records import LAYERS
from ablate.stages.batch import caption_rows, draw_batch
from ablate.stages.prepare import to_uint8
from ablate.stages.sample import decoded
from ablate.stages.step import batch_losses, forward, learning_rate, optimizer_step, weighted_sum
from ablate.stages.train import epoch_batches
from ablate.stages.training import Frozen, Training

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from ablate.factors.observer import Observer
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

STEPS = 3
"""Optimizer steps of a probe. AdamW's first step does not depend on the gradient's size, and an average
that begins with the weights equals them until the next step."""
PROMPTS = 2
DRAWN = 64
"""Batches whose captions are drawn, without training on them, to see rare differences."""
SAMPLED = 2**14
"""Numbers of a tensor by which the size of a difference is measured."""


@dataclass(frozen=True)
class Moment:
    """Where in the training two configurations are looked at."""

    epoch: int
    """The epoch whose batches and losses are taken."""
    start: int
    """The stored state that the weights come from; 0: the initial weights."""
    ema_starts: tuple[int, ...] = ()
    """The epochs in which the averages of both begin, in order."""
    sampling_differs: bool = False
    """Otherwise a few sampling steps will do."""
    accumulation_differs: bool = False
    """Otherwise one batch a step will do."""


@dataclass(frozen=True)
class Trace:
    """What remains of a tensor: whether another is equal, and about how different it is.

    At full size the tensors themselves, four times the weights for each probe, would fill the memory.
    """

    shape: tuple[int, ...]
    digest: str
    """Of all numbers, with 0 for −0; empty, and equal to no other, where one of them is not finite."""
    sample: Tensor
    """About SAMPLED of the numbers, evenly spaced, or all of them."""

    @classmethod
    def of(cls, tensor: Tensor) -> Trace:
        """The trace of a tensor on any device, in any memory layout."""
        flat = tensor.detach().cpu().contiguous().flatten() + 0
        finite = bool(flat.isfinite().all())
        digest = hashlib.sha256(flat.view(torch.uint8).numpy().data).hexdigest() if finite else ""
        return cls(tuple(tensor.shape), digest, flat[:: max(1, len(flat) // SAMPLED)].clone())


@dataclass(frozen=True)
class Probe:
    """What the layers held; those of the weights' size in the last step only."""

    layers: dict[str, list[Trace]]
    to_come: list[Trace]
    """The captions of later batches, in which a rare difference shows."""
    measured_with: dict[str, Any]
    """The evaluator and how it is used."""
    without_graph: frozenset[str]
    """Losses that no trained weight can change."""
    norm: float
    """Largest norm of the gradient before clipping."""


def probe(keys: RunKeys, moment: Moment, store: Store, parts: dict[Any, Any]) -> Probe:
    """Trains for STEPS steps from ``moment`` on, draws a few images and scores them.

    An average begins before the first step if it starts with the training, later otherwise, in the
    order of the epochs.

    Args:
        parts: the frozen parts that earlier probes have loaded; this one adds its own.
    """
    config = keys.config
    acting = keys.acting(moment.epoch)
    training = Training.at(moment.start, keys, (), store)
    training.frozen = Frozen(config, training.device, parts)
    initial = {name: weight.detach().cpu().clone() for name, weight in training.weights.items()}
    observer = keys.watching
    layers: dict[str, list[Trace]] = {name: [] for name in LAYERS}
    norms: list[float] = []

    def before_update(*_: Any) -> None:
        layers["clipped gradient"] = _gradients(training) if layers["gradient"] else []

    batches = epoch_batches(len(training.data.mean), config.train.batch, keys.seed, moment.epoch)
    losses: dict[str, Tensor] = {}
    for step in range(STEPS):
        if observer and step == _first_step(observer, moment):
            training.observers = (observer,)
            training.begin_observers(observer.begins)
        size = config.train.accumulation if moment.accumulation_differs else 1
        group = range(step * size, (step + 1) * size)
        for number in group:
            batch = draw_batch(training, batches[number % len(batches)], moment.epoch, number, acting)
            losses = batch_losses(training, forward(training, batch), acting)
            loss = weighted_sum(losses, acting)
            (loss / len(group)).backward()
            layers["batch"] += _traces([batch.x0, batch.noise, batch.t, batch.context])
            layers["loss"] += _traces([loss])
        layers["gradient"] = _gradients(training) if step == STEPS - 1 else []
        hook = training.optimizer.register_step_pre_hook(before_update)
        try:
            norms.append(float(optimizer_step(training, acting, moment.epoch + group.start / len(batches))))
        finally:
            hook.remove()  # a cycle of references would keep this training beside the next ones
    draws = ((keys.seed, moment.epoch, number) for number in range(DRAWN))
    rows = [caption_rows(training, batches[draw[-1] % len(batches)], draw) for draw in draws]
    moved = _traces(weight.cpu() - initial[name] for name, weight in training.weights.items())
    layers["update"] = [*moved, Trace.of(_learning_rates(keys))]
    layers["EMA weights"] = moved
    for watching, average in training.averages.items():
        weights = watching.sampled(average)
        layers["EMA weights"] = _traces(weights[name].cpu() - initial[name] for name in training.weights)
        if keys.observer:
            training.unet.load_state_dict(weights)
    layers["images"], layers["scores"] = (_traces([result]) for result in _draw(training, moment))
    return Probe(
        layers,
        to_come=_traces([torch.cat(rows)]),
        measured_with={k: v for k, v in keys.evaluate_ingredients.items() if k != "sample"},
        without_graph=frozenset(name for name, loss in losses.items() if not loss.requires_grad),
        norm=max(norms),
    )


def changes(probe: Probe, other: Probe) -> dict[str, float]:
    """Layer → size of the difference relative to ``other``'s; 0 where all is equal to the last bit."""
    found = {layer: difference(probe.layers[layer], other.layers[layer]) for layer in LAYERS}
    found["batch"] = found["batch"] or difference(probe.to_come, other.to_come)
    if probe.measured_with != other.measured_with:
        found["scores"] = 1.0
    return found


def difference(ours: Sequence[Trace], theirs: Sequence[Trace]) -> float:
    """Its size relative to ``theirs``; 0 where all is equal to the last bit."""
    if [trace.shape for trace in ours] != [trace.shape for trace in theirs]:
        return 1.0
    pairs = list(zip(ours, theirs, strict=True))
    if all(a.digest and a.digest == b.digest for a, b in pairs):
        return 0.0

    def square(trace: Trace, numbers: Tensor) -> float:
        return math.prod(trace.shape) * float(numbers.double().square().mean())

    squared = sum(square(a, a.sample.double() - b.sample.double()) for a, b in pairs)
    size = sum(square(trace, trace.sample) for trace in theirs)
    ratio = math.sqrt(squared / size) if size else 1.0
    return max(ratio, 1e-30) if math.isfinite(ratio) else 1.0


def _first_step(observer: Observer, moment: Moment) -> int:
    """The step before which an average begins: 0 with the training, then one step later for each start."""
    later = sorted({start for start in moment.ema_starts if start})
    return later.index(observer.begins) + 1 if observer.begins else 0


def _learning_rates(keys: RunKeys) -> Tensor:
    """The learning rate [epochs] at the beginning of each epoch: a schedule may begin so slowly that a few
    steps do not show it."""
    epochs = range(keys.config.train.epochs)
    return torch.tensor([learning_rate(keys.acting(e), e, len(epochs)) for e in epochs], dtype=torch.float64)


def _gradients(training: Training) -> list[Trace]:
    return _traces(p.grad if p.grad is not None else torch.zeros(1) for p in training.unet.parameters())


def _traces(tensors: Iterable[Tensor]) -> list[Trace]:
    return [Trace.of(tensor) for tensor in tensors]


def _draw(training: Training, moment: Moment) -> tuple[Tensor, Tensor]:
    """A few images, float [P, 3, S, S], and their CLIP-T [P]."""
    config, data = training.config, training.data
    if not moment.sampling_differs:
        few = config.sample.model_copy(update={"steps": min(config.sample.steps, 4)})
        config = config.model_copy(update={"sample": few})
    prompts = data.prompts[:PROMPTS]
    states = data.states[[prompt["state"] for prompt in prompts]]
    names = [prompt["image_name"] for prompt in prompts]
    unet = training.unet.eval()
    seed = training.keys.sample_seed
    images, _ = decoded(config, unet, training.frozen.vae, states, data.states[:1], names, seed)
    evaluator = training.frozen.part("evaluator")
    texts = evaluator.encode_texts([prompt["text"] for prompt in prompts])
    scores = cosine(evaluator.encode_images(to_uint8(images).numpy()), texts)
    return images.cpu(), torch.from_numpy(scores)
