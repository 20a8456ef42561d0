"""Failures of the machine and not of a stage: what they mean, and what to do."""

from __future__ import annotations

import torch

from ablate.errors import AblateError, MemoryShortError, RunError, of_the_machine
from ablate.text import first_line


def explained(error: Exception) -> AblateError | None:
    """What a full GPU, a full disk or a broken GPU is called to the user; None for any other failure."""
    if isinstance(error, torch.OutOfMemoryError):
        return MemoryShortError(
            "the GPU has too little memory for this",
            where="compute.device",
            fix="Set losses.lpips.micro_batch or train.checkpointing=true, or halve train.batch and double "
            "train.accumulation; for samples, a smaller sample.batch.",
        )
    if isinstance(error, torch.AcceleratorError):
        return RunError(
            f"the GPU failed ({first_line(error)})",
            where="compute.device",
            fix="The same command goes on where it stopped; if it fails again, try compute.device=cpu.",
        )
    return of_the_machine(error)
