"""Sets a process up for reproducible arithmetic."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from ablate.errors import RunError
from ablate.hardware import device_kind

if TYPE_CHECKING:
    from ablate.experiment.config import Compute


def setup(compute: Compute) -> torch.device:
    """Fixes thread count and deterministic algorithms, and gives the device to compute on.

    Raises RunError if CUDA is asked for and this torch cannot reach it.
    """
    torch.set_num_threads(compute.threads)
    kind = device_kind(compute.device)
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise RunError(
                "the machine has an NVIDIA driver, but this torch cannot use CUDA",
                where="compute.device",
                fix="Install a CUDA build of torch, or set compute.device=cpu.",
            )
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Otherwise "fp32" would mean convolutions with the 10 bits of TF32; and so matrix products, where the
        # environment says so, as NVIDIA's images do. bf16 is the fast way.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True)
    return torch.device(kind)
