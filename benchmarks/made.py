"""Parts of the published setting's true shapes, or a share of their widths, with random weights; and images.

For measurements of time and memory where the pretrained parts cannot be had: nothing is downloaded, and
what comes out means nothing.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import inception_v3

from ablate.parts.inception import INCEPTION_FILE
from ablate.parts.perceptual import untrained_lpips

if TYPE_CHECKING:
    from pathlib import Path


def make_parts(folder: Path, *, divide: int = 1) -> dict[str, Any]:
    """Writes VAE, text encoder, tokenizer, evaluator and LPIPS backbone below ``folder``, each in the layout
    of its hub, all widths divided by ``divide``; returns ``components`` for a spec."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _vae(folder / "vae", divide)
        _text_encoder(folder / "text_encoder", divide)
        _tokenizer(folder / "tokenizer")
        _evaluator(folder / "evaluator", divide)
        _perceptual(folder / "perceptual")
        _inception(folder / "inception")
    names = ("vae", "text_encoder", "tokenizer", "evaluator", "perceptual", "inception")
    return {name: {"source": str(folder), "subfolder": name} for name in names}


def narrow_unet(divide: int) -> dict[str, Any]:
    """The published U-Net with all widths divided, for conditions as wide as the made text encoder's.

    There are fewer heads of the same width: attention's share of the work stays what it is.
    """
    return {
        "block_out_channels": [width // divide for width in (256, 384, 512, 768)],
        "cross_attention_dim": 512 // divide,
        "attention_head_dim": 8 // divide,
        "norm_num_groups": 32 if divide == 1 else 8,
    }


def _vae(folder: Path, divide: int) -> None:
    """Stable Diffusion 1's: 83.7 M parameters at full width, 8 times smaller latents of 4 channels."""
    from diffusers import AutoencoderKL

    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=tuple(width // divide for width in (128, 256, 512, 512)),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=min(32, 128 // divide),
        sample_size=512,
        scaling_factor=0.18215,
    ).save_pretrained(folder)


def _text_encoder(folder: Path, divide: int) -> None:
    """The text model of CLIP ViT-B/32: 12 layers, 512 wide, 77 tokens."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=512 // divide,
        intermediate_size=2048 // divide,
        projection_dim=512 // divide,
        num_hidden_layers=12,
        num_attention_heads=8,
        max_position_embeddings=77,
    )
    CLIPTextModel(config).save_pretrained(folder)


def _tokenizer(folder: Path) -> None:
    """CLIP's own, from the byte-pair merges that open_clip ships."""
    from open_clip.tokenizer import SimpleTokenizer

    bpe = SimpleTokenizer()
    folder.mkdir(parents=True)
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {special.get(token, token): number for token, number in bpe.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = sorted(bpe.bpe_ranks, key=bpe.bpe_ranks.__getitem__)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"})
    )


def _evaluator(folder: Path, divide: int) -> None:
    """CLIP ViT-B/32 in open_clip's layout."""
    import open_clip
    from safetensors.torch import save_file

    config: dict[str, Any] = open_clip.get_model_config("ViT-B-32")
    config["embed_dim"] //= divide
    config["vision_cfg"]["width"] //= divide
    config["text_cfg"]["width"] //= divide
    folder.mkdir(parents=True)
    model = open_clip.CLIP(
        embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"]
    )
    preprocessing = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    content = {"name": "made", "model_cfg": config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )


def _perceptual(folder: Path) -> None:
    """LPIPS on AlexNet's trunk."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"net": "alex"}))
    save_file(untrained_lpips("alex").net.state_dict(), folder / "model.safetensors")


class _Inception(nn.Module):
    """Inception v3 up to its pooled features, called the way clean-fid calls its own file."""

    def __init__(self) -> None:
        super().__init__()
        layers = inception_v3(init_weights=True, aux_logits=False)
        layers.fc = nn.Identity()
        # Through 94 layers without their statistics, features of random weights grow to 1e10.
        for layer in layers.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        noise = 2 * torch.rand(4, 3, 299, 299) - 1
        layers(noise)
        self.layers = torch.jit.trace(layers.eval(), noise[:1], check_trace=False)

    def forward(self, pixels: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return self.layers((pixels - 128) / 128)


def _inception(folder: Path) -> None:
    """A TorchScript file as clean-fid's, 2048 features."""
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        # torch calls TorchScript deprecated; clean-fid has its network in no other form.
        warnings.filterwarnings("ignore", category=FutureWarning)
        torch.jit.script(_Inception().eval()).save(str(folder / INCEPTION_FILE))


def make_images(folder: Path, *, train: int, test: int, size: int) -> Path:
    """A data set in the task's format: coloured shapes of ``size`` pixels, one image a monster."""
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    y, x = np.mgrid[0:size, 0:size] / size
    described, prompts = {}, {}
    for number in range(train + test):
        colour, centre, radius = rng.integers(0, 256, 3), rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        image = Image.fromarray(np.where(inside[..., None], colour, 255).astype(np.uint8))
        text = f"A round monster of colour {number}."
        if number < train:
            image.save(folder / "train" / f"{number}_stand1_0.png")
            described[f"{number}_stand1"] = {
                "original_name": str(number),
                "given_description": [text],
                "action_description": "",
                "num_frames": 1,
            }
        else:
            image.save(folder / "test" / f"{number}_main.png")
            prompts[f"{number}_main"] = {
                "image_name": f"{number}_main.png",
                "given_description": text,
                "action_description": "",
                "text_prompt": text,
            }
    (folder / "train_info.json").write_text(json.dumps(described))
    (folder / "test.json").write_text(json.dumps(prompts))
    return folder
