"""The training choices, a file each. A new one is a file here and a row below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.factors.augmentation import Augmentation
from ablate.factors.clipping import Clipping
from ablate.factors.ema import Ema
from ablate.factors.kl import Kl
from ablate.factors.learning_rate import LearningRate
from ablate.factors.lpips import Lpips
from ablate.factors.mse import Mse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.factors.base import Factor, Loss

LOSSES: dict[str, type[Loss]] = {"mse": Mse, "lpips": Lpips, "kl": Kl}
"""The terms of the training loss, in the order in which they are added."""

ACTING: dict[str, type[Factor]] = {
    "learning_rate": LearningRate,
    "clipping": Clipping,
    "augmentation": Augmentation,
    **LOSSES,
}
"""What changes training steps, and so enters the chain of keys while it acts."""

FACTORS: dict[str, type[Factor]] = {**ACTING, "ema": Ema}
"""All training choices: those that act, and those that only watch."""


@dataclass(frozen=True)
class Acting:
    """The factors that act in one epoch of a training."""

    learning_rate: LearningRate
    losses: tuple[Loss, ...]
    clipping: Clipping | None = None
    augmentation: Augmentation | None = None

    def __iter__(self) -> Iterator[Factor]:
        yield from filter(None, (self.learning_rate, self.clipping, self.augmentation, *self.losses))


def acting(config: Any, epoch: int) -> Acting:
    """What acts in ``epoch`` of a configuration. What has not begun is absent, as if it were not there."""
    found: dict[str, Any] = {
        name: factor
        for name, factor in switched_on(config).items()
        if name in ACTING and epoch >= factor.first_epoch(config.train.epochs)
    }
    losses = tuple(found.pop(name) for name in LOSSES if name in found)
    return Acting(losses=losses, **found)


def switched_on(config: Any) -> dict[str, Factor]:
    """The factors that a configuration has, whenever they begin: name → factor."""
    found = {name: kind.of(config) for name, kind in FACTORS.items()}
    return {name: factor for name, factor in found.items() if factor is not None}
