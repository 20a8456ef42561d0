"""Gradient clipping."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from ablate.factors.base import Factor


class Clipping(Factor):
    """The gradient, scaled down where its norm is larger than ``limit``."""

    name: ClassVar[str] = "clipping"
    field: ClassVar[str] = "train.gradient_clip"
    title: ClassVar[str] = "clipping"
    enters: ClassVar[str] = "clipped gradient"
    on: ClassVar[dict[str, Any]] = {"train": {"gradient_clip": 1e-3}}
    reasons: ClassVar[dict[str, str]] = {
        "clipped gradient": "the optimizer sees the gradient as it was: clipping comes after its step",
    }

    limit: float
    """Largest norm of the whole gradient."""
    when: Literal["before-step", "after-step"]
    """After the optimizer's step, as in the published code, it has no effect."""

    @classmethod
    def of(cls, config: Any) -> Self | None:
        """From ``train.gradient_clip`` and ``train.clip``."""
        limit = config.train.gradient_clip
        return None if limit is None else cls(limit=float(limit), when=config.train.clip)

    def unreached(self, norm: float) -> str:
        """A limit above all gradients."""
        if norm >= self.limit:
            return ""
        return f"no gradient was clipped in the steps looked at: the largest norm was {norm:.2g}"
