"""A small decoder learns to decode as a VAE does, whatever its number of upsamplings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from ablate.cli import app
from ablate.data.captions import read_train
from ablate.errors import ComponentError, DataError, UserError
from ablate.kit.distill import agreement, decoded, distill_decoder, psnr_of, small_decoder, split
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.small_decoder import SmallDecoderPart
from ablate.parts.vae import VaePart
from ablate.spec.config import Config, Part
from ablate.spec.load import load_config
from ablate.store import file_digest

torch.set_num_threads(1)

PERCEPTUAL = Part(source="sprites", subfolder="perceptual")


def vae_of(levels: int, width: int = 16) -> AutoencoderKL:
    """An untrained VAE that makes images smaller by 2^(levels − 1)."""
    torch.manual_seed(0)
    return AutoencoderKL(
        sample_size=32,
        latent_channels=4,
        block_out_channels=(width,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=8,
        scaling_factor=0.5,
    ).eval()


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config("sprites")


@pytest.fixture
def data(data_folder: Path) -> Path:
    return data_folder


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_it_has_the_upsamplings_of_the_vae(levels: int) -> None:
    vae = vae_of(levels)
    latents = vae.encode(torch.zeros(1, 3, 32, 32)).latent_dist.mean
    assert latents.shape[-1] == 32 >> (levels - 1)
    assert small_decoder(vae, 0).decode(latents).sample.shape == vae.decode(latents).sample.shape


def test_for_stable_diffusions_vae_it_costs_what_the_cost_model_says() -> None:
    """Forward and backward with frozen weights, 32×32×4 latents to 256 px: 70.7 of the VAE's 1246.5 GF."""
    channels = (128, 256, 512, 512)
    with torch.device("meta"):
        vae = AutoencoderKL(
            latent_channels=4,
            block_out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        ).requires_grad_(False)
        tiny = small_decoder(vae, 0).requires_grad_(False)
        latents = torch.zeros(1, 4, 32, 32, requires_grad=True)
    for decoder, expected in ((tiny, 70.7e9), (vae, 1246.5e9)):
        with FlopCounterMode(display=False) as counted:
            images = decoder.decode(latents).sample
            images.sum().backward()
        assert tuple(images.shape) == (1, 3, 256, 256)
        assert counted.get_total_flops() == pytest.approx(expected, rel=0.01)


def test_it_comes_nearer_to_the_vae_the_longer_it_learns(config: Config, data: Path, tmp_path: Path) -> None:
    short = distill_decoder(config, data, tmp_path / "short", effort=0.002)
    longer = distill_decoder(config, data, tmp_path / "longer", effort=0.03)
    assert longer.psnr > short.psnr + 3
    assert -1 <= longer.gradient <= 1
    assert longer.images == 1
    assert longer.weights < longer.vae_weights / 4


def test_what_is_written_is_what_was_measured(config: Config, data: Path, tmp_path: Path) -> None:
    made = distill_decoder(config, data, tmp_path / "small", effort=0.002)
    small = SmallDecoderPart(Part(source=str(tmp_path / "small"))).load()
    assert small.config.scaling_factor == 1  # takes latents of unit variance
    assert not small.training
    vae = VaePart(Part(source="sprites", subfolder="vae")).load()
    held_out = [image.path for image in read_train(data)][-1:]
    assert psnr_of(small, *decoded(vae, held_out, 32, seed=0)) == pytest.approx(made.psnr, abs=1e-4)
    assert {path.name for path in (tmp_path / "small").iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }


def test_the_gradient_of_a_decoder_agrees_with_itself_and_not_with_chance(data: Path) -> None:
    vae, distance = VaePart(Part(source="sprites", subfolder="vae")).load(), PerceptualPart(PERCEPTUAL).load()
    latents, images = decoded(vae, sorted((data / "train").iterdir())[:8], 32, seed=0)
    assert agreement(vae, vae, distance, latents, images) == pytest.approx(1, abs=1e-5)  # type: ignore[arg-type]
    assert abs(agreement(small_decoder(vae, 0), vae, distance, latents, images)) < 0.1


def test_targets_are_what_the_vae_decodes_from_latents_of_unit_variance(data: Path) -> None:
    vae = VaePart(Part(source="sprites", subfolder="vae")).load()
    paths = sorted((data / "train").iterdir())
    latents, images = decoded(vae, paths, 32, seed=0)
    assert latents.shape == (32, 4, 8, 8)
    assert float(latents.std()) == pytest.approx(1, abs=0.2)
    with torch.no_grad():
        expected = vae.decode(latents / vae.config.scaling_factor).sample
    torch.testing.assert_close(images.float(), expected, rtol=0, atol=2e-3)


def test_it_is_the_same_again_with_the_same_seed_and_another_with_another(
    config: Config, data: Path, tmp_path: Path
) -> None:
    def weights(name: str, seed: int) -> str:
        torch.rand(1)  # what the process did before must not matter
        distill_decoder(config, data, tmp_path / name, effort=0.001, seed=seed)
        return file_digest(tmp_path / name / "diffusion_pytorch_model.safetensors")

    assert weights("first", 0) == weights("again", 0) != weights("other", 1)


def test_another_vae_will_do_and_so_will_another_size(data: Path, tmp_path: Path) -> None:
    vae_of(4).save_pretrained(tmp_path / "vae")
    other = load_config("sprites", [f"components.vae={tmp_path / 'vae'}", "data.size=64"])
    made = distill_decoder(other, data, tmp_path / "small", effort=0.0005)
    assert made.images == 1
    small = SmallDecoderPart(Part(source=str(tmp_path / "small"))).load()
    assert small.decode(torch.zeros(1, 4, 8, 8)).sample.shape == (1, 3, 64, 64)


def test_the_last_images_are_held_out() -> None:
    paths = [Path(f"{number:04}.png") for number in range(100)]
    learned, held_out = split(paths, np.random.default_rng(0))
    assert held_out == paths[95:]
    assert sorted(learned) == paths[:95]
    assert learned != paths[:95]


def test_the_command_prints_how_near_it_comes(data: Path, tmp_path: Path) -> None:
    arguments = [f"--data={data}", f"--out={tmp_path / 'small'}", "--effort=0.001"]
    done = CliRunner().invoke(app, ["kit", "distill-decoder", *arguments])
    assert done.exit_code == 0, done.output
    assert "dB against the VAE's decoding of 1 held-out images" in " ".join(done.output.split())


def test_a_part_that_is_missing_is_named_before_anything_is_read(tmp_path: Path) -> None:
    lacking = f"--set=components.vae={tmp_path / 'nowhere' / 'vae'}"
    done = CliRunner().invoke(
        app, ["kit", "distill-decoder", "--data=none", f"--out={tmp_path / 'small'}", lacking]
    )
    assert isinstance(done.exception, ComponentError)
    assert "the folder does not exist" in str(done.exception)


def test_a_folder_of_something_else_is_never_written_to(config: Config, data: Path) -> None:
    with pytest.raises(UserError, match="something there already"):
        distill_decoder(config, data, data)


def test_a_single_image_is_too_few(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "train" / "0_stand1_0.png")
    (folder / "train_info.json").write_text(
        '{"0_stand1": {"given_description": ["A."], "action_description": "B."}}'
    )
    (folder / "test.json").write_text("{}")
    with pytest.raises(DataError, match="single image"):
        distill_decoder(config, folder, tmp_path / "small")
