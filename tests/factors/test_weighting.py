"""Min-SNR weighs as diffusers' examples do, and only the losses that are weighted."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from ablate.diffusion.schedule import ForwardProcess
from ablate.factors.min_snr import MinSnr
from ablate.stages.step import weighted


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_it_agrees_with_diffusers_snr_within_1e_5(prediction: str, gamma: float) -> None:
    process = ForwardProcess(1000, "scaled_linear", 0.00085, 0.012, prediction)
    t = torch.arange(1000)
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    snr = compute_snr(scheduler, t)
    divisor = snr if prediction == "epsilon" else snr + 1
    theirs = torch.stack([snr, gamma * torch.ones_like(snr)], 1).min(1).values / divisor
    torch.testing.assert_close(MinSnr(gamma=gamma).weights(t, process), theirs, rtol=1e-5, atol=0)


def test_a_gamma_that_no_timestep_reaches_leaves_a_predicted_noise_alone() -> None:
    process = ForwardProcess(1000, "linear", 1e-4, 0.02, "epsilon")
    weights = MinSnr(gamma=1e9).weights(torch.arange(1000), process)
    torch.testing.assert_close(weights, torch.ones(1000))


def test_every_row_of_a_loss_is_multiplied_by_its_own_weight() -> None:
    loss = torch.ones(3, 4, 2, 2)
    found = weighted(loss, torch.tensor([0.0, 1.0, 2.0]))
    assert found.mean((1, 2, 3)).tolist() == [0, 1, 2]
