"""The perceptual part: a SqueezeNet trunk for LPIPS (arXiv:1801.03924), learned from captions.

It is LPIPS' "baseline" form, every layer's unit-normalized difference averaged with equal weight,
because calibrated weights need human judgements of such images.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch

from ablate.kit.clip import train_pair
from ablate.kit.tokenizer import tokenized
from ablate.kit.training import Course, seeded
from ablate.parts.perceptual import untrained_lpips

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.kit.dataset import KitData

STEPS = 600
NET = "squeeze"


def train_perceptual(data: KitData, out: Path, course: Course) -> None:
    """Write ``perceptual/`` below ``out``: the trunk as safetensors and what it is.

    The trunk learns to match images with the bag of their captions' words. Words, not sentences: the
    trunk is what stays, and a text side without order leaves the work to it.
    """
    from safetensors.torch import save_file

    tokenizer, tokens = tokenized(data.captions)
    with seeded(course.seed):
        metric = untrained_lpips(NET, trainable=True)
        head = torch.nn.Linear(512, 128)
        words = torch.nn.EmbeddingBag(len(tokenizer), 128, mode="mean")
    train_pair(
        data,
        tokens,
        course,
        [metric.net, head, words],
        encode_images=lambda x: head(metric.net(metric.scaling_layer(x))[-1].mean(dim=(2, 3))),
        encode_texts=words,
    )
    folder = out / "perceptual"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in metric.net.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"net": NET, "lpips": False}) + "\n", encoding="utf-8")
