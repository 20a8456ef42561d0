"""What the time of a piece of work depends on: what was timed once is known for all that is alike. No torch.

Not the seed, not the code, and of the configuration only what costs time: a loss with another weight takes as
long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.factors.clipping import Clipping
from ablate.factors.learning_rate import LearningRate
from ablate.factors.lr_schedule import LrSchedule
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.factors.base import Factor
    from ablate.factors.observer import Observer
    from ablate.stages.keys import RunKeys

FREE = (LearningRate, LrSchedule, Clipping)
"""Factors that take no time."""
TAKES_TIME = {"batch", "accumulation", "precision", "checkpointing", "channels_last", "compile", "devices"}
"""Fields of ``train`` that a step's time depends on."""


def of_steps(keys: RunKeys, epoch: int, observers: Iterable[Observer]) -> str:
    """What an optimizer step of an epoch takes, with these observers."""
    config, factors = keys.config, [f for f in keys.acting(epoch) if not isinstance(f, FREE)]
    return key_of(
        {
            "unet": config.unet.model_dump(mode="json"),
            "train": config.train.model_dump(mode="json", include=TAKES_TIME),
            "size": config.data.size,
            "factors": {factor.name: _of_factor(factor) for factor in factors},
            "parts": {name: keys.part(name) for factor in factors for name in ("vae", *factor.parts)},
            "averages": sum(observer.begins <= epoch for observer in observers),
            "numerics": keys.numerics,
        }
    )


def of_results(keys: RunKeys) -> str:
    """What drawing and measuring an image takes."""
    config = keys.config
    return key_of(
        {
            "unet": config.unet.model_dump(mode="json"),
            "sample": config.sample.model_dump(mode="json", exclude={"weights", "seed", "noise"}),
            "size": config.data.size,
            "evaluate": config.evaluate.model_dump(mode="json"),
            "parts": {name: keys.part(name) for name in ("vae", "evaluator")},
            "numerics": keys.numerics,
        }
    )


def of_preparing(keys: RunKeys) -> str:
    """What preparing a training image takes, with its captions and its augmented forms."""
    forms = keys.config.augmentation.contribution() if keys.augmented else None
    return key_of(
        {
            "size": keys.config.data.size,
            "forms": forms,
            "parts": {name: keys.part(name) for name in ("vae", "text_encoder")},
            "numerics": keys.numerics,
        }
    )


def _of_factor(factor: Factor) -> dict[str, Any]:
    return {name: value for name, value in factor.contribution().items() if name != "weight"}
