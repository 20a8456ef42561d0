"""The U-Net by configuration, with initial weights that depend on the seed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers import UNet2DConditionModel

from ablate.diffusion.randomness import generator

if TYPE_CHECKING:
    from collections.abc import Mapping


def build_unet(arguments: Mapping[str, Any], latent_channels: int, seed: int) -> UNet2DConditionModel:
    """A diffusers ``UNet2DConditionModel``, initialized from ``seed`` whatever was drawn before.

    Initialization draws from torch's global generator, which is put back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, "initial weights").initial_seed())
        return UNet2DConditionModel(in_channels=latent_channels, out_channels=latent_channels, **arguments)
