"""Initial weights depend on the seed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch.utils.flop_counter import FlopCounterMode

from ablate.diffusion.unet import build_unet
from ablate.experiment.config import Config
from ablate.experiment.load import load_profile

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


@pytest.fixture
def full_size() -> Any:
    """The U-Net of the profile ``maplestory``: shapes without memory."""
    config = Config.model_validate(load_profile("maplestory"))
    with torch.device("meta"):
        return build_unet(config.unet.model_dump(exclude={"latent_channels"}), 4, seed=0)


def test_the_full_size_profile_has_the_published_number_of_parameters(full_size: Any) -> None:
    assert sum(weight.numel() for weight in full_size.parameters()) == 224_611_972


@pytest.mark.parametrize(("checkpointing", "expected"), [(False, 186e9), (True, 232e9)])
def test_a_full_size_step_costs_what_the_cost_model_says(
    full_size: Any, checkpointing: bool, expected: float
) -> None:
    """Of one sample, 32×32×4 latents and 77 text states: two operations for each multiply-add of the
    convolutions, matrix products and attention, forward and backward. Nothing else is counted.
    """
    if checkpointing:
        full_size.train().enable_gradient_checkpointing()
    x, t = torch.empty(1, 4, 32, 32, device="meta"), torch.zeros(1, dtype=torch.long, device="meta")
    states = torch.empty(1, 77, 512, device="meta")
    with FlopCounterMode(display=False) as counted:
        full_size(x, t, encoder_hidden_states=states).sample.sum().backward()
    assert counted.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_attention_is_the_fused_kernel(full_size: Any) -> None:
    kinds = {type(processor) for processor in full_size.attn_processors.values()}
    assert kinds == {AttnProcessor2_0}
