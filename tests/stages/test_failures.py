"""A machine that fails is told from a stage that fails, and said in words that help."""

from __future__ import annotations

import errno
import os

import torch
from safetensors import SafetensorError

from ablate.stages.failures import explained


def test_a_full_gpu_has_remedies() -> None:
    failure = explained(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 90.00 GiB"))
    assert failure
    assert "micro_batch" in failure.fix and "checkpointing" in failure.fix


def test_a_full_disk_is_known_by_its_number() -> None:
    failure = explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert failure
    assert failure.what == "the disk is full"


def test_a_full_disk_is_known_in_the_words_of_safetensors() -> None:
    words = "Error while serializing: I/O error: No space left on device (os error 28)"
    failure = explained(SafetensorError(words))
    assert failure
    assert failure.what == "the disk is full"


def test_a_broken_gpu_is_said_in_a_line() -> None:
    failure = explained(torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore"))
    assert failure
    assert "illegal memory access" in failure.what and "\n" not in failure.what


def test_any_other_failure_is_its_stages_own() -> None:
    assert explained(ValueError("wrong")) is None
    assert explained(OSError(errno.ENOENT, "no such file")) is None
