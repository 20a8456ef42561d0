"""Loading the embedded kit's parts, and what is said when a part cannot be loaded."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ablate.components import EMBEDDED, load_evaluator, load_perceptual, load_text_encoder, load_vae
from ablate.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch.set_num_threads(1)


@dataclass(frozen=True)
class Part:
    source: str
    subfolder: str = ""


def load_text(part: Part) -> Any:
    return load_text_encoder(part, Part(part.source, "tokenizer" if part.subfolder else ""))


LOADERS: dict[str, Callable[..., Any]] = {
    "vae": load_vae,
    "text_encoder": load_text,
    "evaluator": load_evaluator,
    "perceptual": load_perceptual,
}


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED, tmp_path / "kit")


def test_the_embedded_vae_maps_images_to_latents_of_unit_std_and_back() -> None:
    vae = load_vae(Part("sprites", "vae"))
    with torch.no_grad():
        z = vae.encode(torch.ones(2, 3, 32, 32)).latent_dist.mean
        assert z.shape == (2, 4, 8, 8)
        assert vae.decode(z).sample.shape == (2, 3, 32, 32)
    assert 0.01 < vae.config.scaling_factor < 100


def test_the_embedded_text_encoder_gives_a_state_for_each_token() -> None:
    tokenizer, text = load_text(Part("sprites", "text_encoder"))
    tokens = tokenizer(["A red slime."], padding="max_length", return_tensors="pt")
    with torch.no_grad():
        states = text(input_ids=tokens.input_ids).last_hidden_state
    assert states.shape == (1, tokenizer.model_max_length, text.config.hidden_size)


def test_the_tokenizer_splits_words_it_has_never_seen_without_an_unknown_token() -> None:
    tokenizer, _ = load_text(Part("sprites", "text_encoder"))
    ids = tokenizer("Übergroße 龍 zqx!", add_special_tokens=False).input_ids
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).replace(" ", "") == "übergroße龍zqx!"


def test_the_embedded_evaluator_gives_unit_vectors_and_knows_its_labels() -> None:
    evaluator = load_evaluator(Part("sprites", "evaluator"))
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    embedded = evaluator.encode_images(images)
    texts = evaluator.encode_texts(["A red slime monster.", "A bat."])
    assert evaluator.name == "sprites-clip"
    assert set(evaluator.labels) == {"body", "colour", "feature", "action"}
    assert (embedded.dtype, embedded.shape, texts.shape) == (np.float32, (3, 64), (2, 64))
    assert np.allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_an_image_of_another_size_is_resized_for_the_evaluator() -> None:
    evaluator = load_evaluator(Part("sprites", "evaluator"))
    small = np.full((1, 32, 32, 3), 255, dtype=np.uint8)
    large = np.full((1, 256, 256, 3), 255, dtype=np.uint8)
    assert np.allclose(evaluator.encode_images(small), evaluator.encode_images(large), atol=1e-5)


def test_the_batch_size_does_not_change_embeddings() -> None:
    evaluator = load_evaluator(Part("sprites", "evaluator"))
    images = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    assert np.allclose(evaluator.encode_images(images), evaluator.encode_images(images, batch=2), atol=1e-5)


def test_the_embedded_perceptual_distance_has_a_gradient_on_images_only() -> None:
    metric = load_perceptual(Part("sprites", "perceptual"))
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    metric(image, torch.ones(1, 3, 32, 32)).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in metric.parameters())
    assert metric(image, image).item() == 0


@pytest.mark.parametrize("part", ["vae", "text_encoder"])
def test_parts_come_frozen_in_eval_mode_and_float32(part: str) -> None:
    loaded = LOADERS[part](Part("sprites", part))
    model = loaded[1] if part == "text_encoder" else loaded
    assert not model.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("part", LOADERS)
def test_loading_leaves_the_global_rng_as_it_was(part: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    LOADERS[part](Part("sprites", part))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("part", LOADERS)
def test_a_missing_folder_is_named_at_once(part: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ComponentError, match="the folder does not exist") as caught:
        LOADERS[part](Part(str(tmp_path / "nowhere"), part))
    assert caught.value.where == str(tmp_path / "nowhere" / part)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("part", LOADERS)
def test_an_empty_folder_is_refused(part: str, tmp_path: Path) -> None:
    (tmp_path / part).mkdir()
    with pytest.raises(ComponentError, match="can be loaded"):
        LOADERS[part](Part(str(tmp_path), part))


@pytest.mark.parametrize("part", LOADERS)
def test_a_truncated_weights_file_is_refused(part: str, kit: Path) -> None:
    for weights in (kit / part).glob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ComponentError, match="can be loaded"):
        LOADERS[part](Part(str(kit), part))


@pytest.mark.parametrize("part", LOADERS)
def test_a_part_without_weights_is_refused_and_not_random(part: str, kit: Path) -> None:
    for weights in (kit / part).glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(ComponentError, match="can be loaded"):
        LOADERS[part](Part(str(kit), part))


def test_a_text_encoder_without_its_tokenizer_is_refused(kit: Path) -> None:
    shutil.rmtree(kit / "tokenizer")
    with pytest.raises(ComponentError):
        load_text(Part(str(kit), "text_encoder"))


def test_a_hub_id_that_cannot_be_reached_is_refused_within_seconds() -> None:
    start = time.monotonic()
    for load in (load_vae, load_text):
        with pytest.raises(ComponentError, match="can be loaded"):
            load(Part("nobody/nothing", "vae"))
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("source", ["ViT-B-32:no-such-weights", "no-such-model:openai"])
def test_an_unknown_evaluator_is_refused(source: str) -> None:
    with pytest.raises(ComponentError, match="can be loaded"):
        load_evaluator(Part(source))


def test_an_unknown_perceptual_network_is_refused() -> None:
    with pytest.raises(ComponentError, match="neither a folder nor one of"):
        load_perceptual(Part("resnet"))
