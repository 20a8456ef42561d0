"""Initial weights depend on the seed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from ablate.diffusion.unet import build_unet
from ablate.spec.config import Config
from ablate.spec.load import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def initial(make_unet: Callable[[int], Any]) -> Callable[[int], torch.Tensor]:
    """All initial weights of a seed, one after the other."""
    return lambda seed: torch.cat([weight.detach().flatten() for weight in make_unet(seed).parameters()])


@pytest.mark.usefixtures("global_rng_stays")
def test_building_a_unet_leaves_the_global_generator_as_it_was(
    initial: Callable[[int], torch.Tensor],
) -> None:
    initial(0)


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(
    initial: Callable[[int], torch.Tensor],
) -> None:
    torch.manual_seed(1)
    first = initial(0)
    torch.manual_seed(2)
    torch.randn(5)
    assert torch.equal(initial(0), first)


def test_another_seed_gives_other_weights(initial: Callable[[int], torch.Tensor]) -> None:
    assert not torch.equal(initial(0), initial(1))


def test_the_full_size_profile_has_the_published_number_of_parameters() -> None:
    config = Config.model_validate(load_profile("maplestory"))
    with torch.device("meta"):  # shapes without memory
        unet = build_unet(config.unet.model_dump(exclude={"latent_channels"}), 4, seed=0)
    assert sum(weight.numel() for weight in unet.parameters()) == 224_611_972
