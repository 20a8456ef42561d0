"""The losses reach the U-Net: their gradients are there, are right, and vanish where a graph is cut."""

from __future__ import annotations

import weakref
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

import lpips
import pytest
import torch
from safetensors.torch import load_file
from torch.distributions import Normal, kl_divergence

from ablate.diffusion.schedule import ForwardProcess
from ablate.diffusion.unet import build_unet
from ablate.factors import kl
from ablate.factors import lpips as perceptual
from ablate.factors.mse import noise_mse
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.vae import VaePart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from tests.conftest import MakeConfig

PREDICTIONS = ("epsilon", "v_prediction")
UNETS = ("with cross-attention", "of the profile sprites")


class Step:
    """One training step with the kit's real VAE and LPIPS backbone on random latents and images."""

    def __init__(self, unet: Any, vae: Any, distance: Any, prediction: str, dtype: torch.dtype) -> None:
        self.unet, self.vae, self.distance = unet.to(dtype), vae.to(dtype), distance.to(dtype)
        self.process = ForwardProcess(1000, "scaled_linear", 0.00085, 0.012, prediction)
        generator = torch.Generator().manual_seed(0)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=dtype)

        self.x0, self.noise, self.states = normal(2, 4, 8, 8), normal(2, 4, 8, 8), normal(2, 5, 96)
        self.images = normal(2, 3, 32, 32).clamp(-1, 1)
        self.t = torch.tensor([100, 600])

    @property
    def weights(self) -> dict[str, Tensor]:
        return dict(self.unet.named_parameters())

    def prediction(self) -> Tensor:
        x_t = self.process.noised(self.x0, self.noise, self.t)
        output: Tensor = self.unet(x_t, self.t, encoder_hidden_states=self.states).sample
        return output

    def predicted_x0(self) -> Tensor:
        x_t = self.process.noised(self.x0, self.noise, self.t)
        return self.process.predicted_x0(self.prediction(), x_t, self.t)

    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return images

    def mse(self) -> Tensor:
        return noise_mse(self.prediction(), self.process.target(self.x0, self.noise, self.t)).mean()

    def lpips(
        self,
        *,
        decode: Callable[[Tensor], Tensor] | None = None,
        distance: Callable[[Tensor, Tensor], Tensor] | None = None,
        passed_on: Callable[[Tensor], Tensor] = lambda x0: x0,
        micro_batch: int | None = None,
    ) -> Tensor:
        """The LPIPS term; the arguments put something else in a part's place."""
        x0 = passed_on(self.predicted_x0())
        parts = decode or self.decode, distance or self.distance
        return perceptual.lpips(x0, self.images, *parts, micro_batch=micro_batch)

    def kl(self) -> Tensor:
        return kl.kl(self.predicted_x0(), self.x0)


class MakeStep(Protocol):
    def __call__(
        self, unet: str = UNETS[0], prediction: str = "epsilon", dtype: torch.dtype = torch.float32
    ) -> Step: ...


@pytest.fixture
def make_step(make_unet: Callable[[int], Any], make_config: MakeConfig) -> MakeStep:
    config = make_config()
    parts, channels = config.components, config.unet.latent_channels
    unets: dict[str, Callable[[], Any]] = {
        "with cross-attention": lambda: make_unet(0),
        "of the profile sprites": lambda: build_unet(
            config.unet.model_dump(exclude={"latent_channels"}), channels, 0
        ),
    }

    def make(unet: str = UNETS[0], prediction: str = "epsilon", dtype: torch.dtype = torch.float32) -> Step:
        return Step(
            unets[unet](),
            VaePart(parts.vae).load(),
            PerceptualPart(parts.perceptual).load(),
            prediction,
            dtype,
        )

    return make


@pytest.fixture
def step(make_step: MakeStep) -> Step:
    return make_step()


# ── the gradient reaches every weight ────────────────────────────────────────────────────────────


def gradients(loss: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of the weights that the loss reaches: those that are not all zero."""
    assert loss.requires_grad, "the loss hangs on no weight"
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    named = zip(weights, found, strict=True)
    return {name: gradient for name, gradient in named if gradient is not None and gradient.abs().sum() > 0}


def assert_gradient_reaches(names: Iterable[str], loss: Tensor, weights: Mapping[str, Tensor]) -> None:
    """Each weight in ``names`` has a gradient from the loss that is not all zero."""
    assert set(names) - set(gradients(loss, weights)) == set()


@pytest.mark.parametrize("loss", ["lpips", "kl"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("unet", UNETS)
def test_a_loss_alone_reaches_every_weight_that_the_noise_loss_reaches(
    make_step: MakeStep, unet: str, prediction: str, loss: str
) -> None:
    step = make_step(unet, prediction)
    by_mse = gradients(step.mse(), step.weights)
    assert set(by_mse) == set(step.weights)
    assert_gradient_reaches(by_mse, getattr(step, loss)(), step.weights)


CUTS: dict[str, Callable[[Step], Tensor]] = {
    "decoding without a graph": lambda step: step.lpips(decode=torch.no_grad()(step.decode)),
    "comparing without a graph": lambda step: step.lpips(distance=torch.no_grad()(step.distance)),
    "x̂0 detached": lambda step: step.lpips(passed_on=torch.Tensor.detach),
    # A graph is there, but nothing comes through it.
    "images rounded to bytes": lambda step: step.lpips(
        decode=lambda latents: (step.decode(latents) * 127.5).round() / 127.5
    ),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_planted_cut_in_the_way_of_the_gradient_is_found(step: Step, cut: Callable[[Step], Tensor]) -> None:
    names = set(step.weights)
    assert_gradient_reaches(names, step.lpips(), step.weights)
    with pytest.raises(AssertionError):
        assert_gradient_reaches(names, cut(step), step.weights)


def test_the_frozen_parts_get_no_gradient(step: Step) -> None:
    step.lpips().backward()
    assert all(weight.grad is not None for weight in step.weights.values())
    assert all(weight.grad is None for weight in (*step.vae.parameters(), *step.distance.parameters()))


# ── the gradient is the slope ────────────────────────────────────────────────────────────────────


def assert_gradient_is_the_slope(
    measure: Callable[[], Tensor], weights: Mapping[str, Tensor], direction: Mapping[str, Tensor]
) -> None:
    """Autograd's derivative along a direction is that of central differences within 1 %."""
    found = gradients(measure(), weights)
    along = sum(float((gradient * direction[name]).sum()) for name, gradient in found.items())
    # The path is short, for LPIPS has a kink wherever one of its backbone's ReLUs switches.
    h = 1e-5 / float(torch.stack([part.square().sum() for part in direction.values()]).sum().sqrt())

    @torch.no_grad()
    def moved(distance: float) -> float:
        for name, weight in weights.items():
            weight.add_(direction[name], alpha=distance)
        value = float(measure())
        for name, weight in weights.items():
            weight.sub_(direction[name], alpha=distance)
        return value

    assert (moved(h) - moved(-h)) / (2 * h) == pytest.approx(along, rel=0.01)


def random_direction(weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        for name, weight in weights.items()
    }


# In the sprites profile's U-Net diffusers takes a softmax in float32, too coarse for differences.
@pytest.mark.parametrize("loss", ["lpips", "lpips in micro-batches", "kl"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_gradient_is_the_slope_in_random_directions(
    make_step: MakeStep, prediction: str, loss: str
) -> None:
    step = make_step(prediction=prediction, dtype=torch.float64)
    measures = {
        "lpips": step.lpips,
        "lpips in micro-batches": partial(step.lpips, micro_batch=1),
        "kl": step.kl,
    }
    for seed in range(4):
        direction = random_direction(step.weights, seed)
        assert_gradient_is_the_slope(measures[loss], step.weights, direction)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(
    "name",
    ["conv_in.weight", "time_embedding.linear_1.bias", "mid_block.resnets.0.conv1.weight", "conv_out.bias"],
)
def test_the_gradient_of_lpips_by_a_single_number_is_its_slope(
    make_step: MakeStep, prediction: str, name: str
) -> None:
    step = make_step(prediction=prediction, dtype=torch.float64)
    gradient = gradients(step.lpips(), step.weights)[name]
    direction = {other: torch.zeros_like(weight) for other, weight in step.weights.items()}
    direction[name].view(-1)[gradient.abs().argmax()] = 1
    assert_gradient_is_the_slope(step.lpips, step.weights, direction)


SKEWS: dict[str, Callable[[Step], Tensor]] = {
    "half of the batch detached": lambda step: step.lpips(
        passed_on=lambda x0: torch.stack([x0[0], x0[1].detach()])
    ),
    "the gradient doubled": lambda step: step.lpips(passed_on=lambda x0: 2 * x0 - x0.detach()),
}


@pytest.mark.parametrize("skew", SKEWS.values(), ids=SKEWS)
def test_a_planted_error_that_leaves_a_gradient_on_every_weight_is_found(
    make_step: MakeStep, skew: Callable[[Step], Tensor]
) -> None:
    step = make_step(dtype=torch.float64)
    measure, direction = partial(skew, step), random_direction(step.weights, 0)
    assert_gradient_reaches(step.weights, measure(), step.weights)
    assert_gradient_is_the_slope(step.lpips, step.weights, direction)
    with pytest.raises(AssertionError):
        assert_gradient_is_the_slope(measure, step.weights, direction)


# ── what the losses are ──────────────────────────────────────────────────────────────────────────


# lpips 0.1.4 asks torchvision for its networks with the old argument.
@pytest.mark.filterwarnings("ignore::UserWarning:torchvision")
def test_lpips_is_what_the_lpips_package_says_with_the_same_weights(make_step: MakeStep) -> None:
    step = make_step(dtype=torch.float64)
    package = lpips.LPIPS(net="squeeze", lpips=False, pnet_rand=True, verbose=False).double()
    package.net.load_state_dict(load_file(EMBEDDED_KIT / "perceptual" / "model.safetensors"))
    with torch.no_grad():
        images, others = step.images, step.decode(step.x0).clamp(-1, 1)
        ours = perceptual.lpips(others, images, lambda latents: latents, step.distance)
        theirs = package((others + 1) / 2, (images + 1) / 2, normalize=True).mean()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)


def test_lpips_of_an_image_from_itself_is_zero(step: Step) -> None:
    images = step.decode(step.x0).detach()
    assert float(perceptual.lpips(step.x0, images, step.decode, step.distance)) == 0


def test_the_noise_loss_is_the_mean_square_in_fp32() -> None:
    a, b = torch.tensor([1.0, 2.0]).bfloat16(), torch.tensor([0.0, 4.0]).bfloat16()
    assert noise_mse(a, b).dtype == torch.float32
    assert float(noise_mse(a, b).mean()) == 2.5


def test_kl_is_zero_for_latents_of_equal_statistics() -> None:
    latents = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    shuffled = latents.flip(0).transpose(-1, -2)
    assert float(kl.kl(shuffled, latents)) == pytest.approx(0, abs=1e-6)


def test_kl_is_that_of_gaussians_with_the_channels_means_and_variances() -> None:
    generator = torch.Generator().manual_seed(0)
    p = 0.7 * torch.randn(4, 4, 8, 8, generator=generator, dtype=torch.float64) + 0.3
    q = 1.4 * torch.randn(4, 4, 8, 8, generator=generator, dtype=torch.float64)
    axes = (0, 2, 3)
    expected = kl_divergence(
        Normal(p.mean(axes), p.std(axes, unbiased=False)), Normal(q.mean(axes), q.std(axes, unbiased=False))
    ).mean()
    torch.testing.assert_close(kl.kl(p, q), expected, rtol=1e-4, atol=0)
    assert float(kl.kl(p, q)) > 0


def test_kl_of_a_posterior_is_that_of_its_gaussians_from_the_standard_normal() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(3, 4, 8, 8, generator=generator, dtype=torch.float64)
    std = torch.rand(3, 4, 8, 8, generator=generator, dtype=torch.float64) + 0.1
    expected = kl_divergence(Normal(mean, std), Normal(0, 1)).sum((1, 2, 3)).mean()
    torch.testing.assert_close(kl.posterior_kl(mean, std), expected)
    assert float(kl.posterior_kl(torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8))) == 0


# ── LPIPS of some of the images ──────────────────────────────────────────────────────────────────

ALL = 1000
"""A limit that no timestep reaches."""


class Lpips:
    """The kit's LPIPS on random latents and images of a batch of five, in float64."""

    def __init__(self, step: Step) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x0 = torch.randn(5, 4, 8, 8, generator=generator, dtype=torch.float64)
        self.images = torch.randn(5, 3, 32, 32, generator=generator, dtype=torch.float64).clamp(-1, 1)
        self.t = torch.tensor([900, 20, 400, 249, 250])
        self.parts = step.decode, step.distance

    def __call__(self, rows: Sequence[int] | Tensor, **arguments: int | None) -> tuple[Tensor, Tensor]:
        """The loss of the images in ``rows``, and its gradient by all latents."""
        x0 = self.x0.clone().requires_grad_()
        index = torch.as_tensor(rows, dtype=torch.long)
        value = perceptual.lpips(x0[index], self.images[index], *self.parts, **arguments)
        (gradient,) = torch.autograd.grad(value, x0)
        return value.detach(), gradient


@pytest.fixture
def measure(make_step: MakeStep) -> Lpips:
    return Lpips(make_step(dtype=torch.float64))


@pytest.mark.parametrize("images", [1, 2])
def test_the_mean_over_all_subsets_is_the_mean_over_the_batch(measure: Lpips, images: int) -> None:
    value, gradient = measure(range(5))
    values, gradients = zip(
        *(measure(rows, of=images) for rows in combinations(range(5), images)), strict=True
    )
    torch.testing.assert_close(torch.stack(values).mean(), value)
    torch.testing.assert_close(torch.stack(gradients).mean(0), gradient)


def test_every_subset_is_drawn_equally_often() -> None:
    t, draws = torch.zeros(5, dtype=torch.long), 4000
    drawn = [tuple(perceptual.lpips_rows(t, ALL, 2, 0, epoch, 7).tolist()) for epoch in range(draws)]
    for pair in combinations(range(5), 2):
        # 10 pairs: a share of 0.1 with a standard deviation of 0.0047.
        assert drawn.count(pair) / draws == pytest.approx(0.1, abs=0.02)
    assert len(set(drawn)) == 10


def test_a_subset_depends_on_its_address_alone() -> None:
    t = torch.zeros(64, dtype=torch.long)
    torch.manual_seed(1)
    first = perceptual.lpips_rows(t, ALL, 2, 0, 3, 7)
    torch.manual_seed(2)
    assert torch.equal(perceptual.lpips_rows(t, ALL, 2, 0, 3, 7), first)
    assert not torch.equal(perceptual.lpips_rows(t, ALL, 2, 0, 3, 8), first)


@pytest.mark.parametrize("images", [None, 5, 9])
def test_all_images_in_their_order_are_the_batch_itself(images: int | None) -> None:
    assert perceptual.lpips_rows(torch.zeros(5, dtype=torch.long), ALL, images, 0).tolist() == [0, 1, 2, 3, 4]


def test_images_at_late_timesteps_count_zero_in_the_mean(measure: Lpips) -> None:
    rows = perceptual.lpips_rows(measure.t, 250, None, 0)
    assert rows.tolist() == [1, 3]
    value, gradient = measure(rows, of=5)
    alone = [float(measure([row])[0]) for row in range(5)]
    assert float(value) == pytest.approx(fmean([0, alone[1], 0, alone[3], 0]))
    assert [bool(part.any()) for part in gradient] == [False, True, False, True, False]


def test_of_a_subset_those_at_late_timesteps_count_zero_too(measure: Lpips) -> None:
    whole, _ = measure(perceptual.lpips_rows(measure.t, 250, None, 0), of=5)
    clean = {1, 3}
    values = [measure([row for row in rows if row in clean], of=2)[0] for rows in combinations(range(5), 2)]
    torch.testing.assert_close(torch.stack(values).mean(), whole)
    drawn = [set(perceptual.lpips_rows(measure.t, 250, 2, epoch).tolist()) for epoch in range(50)]
    assert {frozenset(rows) for rows in drawn} == {
        frozenset(),
        frozenset({1}),
        frozenset({3}),
        frozenset(clean),
    }


def test_no_image_left_is_a_zero_that_stops_no_step(step: Step) -> None:
    rows = torch.empty(0, dtype=torch.long)
    x0 = step.predicted_x0()
    nothing = perceptual.lpips(x0[rows], step.images[rows], step.decode, step.distance, of=2)
    assert float(nothing.detach()) == 0
    (nothing + step.mse()).backward()
    found = {name: weight.grad for name, weight in step.weights.items()}
    by_mse = gradients(step.mse(), step.weights)
    assert all(torch.equal(found[name], by_mse[name]) for name in step.weights)


# ── LPIPS in micro-batches ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5, 8])
def test_micro_batches_have_the_value_and_the_gradient_of_the_whole(measure: Lpips, micro_batch: int) -> None:
    torch.testing.assert_close(measure(range(5), micro_batch=micro_batch), measure(range(5)))
    torch.testing.assert_close(measure([1, 3, 4], of=5, micro_batch=micro_batch), measure([1, 3, 4], of=5))


def test_weights_get_the_same_gradient_through_micro_batches(make_step: MakeStep) -> None:
    step = make_step(dtype=torch.float64)
    whole = gradients(step.mse() + 0.1 * step.lpips(), step.weights)
    parts = gradients(step.mse() + 0.1 * step.lpips(micro_batch=1), step.weights)
    torch.testing.assert_close(parts, whole)


def test_micro_batches_without_a_graph_keep_the_value(measure: Lpips) -> None:
    with torch.no_grad():
        value = perceptual.lpips(measure.x0, measure.images, *measure.parts, micro_batch=2)
    assert not value.requires_grad
    torch.testing.assert_close(value, measure(range(5))[0])


def kept_for_the_backward_pass(run: Callable[[], Tensor]) -> int:
    """Bytes that autograd holds at most while ``run`` computes a loss."""
    held, most = 0, 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal held, most
            self.tensor = tensor
            held += tensor.nbytes
            most = max(most, held)
            weakref.finalize(self, release, tensor.nbytes)

    def release(size: int) -> None:
        nonlocal held
        held -= size

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        run()
    return most


def test_the_memory_of_micro_batches_does_not_grow_with_the_images(measure: Lpips) -> None:
    def bytes_of(images: int, micro_batch: int | None) -> int:
        def run() -> Tensor:
            x0 = measure.x0[:images].clone().requires_grad_()
            return perceptual.lpips(x0, measure.images[:images], *measure.parts, micro_batch=micro_batch)

        return kept_for_the_backward_pass(run)

    assert bytes_of(4, None) > 2 * bytes_of(1, None)  # the frozen weights are among them
    assert bytes_of(4, 1) < 1.1 * bytes_of(1, None)
