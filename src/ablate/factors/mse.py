"""The noise MSE, which every training has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from ablate.factors.base import Loss

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.factors.base import Frozen, Step


class Mse(Loss):
    """Squared error of the prediction (Ho et al. 2020, eq. 14), always there with weight 1."""

    name: ClassVar[str] = "mse"
    field: ClassVar[str] = ""
    title: ClassVar[str] = "the noise MSE"
    label: ClassVar[str] = "noise MSE"
    weighted: ClassVar[bool] = True

    @classmethod
    def of(cls, config: Any) -> Self:
        """The same in every configuration."""
        return cls()

    @classmethod
    def off(cls) -> None:
        """Every training has it."""

    def loss(self, step: Step, frozen: Frozen) -> Tensor:
        """(prediction − target)² [B, C, h, w]; the target is the noise or the velocity."""
        return noise_mse(step.prediction, step.process.target(step.x0, step.noise, step.t))


def noise_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of each element, in fp32 and of the shape of both."""
    return (prediction.float() - target.float()).square()
