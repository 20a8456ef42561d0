"""The losses reach the U-Net: their gradients are there, are right, and vanish where a graph is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ablate.components import load_perceptual, load_vae
from ablate.diffusion import losses
from ablate.diffusion.schedule import ForwardProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import MakeConfig

PROCESS = ForwardProcess(1000, "scaled_linear", 0.00085, 0.012, "epsilon")


class Step:
    """One training step with the kit's real VAE and LPIPS backbone on random latents and images."""

    def __init__(self, unet: Any, vae: Any, distance: Any, dtype: torch.dtype) -> None:
        self.unet, self.vae, self.distance = unet.to(dtype), vae.to(dtype), distance.to(dtype)
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(shape, generator=generator, dtype=dtype)

        self.x0, self.noise, self.states = normal(2, 4, 8, 8), normal(2, 4, 8, 8), normal(2, 5, 96)
        self.images = normal(2, 3, 32, 32).clamp(-1, 1)
        self.t = torch.tensor([100, 600])

    def prediction(self) -> torch.Tensor:
        x_t = PROCESS.noised(self.x0, self.noise, self.t)
        output: torch.Tensor = self.unet(x_t, self.t, encoder_hidden_states=self.states).sample
        return output

    def predicted_x0(self) -> torch.Tensor:
        return PROCESS.predicted_x0(self.prediction(), PROCESS.noised(self.x0, self.noise, self.t), self.t)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        images: torch.Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images

    def mse(self) -> torch.Tensor:
        return losses.noise_mse(self.prediction(), self.noise)

    def lpips(self, decode: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        return losses.lpips(self.predicted_x0(), self.images, decode or self.decode, self.distance)

    def kl(self) -> torch.Tensor:
        return losses.kl(self.predicted_x0(), self.x0)

    def gradients(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        self.unet.zero_grad()
        loss.backward()
        named = self.unet.named_parameters()
        return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


@pytest.fixture
def make_step(unet: Any, make_config: MakeConfig) -> Callable[[torch.dtype], Step]:
    parts = make_config().components
    return lambda dtype: Step(unet, load_vae(parts.vae), load_perceptual(parts.perceptual), dtype)


@pytest.fixture
def step(make_step: Callable[[torch.dtype], Step]) -> Step:
    return make_step(torch.float32)


def reached(gradients: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, gradient in gradients.items() if gradient.abs().sum() > 0}


@pytest.mark.parametrize("loss", ["lpips", "kl"])
def test_every_weight_that_the_noise_loss_reaches_is_reached(step: Step, loss: str) -> None:
    by_mse = reached(step.gradients(step.mse()))
    assert len(by_mse) > 50
    assert reached(step.gradients(getattr(step, loss)())) == by_mse


@pytest.mark.parametrize("loss", ["lpips", "kl"])
def test_the_gradient_is_the_slope_that_finite_differences_measure(
    make_step: Callable[[torch.dtype], Step], loss: str
) -> None:
    step = make_step(torch.float64)
    measure = getattr(step, loss)
    gradients = step.gradients(measure())
    generator = torch.Generator().manual_seed(1)
    weights = dict(step.unet.named_parameters())
    direction = {
        name: torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for name, weight in weights.items()
    }

    @torch.no_grad()
    def shift(distance: float) -> None:
        for name, weight in weights.items():
            weight.add_(direction[name], alpha=distance)

    def moved(distance: float) -> float:
        shift(distance)
        value: float = measure().item()
        shift(-distance)
        return value

    h = 1e-6
    slope = (moved(h) - moved(-h)) / (2 * h)
    expected = sum(float((gradients[name] * direction[name]).sum()) for name in gradients)
    assert slope == pytest.approx(expected, rel=0.01)


def test_decoding_without_a_graph_leaves_lpips_without_any_gradient(step: Step) -> None:
    loss = step.lpips(decode=torch.no_grad()(step.decode))
    assert float(loss) > 0
    assert not loss.requires_grad


def test_the_frozen_parts_get_no_gradient(step: Step) -> None:
    step.gradients(step.lpips())
    assert all(weight.grad is None for weight in (*step.vae.parameters(), *step.distance.parameters()))


def test_lpips_of_an_image_from_itself_is_zero(step: Step) -> None:
    images = step.decode(step.x0).detach()
    assert float(losses.lpips(step.x0, images, step.decode, step.distance)) == 0


def test_the_noise_loss_is_the_mean_square_in_fp32() -> None:
    a, b = torch.tensor([1.0, 2.0]).bfloat16(), torch.tensor([0.0, 4.0]).bfloat16()
    assert losses.noise_mse(a, b).dtype == torch.float32
    assert float(losses.noise_mse(a, b)) == 2.5


def test_kl_is_zero_for_latents_of_equal_statistics() -> None:
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    shuffled = latents.flip(0).transpose(-1, -2)
    assert float(losses.kl(shuffled, latents)) == pytest.approx(0, abs=1e-6)


def test_kl_is_that_of_gaussians_with_the_channels_means_and_variances() -> None:
    generator = torch.Generator().manual_seed(0)
    p = 0.7 * torch.randn(4, 4, 8, 8, generator=generator, dtype=torch.float64) + 0.3
    q = 1.4 * torch.randn(4, 4, 8, 8, generator=generator, dtype=torch.float64)
    axes = (0, 2, 3)
    expected = kl_divergence(
        Normal(p.mean(axes), p.std(axes, unbiased=False)), Normal(q.mean(axes), q.std(axes, unbiased=False))
    ).mean()
    torch.testing.assert_close(losses.kl(p, q), expected, rtol=1e-4, atol=0)
    assert float(losses.kl(p, q)) > 0
