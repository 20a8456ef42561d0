"""The forward process q(x_t | x_0) and what a prediction says about x_0 (Ho et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusers import DDPMScheduler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ForwardProcess:
    """x_t = √ᾱ_t·x_0 + √(1−ᾱ_t)·ε, with diffusers' own table of ᾱ."""

    def __init__(
        self, timesteps: int, schedule: str, beta_start: float, beta_end: float, prediction: str
    ) -> None:
        self.timesteps = timesteps
        self.prediction = prediction
        reference = DDPMScheduler(
            num_train_timesteps=timesteps,
            beta_schedule=schedule,
            beta_start=beta_start,
            beta_end=beta_end,
            prediction_type=prediction,
        )
        self.alpha_bar: Tensor = reference.alphas_cumprod

    def to(self, device: torch.device) -> ForwardProcess:
        """Moves the table of ᾱ to ``device``; returns self."""
        self.alpha_bar = self.alpha_bar.to(device)
        return self

    def _roots(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha_bar = self.alpha_bar[t].view(-1, 1, 1, 1)
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()

    def noised(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t for latents ``x0`` [B, C, H, W], noise of the same shape and timesteps ``t`` [B]."""
        signal, sigma = self._roots(t)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the U-Net should predict: ε, or v = √ᾱ·ε − √(1−ᾱ)·x_0 (Salimans & Ho 2022)."""
        if self.prediction == "epsilon":
            return noise
        signal, sigma = self._roots(t)
        return signal * noise - sigma * x0

    def predicted_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """x̂_0 = (x_t − √(1−ᾱ)·ε̂)/√ᾱ, or √ᾱ·x_t − √(1−ᾱ)·v̂. Differentiable in ``prediction``."""
        signal, sigma = self._roots(t)
        if self.prediction == "epsilon":
            return (x_t - sigma * prediction) / signal
        return signal * x_t - sigma * prediction

    def predicted_noise(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """ε̂: the prediction itself, or √ᾱ·v̂ + √(1−ᾱ)·x_t. Differentiable in ``prediction``."""
        if self.prediction == "epsilon":
            return prediction
        signal, sigma = self._roots(t)
        return signal * prediction + sigma * x_t
