"""Loading the parts of the embedded kit, of folders and of hubs, and what is said when that fails.

No published weights are here. What is loaded has them by their names and in their files' forms, and
is small and random.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lpips
import numpy as np
import open_clip
import pytest
import torch
import torchvision
from cleanfid import downloads_helper
from cleanfid.resize import build_resizer
from diffusers import AutoencoderKL
from hubs import NOWHERE, Caches
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel

from ablate import fingerprint
from ablate.audit import audit
from ablate.data import sprites
from ablate.environment import PACKAGE
from ablate.errors import ComponentError
from ablate.experiment.config import Part
from ablate.factors.kl import Kl
from ablate.factors.lpips import Lpips
from ablate.metrics.spaces.inception import InceptionSpace
from ablate.parts import PARTS, inception, perceptual
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.evaluator import ADDRESSES, EvaluatorPart
from ablate.parts.inception import CLEAN_FID, INCEPTION_FILE, InceptionPart
from ablate.parts.perceptual import TRUNKS, PerceptualPart, trunk_of, untrained_lpips
from ablate.parts.sources import TorchFile
from ablate.parts.text import TokenizerPart, load_text
from ablate.parts.vae import VaePart
from ablate.stages import evaluated, prepared, sampled, trained
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable

LPIPS_ALEX = Path(__file__).parents[3] / "shared" / "parts" / "lpips-alex"
LPIPS_IMAGES = Path(__file__).parent / "lpips"
"""Example images of the LPIPS repository, under its licence beside them."""

torch.set_num_threads(1)


def part(source: str, subfolder: str = "") -> Part:
    return Part(source=source, subfolder=subfolder)


def load_both(encoder: Part) -> Any:
    return load_text(encoder, part(encoder.source, "tokenizer" if encoder.subfolder else ""))


LOADERS: dict[str, Callable[..., Any]] = {
    "vae": lambda at: VaePart(at).load(),
    "text_encoder": load_both,
    "evaluator": lambda at: EvaluatorPart(at).load(),
    "perceptual": lambda at: PerceptualPart(at).load(),
}


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED_KIT, tmp_path / "kit")


def test_the_embedded_vae_maps_images_to_latents_of_unit_std_and_back() -> None:
    vae = VaePart(part("sprites", "vae")).load()
    with torch.no_grad():
        z = vae.encode(torch.ones(2, 3, 32, 32)).latent_dist.mean
        assert z.shape == (2, 4, 8, 8)
        assert vae.decode(z).sample.shape == (2, 3, 32, 32)
    assert 0.01 < vae.config.scaling_factor < 100


def test_the_embedded_text_encoder_gives_a_state_for_each_token() -> None:
    tokenizer, text = load_both(part("sprites", "text_encoder"))
    tokens = tokenizer(["A red slime."], padding="max_length", return_tensors="pt")
    with torch.no_grad():
        states = text(input_ids=tokens.input_ids).last_hidden_state
    assert states.shape == (1, tokenizer.model_max_length, text.config.hidden_size)


def test_the_tokenizer_splits_words_it_has_never_seen_without_an_unknown_token() -> None:
    tokenizer, _ = load_both(part("sprites", "text_encoder"))
    ids = tokenizer("Übergroße 龍 zqx!", add_special_tokens=False).input_ids
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).replace(" ", "") == "übergroße龍zqx!"


def test_the_embedded_evaluator_gives_unit_vectors_and_knows_its_labels() -> None:
    evaluator = EvaluatorPart(part("sprites", "evaluator")).load()
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    embedded = evaluator.encode_images(images)
    texts = evaluator.encode_texts(["A red slime monster.", "A bat."])
    assert evaluator.name == "sprites-clip"
    assert set(evaluator.labels) == {"body", "colour", "feature", "action"}
    assert (embedded.dtype, embedded.shape, texts.shape) == (np.float32, (3, 64), (2, 64))
    assert np.allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)


def test_an_image_of_another_size_is_resized_for_the_evaluator() -> None:
    evaluator = EvaluatorPart(part("sprites", "evaluator")).load()
    small = np.full((1, 32, 32, 3), 255, dtype=np.uint8)
    large = np.full((1, 256, 256, 3), 255, dtype=np.uint8)
    assert np.allclose(evaluator.encode_images(small), evaluator.encode_images(large), atol=1e-5)


def test_the_batch_size_does_not_change_embeddings() -> None:
    evaluator = EvaluatorPart(part("sprites", "evaluator")).load()
    images = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    assert np.allclose(evaluator.encode_images(images), evaluator.encode_images(images, batch=2), atol=1e-5)


def test_the_embedded_perceptual_distance_has_a_gradient_on_images_only() -> None:
    metric = PerceptualPart(part("sprites", "perceptual")).load()
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    metric(image, torch.ones(1, 3, 32, 32)).sum().backward()
    assert image.grad is not None and image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in metric.parameters())
    assert metric(image, image).item() == 0


@pytest.mark.parametrize("name", ["vae", "text_encoder"])
def test_parts_come_frozen_in_eval_mode_and_float32(name: str) -> None:
    loaded = LOADERS[name](part("sprites", name))
    model = loaded[1] if name == "text_encoder" else loaded
    assert not model.training
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", LOADERS)
def test_loading_leaves_the_global_rng_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    LOADERS[name](part("sprites", name))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", LOADERS)
def test_a_missing_folder_is_named_at_once(name: str, tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ComponentError, match="the folder does not exist") as caught:
        LOADERS[name](part(str(tmp_path / "nowhere"), name))
    assert caught.value.where == str(tmp_path / "nowhere" / name)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", LOADERS)
def test_an_empty_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ComponentError, match="cannot be loaded: the folder lacks"):
        LOADERS[name](part(str(tmp_path), name))


@pytest.mark.parametrize("name", LOADERS)
def test_a_truncated_weights_file_is_refused(name: str, kit: Path) -> None:
    for weights in (kit / name).glob("*.safetensors"):
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ComponentError, match="cannot be loaded"):
        LOADERS[name](part(str(kit), name))


@pytest.mark.parametrize("name", LOADERS)
def test_a_part_without_weights_is_refused_and_not_random(name: str, kit: Path) -> None:
    for weights in (kit / name).glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(ComponentError, match="cannot be loaded: the folder lacks"):
        LOADERS[name](part(str(kit), name))


def test_a_text_encoder_without_its_tokenizer_is_refused(kit: Path) -> None:
    shutil.rmtree(kit / "tokenizer")
    with pytest.raises(ComponentError):
        load_both(part(str(kit), "text_encoder"))


@pytest.mark.usefixtures("caches")
@pytest.mark.parametrize("name", ["vae", "text_encoder", "evaluator", "perceptual", "inception"])
def test_a_part_of_a_hub_that_cannot_be_reached_is_refused_within_seconds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptual, "TRUNKS", {"alex": TorchFile(f"{NOWHERE}/alex.pth")})
    monkeypatch.setattr(inception, "DOWNLOAD", TorchFile(f"{NOWHERE}/{INCEPTION_FILE}"))
    load: dict[str, Callable[[], Any]] = {
        "vae": lambda: VaePart(part("owner/name", "vae")).load(),
        "text_encoder": lambda: load_both(part("owner/name")),
        "evaluator": lambda: EvaluatorPart(part("ViT-B-32:openai")).load(),
        "perceptual": lambda: PerceptualPart(part("alex")).load(),
        "inception": lambda: InceptionPart(CLEAN_FID).load(),
    }
    start = time.monotonic()
    with pytest.raises(ComponentError, match=r"is not there, and 127\.0\.0\.1 cannot be reached"):
        load[name]()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("source", ["ViT-B-32:no-such-weights", "no-such-model:openai", "owner/name"])
def test_an_unknown_evaluator_is_refused(source: str) -> None:
    with pytest.raises(ComponentError, match="nor a model that open_clip can download"):
        EvaluatorPart(part(source)).load()


def test_an_unknown_perceptual_network_is_refused() -> None:
    with pytest.raises(ComponentError, match="neither a folder that is there nor one of"):
        PerceptualPart(part("resnet")).load()


# ── parts of hubs ────────────────────────────────────────────────────────────────────────────────


def test_addresses_and_digests_are_those_that_the_libraries_have() -> None:
    models = torchvision.models
    weights = {
        "alex": models.AlexNet_Weights.DEFAULT,
        "vgg": models.VGG16_Weights.DEFAULT,
        "squeeze": models.SqueezeNet1_1_Weights.DEFAULT,
    }
    assert {name: file.address for name, file in TRUNKS.items()} == {
        name: entry.url for name, entry in weights.items()
    }
    assert all(file.address.endswith(f"-{file.sha256}.pth") for file in TRUNKS.values())
    assert inception.DOWNLOAD.address == downloads_helper.inception_url
    for source, address in ADDRESSES.items():
        assert open_clip.get_pretrained_cfg(*source.split(":"))["hf_hub"] == address


@pytest.mark.parametrize("name", [*LOADERS, "tokenizer"])
def test_the_embedded_kit_has_the_files_of_each_part(name: str) -> None:
    assert {file.parent for file in PARTS[name](part("sprites", name)).files()} == {EMBEDDED_KIT / name}


@pytest.fixture
def clip() -> CLIPModel:
    """A text encoder for the kit's words beside an image encoder, as openai/clip-vit-base-patch32 has it."""
    words = json.loads((EMBEDDED_KIT / "text_encoder" / "config.json").read_text())["vocab_size"]
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = tower | {"vocab_size": words, "bos_token_id": 0, "eos_token_id": 1}
    vision = tower | {"image_size": 8, "patch_size": 4}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()


def test_the_published_text_encoder_is_read_at_the_revision_that_is_safetensors(
    caches: Caches, clip: CLIPModel, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "openai/clip-vit-base-patch32"
    clip.save_pretrained(caches.repository(name, "refs/pr/15"))
    capfd.readouterr()
    tokenizer, encoder = load_text(part(name), part("sprites", "tokenizer"))
    assert capfd.readouterr().err == ""
    ids = tokenizer(["A red slime."], return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.equal(
            encoder(input_ids=ids).last_hidden_state, clip.text_model(input_ids=ids).last_hidden_state
        )


def test_the_published_vae_is_read_with_the_names_that_its_attention_had(caches: Caches) -> None:
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4)
    folder = caches.repository("CompVis/stable-diffusion-v1-4") / "vae"
    vae.save_pretrained(folder)
    file = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        weights = {
            name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): weight
            for name, weight in weights.items()
        }
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in weights
    save_file(weights, file)
    loaded = VaePart(part("CompVis/stable-diffusion-v1-4", "vae")).load().state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in vae.state_dict().items())


@pytest.mark.parametrize("name", ["vae", "text_encoder"])
def test_weights_that_a_file_lacks_are_refused_and_not_random(name: str, kit: Path) -> None:
    [file] = (kit / name).glob("*.safetensors")
    weights = load_file(file)
    weights.pop(sorted(weights)[0])
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ComponentError, match="the file lacks 1 weights"):
        LOADERS[name](part(str(kit), name))


def test_an_evaluator_runs_with_the_activation_that_it_was_trained_with(
    caches: Caches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = {"layers": 1, "width": 64}
    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 8, **layers},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "heads": 2, **layers},
    }
    (tmp_path / "tiny-clip.json").write_text(json.dumps(model))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    trained = {
        "hf_hub": "tiny/clip/",
        "quick_gelu": True,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"openai": trained})
    quick = open_clip.create_model("tiny-clip", force_quick_gelu=True).eval()
    save_file(quick.state_dict(), caches.repository("tiny/clip") / "open_clip_model.safetensors")

    evaluator = EvaluatorPart(part("tiny-clip:openai")).load()
    image = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(image).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        images = quick.encode_image(pixels, normalize=True).numpy()
        texts = quick.encode_text(open_clip.get_tokenizer("tiny-clip")(["A bat."]), normalize=True).numpy()
    assert evaluator.name == "tiny-clip:openai"
    assert np.allclose(evaluator.encode_images(image), images, atol=1e-6)
    assert np.allclose(evaluator.encode_texts(["A bat."]), texts, atol=1e-6)


@pytest.fixture
def published_lpips(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> lpips.LPIPS:
    """What lpips makes of the smallest of its networks where torchvision finds it."""
    address = TRUNKS["squeeze"].address
    file = caches.checkpoints / address.rsplit("/", 1)[1]
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    monkeypatch.setitem(TRUNKS, "squeeze", TorchFile(address, file_digest(file)[:8]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net="squeeze", verbose=False)


def test_a_trunk_in_torch_s_cache_that_is_not_the_published_one_is_refused(caches: Caches) -> None:
    file = caches.checkpoints / TRUNKS["squeeze"].address.rsplit("/", 1)[1]
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    with pytest.raises(ComponentError, match="not the published file: its SHA-256 does not begin b8a52dc0"):
        PerceptualPart(part("squeeze")).load()


@torch.no_grad()
def test_the_published_perceptual_distance_is_that_of_lpips(
    published_lpips: lpips.LPIPS, tmp_path: Path
) -> None:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "config.json").write_text('{"net": "squeeze", "heads": true}')
    save_file(published_lpips.net.state_dict(), folder / "model.safetensors")
    pair = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    expected = published_lpips(*pair)
    assert expected.min() > 0
    for source in ("squeeze", str(folder)):
        assert torch.equal(PerceptualPart(part(source)).load()(*pair), expected), source
    (folder / "config.json").write_text('{"net": "squeeze"}')
    assert not torch.allclose(PerceptualPart(part(str(folder))).load()(*pair), expected)


@pytest.mark.parametrize(("net", "classifier"), [("alex", "alexnet"), ("vgg", "vgg16")])
def test_the_larger_networks_have_the_published_layers(net: str, classifier: str) -> None:
    with torch.device("meta"):
        published = torchvision.models.get_model(classifier).state_dict()
        trunk = untrained_lpips(net).net.state_dict()
    shapes = {name: weight.shape for name, weight in trunk.items()}
    assert {n: weight.shape for n, weight in trunk_of(published, trunk).items()} == shapes


class Layers(nn.Module):
    """Stands where the layers of clean-fid's Inception do: normalized pixels → 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2048, 16, stride=71)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.convolution(pixels).mean((2, 3))


class Inception(nn.Module):
    """As clean-fid takes the network out of its file."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, pixels: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((pixels - 128) / 128)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.parametrize("given", ["nothing", "folder", "file"])
def test_inception_features_come_from_the_file_that_is_given_or_was_fetched(
    caches: Caches, tmp_path: Path, given: str
) -> None:
    network = Inception().eval()
    folder = caches.checkpoints if given == "nothing" else tmp_path
    torch.jit.script(network).save(str(folder / INCEPTION_FILE))
    parts = {
        "nothing": CLEAN_FID,
        "folder": part(str(tmp_path)),
        "file": part(str(tmp_path / INCEPTION_FILE)),
    }
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    features = InceptionSpace(InceptionPart(parts[given]).load(), "cpu").features(images, batch=2)

    resized = np.stack([build_resizer("clean")(image) for image in images])
    with torch.no_grad():
        expected = network(torch.from_numpy(resized).permute(0, 3, 1, 2))
    assert features.shape == (3, 2048)
    assert np.allclose(features, expected.numpy(), atol=1e-5)


def test_a_broken_inception_is_refused(tmp_path: Path) -> None:
    (tmp_path / INCEPTION_FILE).write_bytes(b"PK" + bytes(100))
    with pytest.raises(ComponentError, match="the Inception network cannot be loaded"):
        InceptionPart(part(str(tmp_path))).load()


def test_looking_for_a_part_imports_no_torch() -> None:
    code = (
        "import sys; from ablate.parts.missing import named_parts\n"
        "from ablate.experiment.load import load_config\n"
        "for part in named_parts(load_config('maplestory')):\n"
        "    part.source().found()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


STAGES = {"prepare": prepared, "train": trained, "sample": sampled, "evaluate": evaluated, "audit": audit}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_s_key_has_the_files_that_load_its_parts_and_none_with_words(stage: str) -> None:
    files = [PACKAGE / name for name in fingerprint.of_files(STAGES[stage].SOURCES) if name.endswith(".py")]
    in_key = {f"parts/{file.name}" for file in files if file.parent.name == "parts"}
    imported = {
        f"parts/{name}.py"
        for file in files
        if file.parent.name in ("stages", "audit")
        for name in re.findall(r"from ablate\.parts\.(\w+) import", file.read_text(encoding="utf-8"))
    }
    by_name = {
        "train": {"parts/vae.py"},
        "evaluate": {"parts/inception.py"},
        "audit": {"parts/perceptual.py"},
    }
    # The audit reads all stages, and loads what a training does and the evaluator.
    assert in_key == (imported | by_name.get(stage, set())) - (
        {"parts/text.py"} if stage == "audit" else set()
    )
    assert "parts/messages.py" not in in_key


def test_the_file_that_loads_a_loss_s_part_is_in_the_key_of_that_loss_alone() -> None:
    assert {"factors/lpips.py", "parts/perceptual.py", "lpips"} == set(fingerprint.of_class(Lpips))
    assert {"factors/kl.py"} == set(fingerprint.of_class(Kl))


def test_the_tokenizer_of_openai_s_clip_is_made_of_open_clip_s_vocabulary(caches: Caches) -> None:
    made = TokenizerPart(part("openai/clip-vit-base-patch32"))
    digests = {file.name: file_digest(file)[:8] for file in made.files()}
    # Those of the published files.
    assert digests["vocab.json"] == "3f0c4f7d"
    assert digests["merges.txt"] == "9fd691f7"
    tokenizer, published = made.load(), open_clip.get_tokenizer("ViT-B-32")
    texts = [
        f"{text} {sprites.action_sentence(action)}"
        for monster in sprites.monsters()[::7]
        for text in sprites.descriptions(monster)
        for action in sprites.ACTIONS
    ]
    ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    # open_clip pads with 0, transformers with the end token.
    ends = ids.argmax(1, keepdim=True)
    behind = torch.arange(ids.shape[1]) > ends
    assert torch.equal(ids.masked_fill(behind, 0), published(texts))


@pytest.mark.skipif(not LPIPS_ALEX.exists(), reason="the published network is not here")
def test_lpips_gives_the_distances_that_its_authors_publish() -> None:
    metric = PerceptualPart(part(str(LPIPS_ALEX))).load()

    def image(name: str) -> torch.Tensor:
        with Image.open(LPIPS_IMAGES / f"{name}.png") as picture:
            return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1

    distances = [metric(image("ex_ref"), image(name)).item() for name in ("ex_p0", "ex_p1")]
    assert distances == pytest.approx([0.7219, 0.1376], abs=5e-5)
