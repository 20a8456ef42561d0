"""Failures of the machine and not of a stage: what they mean, and what to do."""

from __future__ import annotations

import errno

import torch

from ablate.errors import RunError


def explained(error: Exception) -> RunError | None:
    """What a full GPU, a full disk or a broken GPU is called to the user; None for any other failure."""
    if isinstance(error, torch.OutOfMemoryError):
        return RunError(
            "the GPU has too little memory for this",
            where="compute.device",
            fix="Set losses.lpips.micro_batch or train.checkpointing=true, or halve train.batch and double "
            "train.accumulation; for samples, a smaller sample.batch.",
        )
    # safetensors has an error of its own that only says it in words.
    if getattr(error, "errno", None) == errno.ENOSPC or "os error 28" in str(error):
        return RunError(
            "the disk is full",
            where="the store",
            fix="Free some space, or move the store with --store. The same command goes on from there.",
        )
    if isinstance(error, torch.AcceleratorError):
        return RunError(
            f"the GPU failed ({str(error).splitlines()[0]})",
            where="compute.device",
            fix="The same command goes on from there; if it fails again, try compute.device=cpu.",
        )
    return None
