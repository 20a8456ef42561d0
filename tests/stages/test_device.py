"""What a process is set up with before it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ablate.experiment.config import Compute
from ablate.stages.device import setup

if TYPE_CHECKING:
    import pytest


def test_on_a_gpu_fp32_is_fp32_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = convolutions.allow_tf32
    try:
        products.allow_tf32 = convolutions.allow_tf32 = True  # as with TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1
        assert setup(Compute(device="cuda", threads=1)).type == "cuda"
        assert not products.allow_tf32 and not convolutions.allow_tf32
    finally:
        products.allow_tf32, convolutions.allow_tf32 = False, before
