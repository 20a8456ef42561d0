"""The forward process agrees with diffusers and with the formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.diffusion.schedule import ForwardProcess

LINEAR = {"timesteps": 1000, "schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
SCALED = {"timesteps": 1000, "schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
PREDICTIONS = ("epsilon", "v_prediction")


def reference(noise: dict[str, Any], prediction: str) -> Any:
    return DDPMScheduler(
        num_train_timesteps=noise["timesteps"],
        beta_schedule=noise["schedule"],
        beta_start=noise["beta_start"],
        beta_end=noise["beta_end"],
        prediction_type=prediction,
        clip_sample=False,
    )


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 4, 8, 8, generator=generator)


@settings(max_examples=50, deadline=None)
@given(
    noise=st.sampled_from([LINEAR, SCALED]),
    prediction=st.sampled_from(PREDICTIONS),
    t=st.lists(st.integers(0, 999), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_a_perfect_prediction_gives_the_clean_latents_back(
    noise: dict[str, Any], prediction: str, t: list[int], seed: int
) -> None:
    process = ForwardProcess(**noise, prediction=prediction)
    (x0, epsilon), steps = batch(seed), torch.tensor(t)
    x_t = process.noised(x0, epsilon, steps)
    restored = process.predicted_x0(process.target(x0, epsilon, steps), x_t, steps)
    torch.testing.assert_close(restored, x0, atol=1e-3, rtol=0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("noise", [LINEAR, SCALED], ids=["linear", "scaled_linear"])
def test_noising_and_targets_are_those_of_diffusers(noise: dict[str, Any], prediction: str) -> None:
    process, theirs = ForwardProcess(**noise, prediction=prediction), reference(noise, prediction)
    (x0, epsilon), t = batch(0), torch.tensor([3, 970])
    torch.testing.assert_close(process.noised(x0, epsilon, t), theirs.add_noise(x0, epsilon, t))
    expected = theirs.get_velocity(x0, epsilon, t) if prediction == "v_prediction" else epsilon
    torch.testing.assert_close(process.target(x0, epsilon, t), expected)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_predicted_clean_latents_are_those_of_diffusers_own_step(prediction: str) -> None:
    process, theirs = ForwardProcess(**SCALED, prediction=prediction), reference(SCALED, prediction)
    x_t, output = batch(0)
    expected = theirs.step(output, 400, x_t).pred_original_sample
    torch.testing.assert_close(process.predicted_x0(output, x_t, torch.tensor([400, 400])), expected)


@pytest.mark.parametrize(
    ("noise", "betas"),
    [
        (LINEAR, np.linspace(1e-4, 0.02, 1000)),
        (SCALED, np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2),
    ],
    ids=["linear", "scaled_linear"],
)
def test_the_table_is_the_product_of_one_minus_beta(noise: dict[str, Any], betas: Any) -> None:
    table = ForwardProcess(**noise, prediction="epsilon").alpha_bar
    np.testing.assert_allclose(table, np.cumprod(1 - betas), rtol=1e-4)


def test_the_two_published_schedules_differ_as_much_as_measured() -> None:
    at_500 = [float(ForwardProcess(**n, prediction="epsilon").alpha_bar[500]) for n in (LINEAR, SCALED)]
    assert [round(value, 3) for value in at_500] == [0.078, 0.276]


def test_the_predicted_latents_have_a_gradient_on_the_prediction() -> None:
    process = ForwardProcess(**SCALED, prediction="epsilon")
    x_t, prediction = batch(0)
    prediction.requires_grad_()
    process.predicted_x0(prediction, x_t, torch.tensor([10, 900])).sum().backward()
    assert prediction.grad is not None and bool((prediction.grad != 0).all())


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_prediction_that_is_the_target_gives_back_the_noise(prediction: str) -> None:
    process = ForwardProcess(**SCALED, prediction=prediction)
    (x0, epsilon), t = batch(0), torch.tensor([3, 700])
    target, x_t = process.target(x0, epsilon, t), process.noised(x0, epsilon, t)
    torch.testing.assert_close(process.predicted_noise(target, x_t, t), epsilon, atol=1e-5, rtol=0)
