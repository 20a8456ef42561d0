"""The contract of every scheduler: an image is finite, repeatable, and its own whatever its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pytest
import torch

from ablate.diffusion.randomness import generator
from ablate.diffusion.samplers import build_scheduler, sample_latents
from ablate.errors import MeaninglessError, UserError
from ablate.experiment.schedulers import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NOISE = {
    "timesteps": 1000,
    "schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction": "epsilon",
}
NAMES = ("a.png", "b.png", "c.png")
STEPS = 4


def draw(
    unet: Any,
    scheduler: str,
    names: tuple[str, ...] = NAMES,
    guidance: float = 3.0,
    empty: float = 0.0,
    steps: int = STEPS,
    **options: Any,
) -> tuple[torch.Tensor, int]:
    """Latents of images that differ in name and text."""
    states = torch.stack([torch.randn(5, 96, generator=generator(name, "text")) for name in names])
    return sample_latents(
        unet.eval(),
        build_scheduler(scheduler, NOISE, options),
        states,
        torch.full((1, 5, 96), empty),
        steps=steps,
        guidance=guidance,
        shape=(4, 8, 8),
        generators=[generator(0, name, "sample") for name in names],
    )


class Drawn(NamedTuple):
    """What one scheduler drew of all the names."""

    scheduler: str
    latents: torch.Tensor
    evaluations: int


@pytest.fixture(scope="module")
def unet(make_unet: Callable[[int], Any]) -> Any:
    return make_unet(0)


@pytest.fixture(scope="module", params=get_args(Scheduler))
def drawn(unet: Any, request: pytest.FixtureRequest) -> Drawn:
    return Drawn(request.param, *draw(unet, request.param))


def test_latents_are_finite_and_of_the_asked_shape(drawn: Drawn) -> None:
    assert drawn.latents.shape == (3, 4, 8, 8)
    assert bool(drawn.latents.isfinite().all())
    assert drawn.evaluations >= STEPS


def test_the_same_names_draw_the_same_images_whatever_was_drawn_before(unet: Any, drawn: Drawn) -> None:
    torch.manual_seed(len(drawn.scheduler))
    assert torch.equal(draw(unet, drawn.scheduler)[0], drawn.latents)


def test_an_image_is_the_same_alone_and_in_a_batch(unet: Any, drawn: Drawn) -> None:
    alone, _ = draw(unet, drawn.scheduler, NAMES[1:2])
    torch.testing.assert_close(alone[0], drawn.latents[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scheduler", get_args(Scheduler))
def test_an_unknown_option_is_refused(scheduler: str) -> None:
    with pytest.raises(UserError, match="no option 'no_such_option'"):
        build_scheduler(scheduler, NOISE, {"no_such_option": True})


@pytest.mark.parametrize(
    ("scheduler", "evaluations"),
    [("DDPMScheduler", 4), ("HeunDiscreteScheduler", 7), ("PNDMScheduler", 13)],
)
def test_evaluations_of_the_unet_are_counted_not_steps(unet: Any, scheduler: str, evaluations: int) -> None:
    assert draw(unet, scheduler, guidance=1.0)[1] == evaluations


def test_guidance_evaluates_the_unet_twice_a_step(unet: Any) -> None:
    assert draw(unet, "DDIMScheduler", guidance=3.0)[1] == 2 * draw(unet, "DDIMScheduler", guidance=1.0)[1]


def test_guidance_1_is_the_conditional_prediction_alone(unet: Any) -> None:
    one, other = (draw(unet, "DDIMScheduler", guidance=1.0, empty=value)[0] for value in (0.0, 5.0))
    assert torch.equal(one, other)
    guided = draw(unet, "DDIMScheduler", guidance=1.0 + 1e-6)[0]
    torch.testing.assert_close(guided, one, atol=1e-4, rtol=1e-4)


class OnePlace:
    """A U-Net that puts each result where the one before lay, as a CUDA graph does."""

    def __init__(self, unet: Any) -> None:
        self.unet = unet
        self.place = torch.empty(0)

    def eval(self) -> OnePlace:
        return self

    def __call__(self, *inputs: torch.Tensor, **others: torch.Tensor) -> Any:
        result = self.unet(*inputs, **others)
        self.place = self.place.resize_(result.sample.shape).copy_(result.sample)
        result.sample = self.place
        return result


def test_an_image_does_not_depend_on_where_the_unet_puts_its_results(unet: Any) -> None:
    # PNDM keeps results as they come. Its last step changes nothing, and it uses what it kept after 12 calls.
    drawn = draw(OnePlace(unet), "PNDMScheduler", guidance=1.0, steps=6)[0]
    assert torch.equal(drawn, draw(unet, "PNDMScheduler", guidance=1.0, steps=6)[0])


def test_more_guidance_moves_the_image(unet: Any) -> None:
    assert not torch.equal(draw(unet, "DDIMScheduler", guidance=8.0)[0], draw(unet, "DDIMScheduler")[0])


def test_an_option_reaches_the_scheduler() -> None:
    scheduler = build_scheduler("DPMSolverMultistepScheduler", NOISE, {"solver_order": 3})
    assert scheduler.config.solver_order == 3
    assert scheduler.config.beta_schedule == "scaled_linear"
    assert scheduler.config.beta_end == 0.012


@pytest.mark.parametrize(
    ("scheduler", "options", "complaint"),
    [
        ("NoSuchScheduler", {}, "no scheduler"),
        ("FlowMatchEulerDiscreteScheduler", {}, "does not sample a discrete noise schedule"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "nonsense"}, "cannot be made"),
    ],
)
def test_what_cannot_be_made_is_the_users_error(
    scheduler: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        build_scheduler(scheduler, NOISE, options)


@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler"])
def test_predicted_latents_are_not_clipped_as_pixels_unless_asked_for(name: str) -> None:
    noise = {
        "timesteps": 1000,
        "schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "prediction": "v_prediction",
    }
    assert build_scheduler(name, noise, {}).config.clip_sample is False
    assert build_scheduler(name, noise, {"clip_sample": True}).config.clip_sample is True


class Broken:
    """A U-Net that predicts ``value`` for the second of three images, from call number ``after`` on."""

    def __init__(self, unet: Any, value: float, after: int = 0) -> None:
        self.unet, self.value, self.left = unet, value, after

    def eval(self) -> Broken:
        return self

    def __call__(self, *inputs: torch.Tensor, **others: torch.Tensor) -> Any:
        result = self.unet(*inputs, **others)
        self.left -= 1
        if self.left < 0:
            result.sample[1] = self.value
        return result


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "DPMSolverMultistepScheduler"])
def test_a_prediction_that_is_no_number_is_refused_with_its_step(
    unet: Any, scheduler: str, value: float
) -> None:
    with pytest.raises(MeaninglessError, match="the prediction for 1 of 3 images is not a number") as error:
        draw(Broken(unet, value, after=2), scheduler, guidance=1.0)
    assert "step 3 of 4" in error.value.where


def test_infinity_that_clipping_hides_is_refused(unet: Any) -> None:
    with pytest.raises(MeaninglessError, match="step 1 of 4"):
        draw(Broken(unet, float("inf")), "DDIMScheduler", guidance=1.0, clip_sample=True)


def test_a_scheduler_whose_arithmetic_breaks_is_named(unet: Any) -> None:
    options = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(MeaninglessError, match="DDIMScheduler turns 3 of 3 images into something"):
        draw(unet, "DDIMScheduler", **options)
