"""Warm-up and cosine decay of the learning rate."""

from __future__ import annotations

import math
from typing import Literal

from ablate.factors.lr_schedule import LrSchedule
from ablate.fields import Fraction


class Cosine(LrSchedule):
    """A linear rise, then half a cosine down to 0 (Loshchilov & Hutter 2017, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    warmup: Fraction = 0.0
    """Share of the training in which the learning rate rises from 0."""

    def share(self, passed: float, epochs: int) -> float:
        """passed/warm-up, then ½·(1 + cos(π·(the share of the rest that has passed)))."""
        warmup = self.warmup * epochs
        if passed < warmup:
            return passed / warmup
        rest = epochs - warmup
        return 0.5 * (1 + math.cos(math.pi * (passed - warmup) / rest)) if rest else 1.0
