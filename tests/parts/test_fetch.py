"""``ablate fetch``: what is missing is downloaded and loaded once, what is there is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diffusers import AutoencoderKL
from hubs import serving

if TYPE_CHECKING:
    from pathlib import Path

    from hubs import Caches

    from tests.conftest import Ablate

VAE = "components.vae={source: owner/name, subfolder: vae}"


def test_all_of_the_embedded_kit_is_ready(ablate: Ablate) -> None:
    done = ablate("fetch")
    assert done.code == 0
    assert done.shown.count("ready ") == len(done.shown.splitlines()) == 5
    assert "ready tokenizer sprites/tokenizer: 631 tokens, 20 kB in" in done.shown


def test_a_part_is_downloaded_loaded_and_left_alone_the_next_time(
    ablate: Ablate, caches: Caches, tmp_path: Path
) -> None:
    folder = tmp_path / "hub" / "owner" / "name"
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4).save_pretrained(folder / "vae")
    (folder / "unet").mkdir()
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(bytes(1000))
    with serving(tmp_path / "hub") as hub:
        caches.connect(hub.address)
        for times in (1, 0):
            done = ablate("fetch", "--set", VAE)
            assert done.code == 0
            assert done.shown.count(f"fetching VAE owner/name/vae from {hub.address}") == times
            assert "ready VAE owner/name/vae: 0.0 M parameters" in done.shown
    weights = "diffusion_pytorch_model.safetensors"
    assert sorted(hub.asked) == ["owner/name/vae/config.json", f"owner/name/vae/{weights}"]


def test_what_cannot_be_fetched_is_named_and_the_rest_is_made_ready(ablate: Ablate, caches: Caches) -> None:
    done = ablate("fetch", "--set", VAE)
    assert done.code == 2
    assert f"failed VAE owner/name/vae: not in {caches.hub}, and 127.0.0.1 cannot be reached" in done.shown
    assert done.shown.count("ready ") == 4
    assert "error: VAE: 1 of 5 parts are not ready" in done.shown


def test_what_is_here_but_broken_is_named(ablate: Ablate, caches: Caches) -> None:
    folder = caches.repository("owner/name") / "vae"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(bytes(100))
    done = ablate("fetch", "--set", VAE)
    assert done.code == 2
    assert "failed VAE owner/name/vae: owner/name/vae: the VAE cannot be loaded from there" in done.shown
    assert f"Delete them in {caches.hub}" in done.shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--profile", "spirtes"], "spirtes"),
        (["--set", "components.vea=x"], "components.vea"),
        (["--set", "train.epochs=0"], "train.epochs"),
    ],
)
def test_a_wrong_profile_or_override_is_named(ablate: Ablate, arguments: list[str], named: str) -> None:
    done = ablate("fetch", *arguments)
    assert done.code == 2
    assert named in done.shown
