"""What the diffusion tests share: one thread, and the small U-Net of the first seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

torch.set_num_threads(1)


@pytest.fixture
def unet(make_unet: Callable[[int], Any]) -> Any:
    return make_unet(0)
