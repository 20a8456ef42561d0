"""What a factor is: one training choice, with everything that the package has to know of it.

A factor answers; it never acts by itself. The training loop stays in the open and asks its factors for a
loss, for augmented images, for a learning rate.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from ablate.dotted import nested
from ablate.fields import Model, epoch_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ablate.diffusion.schedule import ForwardProcess


class Frozen(Protocol):
    """The frozen parts that a loss may use, each loaded when it is first asked for."""

    def part(self, name: str) -> Any:
        """The part of ``components.<name>``, on the device."""

    @property
    def vae(self) -> Any:
        """diffusers' ``AutoencoderKL``."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] of unit variance → images [B, 3, H, W] about in [−1, 1], with gradient."""


class Factor(Model):
    """One training choice as a configuration makes it. A subclass lies in a file of its own.

    The fields are what a spec can say about it. The digest of the file is part of the training's keys
    from the first epoch in which the factor acts: editing it keeps the trunk before.
    """

    name: ClassVar[str]
    """What it is called in the timeline, in curves (``loss_<name>``) and among its kind."""
    field: ClassVar[str]
    """Where a spec has it: ``losses.lpips``."""
    title: ClassVar[str]
    """What sentences call it: ``the LPIPS term``."""
    enters: ClassVar[str]
    """The first layer of the audit (``records.LAYERS``) in which it shows."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Fields of ``components`` that it needs beside the VAE. They are part of its key."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages beside torch and diffusers whose version decides what it computes."""
    looks_ahead: ClassVar[bool] = False
    """Whether what it does depends on how long the training is: its epochs are then part of its key."""
    on: ClassVar[dict[str, Any]] = {}
    """Overrides with which it acts in any step, where it would act in some only: the audit sets them."""
    reasons: ClassVar[dict[str, str]] = {}
    """Layer of the audit → why it dies there, in words."""

    @classmethod
    def of(cls, config: Any) -> Self | None:
        """The factor as a configuration has it; None where it is switched off."""
        value = config
        for name in cls.field.split("."):
            value = getattr(value, name)
        return value if isinstance(value, cls) else None

    @classmethod
    def asked(cls, config: Any) -> Any:
        """All that a configuration says about it: where two agree, the audit asks once."""
        return cls.of(config)

    @classmethod
    def off(cls) -> dict[str, Any] | None:
        """Overrides that take it out of a configuration; None where it cannot be taken out."""
        return nested(cls.field, None)

    def first_epoch(self, epochs: int) -> int:
        """The first epoch in which it acts, of ``epochs``: that of its field ``start``, 0 if it has none.

        It may lie after the last one.
        """
        return epoch_of(getattr(self, "start", 0), epochs)

    def unreached(self, norm: float) -> str:
        """Why it left steps alone whose largest gradient norm was ``norm``; "" if it did not."""
        return ""

    def contribution(self) -> dict[str, Any]:
        """What it adds to a training key while it acts, as plain data."""
        return self.model_dump(mode="json", exclude={"start"})


class Loss(Factor):
    """A term of the training loss."""

    enters: ClassVar[str] = "loss"
    label: ClassVar[str]
    """What curves call it: ``LPIPS``."""
    looks_at_images: ClassVar[bool] = False
    """Whether ``compared`` names any."""
    weighted: ClassVar[bool] = False
    """Whether the weighting of timesteps applies: then the loss is [B, …]."""

    weight: float = 1.0
    """What it is multiplied by."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A loss lies below ``losses`` by its name, unless it says otherwise."""
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "name" in own:
            cls.field = own.get("field", f"losses.{cls.name}")
            cls.title = own.get("title", f"the {cls.label} term")

    @abstractmethod
    def loss(self, step: Step, frozen: Frozen) -> Tensor:
        """The loss [B, …] of a training step, in fp32 and not reduced: the mean over all of it counts.

        A loss that cannot be told apart by image is a scalar.
        """

    def compared(self, t: Tensor, timesteps: int, *address: int | str) -> Tensor | None:
        """Rows [K] of the images that it looks at, ascending; None if it looks at none.

        Args:
            t: timesteps [B] of the batch, on the CPU.
            timesteps: of the noise schedule.
            address: of the randomness.
        """
        return None


@dataclass(frozen=True)
class Step:
    """What a loss is computed from: a batch and what the U-Net made of it. Latents are [B, C, h, w]."""

    process: ForwardProcess
    """The noise schedule, and what a prediction says about x_0."""
    x0: Tensor
    """The latents, drawn from N(mean, std²) and scaled to unit variance."""
    noise: Tensor
    t: Tensor
    """Timesteps [B]."""
    x_t: Tensor
    """The noised latents that the U-Net saw."""
    prediction: Tensor
    """What it predicted, in fp32, with its graph: the noise or the velocity."""
    mean: Tensor
    std: Tensor
    """The VAE's posterior of the images, scaled as ``x0``."""
    compared: Mapping[str, Tensor]
    """Loss → rows [K] of the images that it looks at."""
    images: Mapping[str, Tensor]
    """Loss → these images after augmentation, [K, 3, S, S] in [−1, 1]."""

    @property
    def predicted_x0(self) -> Tensor:
        """x̂_0, the clean latents that the prediction stands for."""
        return self.process.predicted_x0(self.prediction, self.x_t, self.t)

    @property
    def predicted_noise(self) -> Tensor:
        """ε̂, the noise that the prediction stands for."""
        return self.process.predicted_noise(self.prediction, self.x_t, self.t)
