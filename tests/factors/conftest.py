"""What the tests of factors share: one thread, and a global generator to watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from ablate.diffusion.unet import build_unet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_unet() -> Callable[[int], Any]:
    """A small U-Net with cross-attention and the initial weights of a seed."""
    arguments = {
        "sample_size": 8,
        "layers_per_block": 1,
        "block_out_channels": (16, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 96,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return lambda seed: build_unet(arguments, 4, seed)


@pytest.fixture
def global_rng_stays() -> Iterator[None]:
    """Fails a test that moves torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
