"""A rehearsal: a few optimizer steps and a batch of images, to see how long they take.

Their results are thrown away. The data that are prepared for them stay in the store.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ablate.parts.evaluator import EvaluatorPart
from ablate.parts.vae import VaePart
from ablate.stages import device as devices
from ablate.stages.evaluate import feature_space
from ablate.stages.prepare import prepare
from ablate.stages.prepared import Prepared
from ablate.stages.sample import sample_images, sampling_unet
from ablate.stages.train import train_epoch
from ablate.stages.training import Training, initial_unet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ablate.factors.observer import Observer
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

WARM, STEPS = 2, 10
"""Optimizer steps before time is taken, in which parts are loaded and kernels compiled, and then."""
IMAGES = 16
"""Images drawn of a larger batch, at most."""


def seconds_per_step(
    keys: RunKeys,
    epoch: int,
    observers: Sequence[Observer],
    store: Store,
    progress: Callable[[str], None],
) -> float:
    """What an optimizer step of this epoch takes, of the initial weights, with the observers that have begun.

    Raises:
        RunError: the loss is no longer finite.
    """
    prepare(keys, store, progress)
    training, accumulation = Training.at(0, keys, observers, store), keys.config.train.accumulation
    for begins in {observer.begins for observer in observers if observer.begins <= epoch}:
        training.begin_observers(begins)
    train_epoch(training, epoch, progress, at_most=WARM * accumulation)
    done: list[str] = []  # a small data set has fewer steps
    train_epoch(training, epoch, done.append, at_most=STEPS * accumulation)
    return training.history[-1]["epoch_seconds"] / len(done)


def seconds_per_image(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> float:
    """What drawing and measuring an image takes, in a batch of them, with the initial weights.

    Raises:
        MeaninglessError: a latent or an image is not a number.
    """
    prepare(keys, store, progress)
    config, device = keys.config, devices.setup(keys.config.compute)
    data = Prepared(store.fetched("prepare", keys.prepare))
    unet = sampling_unet(initial_unet(config, keys.seed), config, device)
    vae = VaePart(config.components.vae).load(str(device))
    evaluator = EvaluatorPart(config.components.evaluator).load(str(device))
    space = feature_space(config, evaluator, str(device))
    prompts = data.prompts[: min(config.sample.batch, IMAGES)]
    names = [prompt["image_name"] for prompt in prompts]
    states = data.states[[prompt["state"] for prompt in prompts]]
    warm = config.sample.model_copy(update={"steps": min(config.sample.steps, WARM)})
    started = 0.0
    for now in (config.model_copy(update={"sample": warm}), config):
        progress(f"drawing in {now.sample.steps} steps")
        started = time.perf_counter()
        images, _ = sample_images(now, unet, vae, states, data.states[:1], names, keys.sample_seed)
        shown = images.numpy()
        space.features_of(shown, evaluator.encode_images(shown))
    return (time.perf_counter() - started) / len(prompts)
