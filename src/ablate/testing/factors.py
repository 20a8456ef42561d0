"""Contracts of losses, weightings, augmentations and observers."""

from __future__ import annotations

import json
import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from ablate import fingerprint
from ablate.diffusion.schedule import ForwardProcess
from ablate.factors.base import Step
from ablate.parts import PARTS
from ablate.records import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from ablate.factors.augmentation import Augmentation
    from ablate.factors.base import Factor, Loss
    from ablate.factors.observer import Observer
    from ablate.factors.weighting import Weighting

IMAGES, SIZE = 4, 8
TIMESTEPS = 1000
PREDICTIONS = ("epsilon", "v_prediction")


class Frozen:
    """Stand-ins for the frozen parts, that need no files: images are the first channels of latents, and a
    part is a distance between two batches."""

    def part(self, name: str) -> Any:
        """[B, 3, h, w] twice → [B, 1, 1, 1]."""
        return lambda ours, theirs: (ours - theirs).square().mean((1, 2, 3), keepdim=True)

    @property
    def vae(self) -> Any:
        """Only what its configuration says."""
        return _Vae

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, h, w] → [B, 3, h, w]."""
        return latents[:, :3]


class _Vae:
    class config:  # noqa: N801 (diffusers' name)
        scaling_factor = 1.0


def process(prediction: str = "epsilon") -> ForwardProcess:
    """The noise schedule of the contracts."""
    return ForwardProcess(TIMESTEPS, "scaled_linear", 1e-3, 0.012, prediction)


def step_for(loss: Loss, prediction: str) -> Step:
    """A training step of four small latents, with what ``loss`` asks for; the prediction has a gradient."""
    draw = torch.Generator().manual_seed(0)
    x0, noise, predicted = (torch.randn((IMAGES, 4, SIZE, SIZE), generator=draw) for _ in range(3))
    t, forward = torch.tensor([10, 200, 500, 900]), process(prediction)
    rows = loss.compared(t, TIMESTEPS, 0, 0, 0)
    compared = {} if rows is None else {loss.name: rows}
    return Step(
        forward,
        x0,
        noise,
        t,
        forward.noised(x0, noise, t),
        predicted.requires_grad_(),
        x0,
        torch.ones_like(x0),
        compared=compared,
        images={name: x0[some, :3] for name, some in compared.items()},
    )


@contextmanager
def _no_global_randomness() -> Iterator[None]:
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before), (
        "it draws from torch's global generator: use ablate.diffusion.randomness with the address"
    )


class _FactorContract:
    """What all factors promise."""

    @staticmethod
    def check(factor: Factor) -> None:
        """Plain data, honest names, and a class that other processes can be sent."""
        kind = type(factor)
        contribution = factor.contribution()
        assert json.loads(json.dumps(contribution)) == contribution, "its fields must be plain data"
        assert "start" not in contribution, "when it begins is not part of what it does"
        assert kind.title and kind.enters in LAYERS, f"enters must be one of {LAYERS}"
        assert set(kind.parts) <= set(PARTS), f"parts must be among {tuple(PARTS)}"
        assert set(kind.reasons) <= set(LAYERS), f"reasons are by layer: {LAYERS}"
        assert fingerprint.of_class(kind), "its source must be found, for the keys"
        assert kind.model_validate_json(factor.model_dump_json()) == factor, "its fields must say all of it"
        pickle.dumps(factor)  # a worker is sent its class by name: raises if that leads elsewhere
        assert factor.first_epoch(10) >= 0


class LossContract(_FactorContract):
    """For a fixture ``loss``: an object of the class."""

    def test_it_is_plain_data_with_a_name(self, loss: Loss) -> None:
        self.check(loss)
        assert loss.label.strip(), "curves need a label"
        assert loss.weight > 0

    def test_it_is_finite_in_fp32_and_a_scalar_or_one_a_row(self, loss: Loss) -> None:
        for prediction in PREDICTIONS:
            step = step_for(loss, prediction)
            value = loss.loss(step, Frozen())
            assert value.dtype == torch.float32
            assert value.ndim == 0 or len(value) == IMAGES, "a loss is [B, …], or a scalar"
            assert value.ndim or not loss.weighted, "a loss that is weighted is [B, …]"
            assert bool(value.isfinite().all())

    def test_its_gradient_reaches_the_prediction(self, loss: Loss) -> None:
        for prediction in PREDICTIONS:
            step = step_for(loss, prediction)
            (gradient,) = torch.autograd.grad(loss.loss(step, Frozen()).mean(), [step.prediction])
            assert bool(gradient.isfinite().all())
            assert float(gradient.abs().sum()) > 0, "no gradient reaches the U-Net: it would do nothing"

    def test_the_same_step_gives_the_same_and_nothing_is_drawn_globally(self, loss: Loss) -> None:
        step = step_for(loss, "epsilon")
        kept = step.prediction.detach().clone()
        with _no_global_randomness():
            first, second = (loss.loss(step, Frozen()).detach() for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(step.prediction, kept), "it changes what it is given"

    def test_it_says_whether_it_looks_at_images(self, loss: Loss) -> None:
        rows = loss.compared(torch.tensor([10, 200, 500, 900]), TIMESTEPS, 0, 0, 0)
        assert (rows is not None) == loss.looks_at_images


class WeightingContract(_FactorContract):
    """For a fixture ``weighting``: an object of the class."""

    def test_it_is_plain_data_with_a_name(self, weighting: Weighting) -> None:
        self.check(weighting)

    def test_each_timestep_has_a_finite_weight_of_zero_or_more(self, weighting: Weighting) -> None:
        for prediction in PREDICTIONS:
            t = torch.arange(TIMESTEPS)
            weights = weighting.weights(t, process(prediction))
            assert weights.shape == t.shape
            assert bool(weights.isfinite().all()) and bool((weights >= 0).all())
            assert float(weights.sum()) > 0

    def test_a_weight_depends_on_its_timestep_alone(self, weighting: Weighting) -> None:
        t = torch.tensor([900, 10, 500])
        with _no_global_randomness():
            together = weighting.weights(t, process())
            alone = torch.cat([weighting.weights(one[None], process()) for one in t])
        torch.testing.assert_close(together, alone)


class AugmentationContract(_FactorContract):
    """For a fixture ``augmentation``: an object of the class."""

    def images(self, count: int = 16) -> Tensor:
        """[count, 3, 16, 16] in [−1, 1]."""
        return 2 * torch.rand((count, 3, 16, 16), generator=torch.Generator().manual_seed(0)) - 1

    def test_it_is_plain_data_with_a_name(self, augmentation: Augmentation) -> None:
        self.check(augmentation)

    def test_images_stay_images_of_the_same_size(self, augmentation: Augmentation) -> None:
        images = self.images()
        kept = images.clone()
        augmented = augmentation.apply(images, 0, 0, 0)
        assert augmented.shape == images.shape and augmented.dtype == images.dtype
        assert bool(augmented.isfinite().all())
        assert float(augmented.min()) >= -1 and float(augmented.max()) <= 1
        assert torch.equal(images, kept), "it changes what it is given"

    def test_the_same_address_draws_the_same_and_nothing_is_drawn_globally(
        self, augmentation: Augmentation
    ) -> None:
        images = self.images()
        with _no_global_randomness():
            first, second = (augmentation.apply(images, 3, 1, 4) for _ in range(2))
        assert torch.equal(first, second)

    def test_some_address_changes_the_images(self, augmentation: Augmentation) -> None:
        images = self.images()
        assert augmentation.kind == "none" or any(
            not torch.equal(augmentation.apply(images, 0, 0, number), images) for number in range(8)
        )

    def test_a_form_of_one_image_is_one_image(self, augmentation: Augmentation) -> None:
        forms = [augmentation.form(self.images(1), number, 7) for number in range(3)]
        assert all(form.shape == (1, 3, 16, 16) for form in forms)
        assert torch.equal(forms[1], augmentation.form(self.images(1), 1, 7))


class ObserverContract(_FactorContract):
    """For a fixture ``observer``: an object of the class."""

    def weights(self, number: int = 0) -> dict[str, Tensor]:
        """Parameters of a small network after ``number`` steps."""
        draw = torch.Generator().manual_seed(number)
        return {name: torch.randn((3, 2), generator=draw).requires_grad_() for name in ("a", "b")}

    def begun(self, observer: Observer) -> dict[str, Tensor]:
        """The state after it has seen the first weights."""
        return observer.begin(self.weights(1), lambda: self.weights(0))

    def test_it_is_plain_data_with_a_name(self, observer: Observer) -> None:
        self.check(observer)
        resolved = observer.resolved(10)
        assert resolved is None or hash(resolved) == hash(resolved.model_copy())

    def test_its_state_is_tensors_that_the_training_does_not_move(self, observer: Observer) -> None:
        weights = self.weights(1)
        state = observer.begin(weights, lambda: self.weights(0))
        kept = {name: tensor.clone() for name, tensor in state.items()}
        with torch.no_grad():
            for weight in weights.values():
                weight.add_(1)
        assert state and all(torch.equal(state[name], kept[name]) for name in kept)
        assert not any(tensor.requires_grad for tensor in state.values())

    def test_an_update_moves_the_state_and_leaves_the_weights_alone(self, observer: Observer) -> None:
        state, weights = self.begun(observer), self.weights(2)
        before = {name: tensor.clone() for name, tensor in state.items()}
        kept = {name: weight.detach().clone() for name, weight in weights.items()}
        with _no_global_randomness():
            observer.update(state, weights)
        assert state.keys() == before.keys(), "tensors are neither added nor taken away"
        assert any(not torch.equal(state[name], before[name]) for name in before)
        assert all(torch.equal(weights[name], kept[name]) and weights[name].grad is None for name in kept)

    def test_what_is_sampled_has_the_network_s_names_and_shapes(self, observer: Observer) -> None:
        state = self.begun(observer)
        observer.update(state, self.weights(2))
        sampled, weights = observer.sampled(state), self.weights()
        assert sampled.keys() == weights.keys()
        assert all(sampled[name].shape == weights[name].shape for name in weights)
        assert all(bool(sampled[name].isfinite().all()) for name in weights)

    def test_a_stored_state_goes_on_as_if_it_had_never_been_stored(self, observer: Observer) -> None:
        straight, resumed = self.begun(observer), self.begun(observer)
        for number in (2, 3):
            observer.update(straight, self.weights(number))
        observer.update(resumed, self.weights(2))
        resumed = {name: tensor.clone() for name, tensor in resumed.items()}
        observer.update(resumed, self.weights(3))
        assert all(torch.equal(straight[name], resumed[name]) for name in straight)
