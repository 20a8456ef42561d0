"""What another process of a training may do instead of going on. It imports this, so there is little else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.stages.ranks import Ranks


def fail(ranks: Ranks, epochs: Iterator[int]) -> None:
    """Raises an error in the middle of a step."""
    ranks.gathered(torch.zeros(1))
    raise ValueError("the network cable")


def die(ranks: Ranks, epochs: Iterator[int]) -> None:
    """Ends without a word in the middle of a step."""
    ranks.gathered(torch.zeros(1))
    os._exit(7)
