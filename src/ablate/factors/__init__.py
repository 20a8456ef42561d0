"""The training choices, a file each. A new one is a file here and a row below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.factors.augmentation import Augmentation, NoAugmentation
from ablate.factors.clipping import Clipping
from ablate.factors.cosine import Cosine
from ablate.factors.ema import Ema
from ablate.factors.flip import Flip
from ablate.factors.kl import Kl
from ablate.factors.learning_rate import LearningRate
from ablate.factors.lpips import Lpips
from ablate.factors.lr_schedule import LrSchedule
from ablate.factors.min_snr import MinSnr
from ablate.factors.mse import Mse
from ablate.factors.observer import Observer
from ablate.factors.strong import Strong
from ablate.factors.weighting import Weighting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.factors.base import Factor, Loss

LOSSES: dict[str, type[Loss]] = {"mse": Mse, "lpips": Lpips, "kl": Kl}
"""The terms of the training loss, in the order in which they are added."""

AUGMENTATIONS: dict[str, type[Augmentation]] = {"none": NoAugmentation, "flip": Flip, "strong": Strong}
"""The values of ``augmentation.kind``; the first is meant where none is written."""

WEIGHTINGS: dict[str, type[Weighting]] = {"min_snr": MinSnr}
"""The values of ``weighting.kind``; the first is meant where none is written."""

OBSERVERS: dict[str, type[Observer]] = {"ema": Ema}
"""The values of ``ema.kind``; the first is meant where none is written."""

LR_SCHEDULES: dict[str, type[LrSchedule]] = {"cosine": Cosine}
"""The values of ``lr_schedule.kind``; the first is meant where none is written."""

CHOICES: dict[str, type[Factor]] = {
    "learning_rate": LearningRate,
    "lr_schedule": LrSchedule,
    "clipping": Clipping,
    "augmentation": Augmentation,
    "weighting": Weighting,
    "ema": Observer,
}
"""The training choices that are not losses. All but observers change training steps, and so enter the
chain of keys while they act."""


@dataclass(frozen=True)
class Acting:
    """The factors that act in one epoch of a training."""

    learning_rate: LearningRate
    losses: tuple[Loss, ...]
    lr_schedule: LrSchedule | None = None
    clipping: Clipping | None = None
    augmentation: Augmentation | None = None
    weighting: Weighting | None = None

    def __iter__(self) -> Iterator[Factor]:
        others = (self.learning_rate, self.lr_schedule, self.clipping, self.augmentation, self.weighting)
        yield from filter(None, (*others, *self.losses))


def factors_of(config: Any) -> dict[str, type[Factor]]:
    """Every training choice that a configuration may have: name → class."""
    return {**CHOICES, **config.vocabulary.losses}


def switched_on(config: Any) -> dict[str, Factor]:
    """The factors that a configuration has, whenever they begin: name → factor."""
    found = {name: kind.of(config) for name, kind in factors_of(config).items()}
    return {name: factor for name, factor in found.items() if factor is not None}


def onsets(config: Any) -> list[int]:
    """The epochs before the end in which other factors act than before: 0 first, then later ones."""
    epochs = config.train.epochs
    others = (factor for factor in switched_on(config).values() if not isinstance(factor, Observer))
    return sorted({0, *(first for factor in others if (first := factor.first_epoch(epochs)) < epochs)})


def acting(config: Any, epoch: int) -> Acting:
    """What acts in ``epoch`` of a configuration. What has not begun is absent, as if it were not there."""
    found: dict[str, Any] = {
        name: factor
        for name, factor in switched_on(config).items()
        if not isinstance(factor, Observer) and epoch >= factor.first_epoch(config.train.epochs)
    }
    losses = tuple(found.pop(name) for name in config.vocabulary.losses if name in found)
    return Acting(losses=losses, **found)
