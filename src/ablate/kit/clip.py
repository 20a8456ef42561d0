"""The kit's two contrastive image–text models (arXiv:2103.00020).

The *text encoder* conditions the U-Net; it is a transformers CLIPTextModel, trained with an image
encoder that is kept only so that its retrieval can be checked. The *evaluator* scores images; it is an
open_clip model of another shape and seed, so that no model grades the features it was conditioned on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from ablate.kit.dataset import SIZE, KitData, shifted, to_unit
from ablate.kit.tokenizer import tokenized
from ablate.kit.training import Course, optimize, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

EVALUATOR_STEPS = 1100
TEXT_ENCODER_STEPS = 1200
BATCH = 128
EMBEDDING = 64
SCALE = float(np.log(1 / 0.07))


def train_pair(
    data: KitData,
    tokens: list[torch.Tensor],
    course: Course,
    modules: Iterable[torch.nn.Module],
    *,
    encode_images: Callable[[torch.Tensor], torch.Tensor],
    encode_texts: Callable[[torch.Tensor], torch.Tensor],
    log_scale: torch.nn.Parameter | None = None,
) -> None:
    """Train ``modules`` by symmetric cross-entropy over a batch's image–text similarities.

    ``tokens[i]`` holds the ids of image i's paraphrases, [P, L]. Images with the same captions share the
    target evenly, so that none is a negative of its twin. ``log_scale`` is that of one of the modules, if
    one has it.
    """
    parameters = [parameter for module in modules for parameter in module.parameters()]
    if log_scale is None:
        log_scale = torch.nn.Parameter(torch.tensor(SCALE))
        parameters.append(log_scale)
    rng = np.random.default_rng(course.seed)
    _, group = np.unique([" | ".join(texts) for texts in data.captions], return_inverse=True)
    batch = min(BATCH, len(data.images))

    def next_loss() -> torch.Tensor:
        chosen = rng.choice(len(data.images), size=batch, replace=False)
        texts = torch.stack([tokens[i][rng.integers(len(tokens[i]))] for i in chosen])
        images = F.normalize(encode_images(to_unit(shifted(data.images[chosen], rng))), dim=-1)
        logits = log_scale.clamp(max=np.log(100)).exp() * images @ F.normalize(encode_texts(texts), dim=-1).T
        same = torch.from_numpy(group[chosen][:, None] == group[chosen][None, :]).float()
        target = same / same.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    optimize(next_loss, parameters, course, lr=1e-3, weight_decay=0.05)


def train_text_encoder(data: KitData, out: Path, course: Course) -> None:
    """Write ``tokenizer/``, ``text_encoder/`` and ``image_encoder/`` below ``out``."""
    import transformers

    tokenizer, tokens = tokenized(data.captions)
    ends = {f"{end}_token_id": getattr(tokenizer, f"{end}_token_id") for end in ("bos", "eos", "pad")}
    width = 96
    with seeded(course.seed):
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=tokenizer.model_max_length,
                projection_dim=width,
                **ends,
            )
        )
        image = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                image_size=SIZE,
                patch_size=4,
                hidden_size=80,
                intermediate_size=160,
                num_hidden_layers=3,
                num_attention_heads=4,
                projection_dim=width,  # the text encoder's own width: its pooled state is the embedding
            )
        )
    train_pair(
        data,
        tokens,
        course,
        [text, image],
        encode_images=lambda x: image(pixel_values=x).image_embeds,
        encode_texts=lambda ids: text(input_ids=ids).pooler_output,
    )
    tokenizer.save_pretrained(out / "tokenizer")
    # Readers of the older layout look for these two files; the merges' order is their rank.
    tokenizer.backend_tokenizer.model.save(str(out / "tokenizer"))
    text.half().save_pretrained(out / "text_encoder")
    image.half().save_pretrained(out / "image_encoder")


def train_evaluator(
    data: KitData, out: Path, course: Course, *, name: str, labels: dict[str, dict[str, str]]
) -> None:
    """Write ``evaluator/`` below ``out``: a folder that open_clip loads as ``local-dir:``.

    ``name`` is the evaluator's in tables, ``labels`` its attributes for zero-shot accuracy.
    """
    import open_clip
    from safetensors.torch import save_file

    tokenizer, tokens = tokenized(data.captions)
    model_cfg: dict[str, Any] = {
        "embed_dim": EMBEDDING,
        "vision_cfg": {
            "image_size": SIZE,
            "patch_size": 4,
            "width": 96,
            "head_width": 24,
            "layers": 4,
            "mlp_ratio": 3.0,
            "pool_type": "avg",
        },
        "text_cfg": {
            "context_length": tokenizer.model_max_length,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": 64,
            "heads": 2,
            "layers": 2,
        },
    }
    preprocess_cfg = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}
    with seeded(course.seed):
        model = open_clip.CLIP(**model_cfg)
    train_pair(
        data,
        tokens,
        course,
        [model],
        encode_images=model.encode_image,
        encode_texts=model.encode_text,
        log_scale=model.logit_scale,
    )
    folder = out / "evaluator"
    tokenizer.save_pretrained(folder)
    # open_clip reads the two configurations; the name is ours, for tables.
    config = {"name": name, "model_cfg": model_cfg, "preprocess_cfg": {"mode": "RGB", **preprocess_cfg}}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
