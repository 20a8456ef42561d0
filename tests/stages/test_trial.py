"""What would fail after the training is tried before it: with real schedulers and parts, in no time."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from ablate.errors import ComponentError
from ablate.experiment.config import config_model
from ablate.experiment.schedulers import Scheduler
from ablate.parts.base import EMBEDDED_KIT
from ablate.plugins import Plugin
from ablate.stages.trial import conditioning, decoding, measuring, sampling, try_out
from ablate.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.stages.trial import Trouble
    from tests.conftest import MakeConfig

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CPU = torch.device("cpu")
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


@pytest.fixture
def found(make_config: MakeConfig) -> Callable[..., list[Trouble]]:
    """What the trial of sampling finds in a way to draw."""
    return lambda noise=None, **sample: list(
        sampling(make_config({"sample": sample, "noise": noise or {}}), CPU)
    )


@pytest.mark.parametrize("scheduler", get_args(Scheduler))
def test_every_scheduler_that_can_draw_is_let_through(
    found: Callable[..., list[Trouble]], scheduler: str
) -> None:
    assert found(scheduler=scheduler, steps=12) == []


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_no_noise_schedule_is_a_false_alarm(
    found: Callable[..., list[Trouble]], schedule: str, prediction: str
) -> None:
    noise = {"schedule": schedule, "prediction": prediction}
    for scheduler in ("DDIMScheduler", "DPMSolverMultistepScheduler", "EulerDiscreteScheduler"):
        assert found(noise, scheduler=scheduler, steps=25, guidance=8.0) == []


@pytest.mark.parametrize(
    ("sample", "field", "complaint"),
    [
        ({"scheduler": "DDIMScheduler", "options": ZERO_SNR}, "options", "not a number (sampling, step 1 of"),
        ({"steps": 1000}, "steps", "not a number"),
        ({"steps": 1500}, "steps", ""),
        ({"scheduler": "DDIMScheduler", "steps": 1001}, "steps", "cannot be larger than"),
        ({"scheduler": "PNDMScheduler", "steps": 1001}, "steps", "visit only 1 timesteps"),
        ({"scheduler": "PNDMScheduler", "steps": 2}, "scheduler", "fails with these options in 2 steps"),
        ({"scheduler": "DDIMScheduler", "options": {"steps_offset": 999}}, "options", ""),
        ({"scheduler": "DDPMScheduler", "options": {"variance_type": "learned"}}, "options", ""),
        (
            {"options": {"solver_order": 2, "use_karras_sigmas": "sometimes", "sigma": 1}},
            "options",
            "no option",
        ),
        ({"scheduler": "DDIMScheduler", "options": {"timestep_spacing": "odd"}}, "options", ""),
        ({"scheduler": "DDIMScheduler", "options": {"trained_betas": [0.1, 0.2]}}, "options", ""),
        ({"guidance": 1e38}, "guidance", "the prediction for 2 of 2 images is not a number"),
        (
            {"scheduler": "EulerDiscreteScheduler", "options": {"timestep_type": "continuous"}},
            "options",
            "it samples timesteps",
        ),
    ],
)
def test_what_breaks_only_in_a_step_is_found_with_the_field_it_is_due_to(
    found: Callable[..., list[Trouble]], sample: dict[str, Any], field: str, complaint: str
) -> None:
    noise = {"prediction": "v_prediction"} if "timestep_type" in str(sample) else {}
    (trouble,) = found(noise, **sample)
    assert trouble.field == ("sample", field)
    assert complaint in trouble.what
    assert trouble.fix


def test_zero_terminal_snr_is_let_through_where_the_velocity_is_predicted(
    found: Callable[..., list[Trouble]],
) -> None:
    noise = {"prediction": "v_prediction"}
    assert found(noise, scheduler="DDIMScheduler", options=ZERO_SNR) == []


# ── the frozen parts ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., str]:
    """A copy of a part of the kit with some of its weights changed; its folder."""

    def make(part: str, weights: str, change: Callable[[str, torch.Tensor], torch.Tensor]) -> str:
        folder = shutil.copytree(EMBEDDED_KIT / part, tmp_path / part)
        tensors = load_file(folder / weights)
        save_file(
            {name: change(name, tensor).contiguous() for name, tensor in tensors.items()}, folder / weights
        )
        return str(folder)

    return make


def nan(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor


def nothing_of(*names: str) -> Callable[[str, torch.Tensor], torch.Tensor]:
    return lambda name, tensor: torch.zeros_like(tensor) if any(n in name for n in names) else tensor


VAE, EVALUATOR, TEXT = (
    "diffusion_pytorch_model.safetensors",
    "open_clip_model.safetensors",
    "model.safetensors",
)


def test_the_kit_is_let_through(make_config: MakeConfig) -> None:
    tried = try_out({"plain": make_config(), "same": make_config()}, lambda text: None)
    assert not any(tried.troubles.values())
    assert set(tried.weights) == {"plain", "same"}
    assert "same" not in tried.troubles, "what is configured alike is tried once"


@pytest.mark.parametrize(
    ("part", "weights"),
    [("vae", VAE), ("evaluator", EVALUATOR), ("text_encoder", TEXT), ("perceptual", TEXT)],
)
def test_weights_that_are_not_numbers_are_not_loaded(
    make_config: MakeConfig, broken: Callable[..., str], part: str, weights: str
) -> None:
    from ablate.parts import PARTS

    config = make_config({"components": {part: {"source": broken(part, weights, nan)}}})
    with pytest.raises(ComponentError, match="hold NaN or infinity"):
        PARTS[part](getattr(config.components, part)).load()


@pytest.mark.parametrize("factor", [0.0, float("nan")])
def test_a_vae_whose_latents_cannot_be_scaled_is_not_loaded(
    make_config: MakeConfig, tmp_path: Path, factor: float
) -> None:
    from ablate.parts.vae import VaePart

    folder = shutil.copytree(EMBEDDED_KIT / "vae", tmp_path / "vae")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"scaling_factor": factor}))
    with pytest.raises(ComponentError, match="scaling_factor"):
        VaePart(make_config({"components": {"vae": {"source": str(folder)}}}).components.vae).load()


def test_a_vae_that_decodes_everything_to_the_same_is_found(
    make_config: MakeConfig, broken: Callable[..., str]
) -> None:
    vae = broken("vae", VAE, nothing_of("decoder.conv_in"))
    (trouble,) = decoding(make_config({"components": {"vae": {"source": vae}}}), CPU)
    assert trouble.field == ("components", "vae")
    assert "all 2 latents are the same" in trouble.what


@pytest.mark.parametrize(
    ("blind", "complaint"),
    [
        (["visual.proj", "visual.head"], "2 of 2 embeddings have no direction"),
        (["text_projection"], "2 of 2 embeddings have no direction"),
        (["visual.conv1"], "all 2 images are the same"),
        (["token_embedding"], "all 2 texts are the same"),
    ],
)
def test_an_evaluator_that_sees_nothing_or_no_difference_is_found(
    make_config: MakeConfig, broken: Callable[..., str], blind: list[str], complaint: str
) -> None:
    evaluator = broken("evaluator", EVALUATOR, nothing_of(*blind))
    (trouble,) = measuring(make_config({"components": {"evaluator": {"source": evaluator}}}), CPU)
    assert trouble.field == ("components", "evaluator")
    assert complaint in trouble.what


def test_a_metric_that_the_evaluator_brings_as_well_is_found(make_config: MakeConfig) -> None:
    source = (
        "from ablate.metrics.accuracy import Accuracy\nMETRICS = {'accuracy_body': Accuracy('body', ['bat'])}"
    )
    model = config_model(vocabulary_of((Plugin("mine.py", source),)))
    (trouble,) = measuring(model.model_validate(make_config().model_dump()), CPU)
    assert "METRICS['accuracy_body']: the evaluator sprites-clip brings" in trouble.what


def test_a_text_encoder_that_sees_no_difference_is_found(
    make_config: MakeConfig, broken: Callable[..., str]
) -> None:
    encoder = broken("text_encoder", TEXT, nothing_of("token_embedding"))
    (trouble,) = conditioning(make_config({"components": {"text_encoder": {"source": encoder}}}), CPU)
    assert trouble.field == ("components", "text_encoder")
    assert "all 2 texts are the same" in trouble.what


@pytest.mark.parametrize(
    ("unet", "trial", "right"),
    [
        ({"latent_channels": 3}, decoding, "Write 4"),
        ({"sample_size": 16}, decoding, "of the latents is 8"),
        ({"cross_attention_dim": 64}, conditioning, "Write "),
    ],
)
def test_a_unet_that_does_not_go_with_the_parts_is_found(
    make_config: MakeConfig, unet: dict[str, int], trial: Any, right: str
) -> None:
    (trouble,) = trial(make_config({"unet": unet}), CPU)
    assert trouble.field == ("unet", *unet)
    assert right in trouble.fix
