"""Stage evaluate: samples → FID, KID, CLIP-I, CLIP-T, and the scores of each image.

``evaluate/<key>/`` holds
    metrics.json   the run's figures
    scores.json    one row an image: image_name, prompt, clip_t, clip_i, accuracy_<attribute>
    features.npz   the features behind FID and KID, and the embeddings (no pickles)
``reference/<key>/`` holds the same features of the real images, shared by all runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ablate import fingerprint
from ablate.data.captions import load_image
from ablate.metrics.clip import cosine
from ablate.metrics.distance import fid, kid
from ablate.metrics.inception import inception_features
from ablate.metrics.zero_shot import candidates, zero_shot
from ablate.parts.evaluator import EvaluatorPart
from ablate.parts.inception import CLEAN_FID, InceptionPart
from ablate.stages import device as devices
from ablate.stages.prepare import Prepared
from ablate.stages.sample import png_name
from ablate.store import key_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ablate.keys import RunKeys
    from ablate.parts.evaluator import Evaluator
    from ablate.spec.config import Config
    from ablate.store import Store

INCEPTION = "inception"


def evaluate(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Path:
    """Measures the run's samples, or finds the figures. Returns the entry's folder."""
    with store.lock(f"evaluate-{keys.evaluate}"):
        if not store.has("evaluate", keys.evaluate):
            _make(keys, store, progress)
    return store.path("evaluate", keys.evaluate)


def _make(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> None:
    config = keys.config
    device = devices.setup(config.compute)
    prepared = Prepared(store.path("prepare", keys.prepare))
    prompts = prepared.prompts
    folder = store.path("sample", keys.sample)
    sampled = json.loads((folder / "sampled.json").read_text())
    images = np.stack(
        [load_image(folder / "images" / png_name(p["image_name"]), config.data.size) for p in prompts]
    )

    progress("embedding")
    evaluator = EvaluatorPart(config.components.evaluator).load(str(device))
    embeddings = evaluator.encode_images(images)
    texts = [prompt["text"] for prompt in prompts]
    scores: dict[str, NDArray[Any]] = {"clip_t": cosine(embeddings, evaluator.encode_texts(texts))}
    references = reference_features(keys, prepared, evaluator, store)
    paired = [number for number, prompt in enumerate(prompts) if prompt["reference"] is not None]
    if paired:
        rows = [prompts[number]["reference"] for number in paired]
        clip_i = np.full(len(prompts), np.nan)
        clip_i[paired] = cosine(embeddings[paired], references["embeddings"][rows])
        scores["clip_i"] = clip_i
    for attribute, correct in zero_shot(embeddings, texts, evaluator).items():
        phrases = list(evaluator.labels[attribute].values())
        accuracy = np.full(len(prompts), np.nan)
        accuracy[[bool(candidates(text, phrases)) for text in texts]] = correct
        scores[f"accuracy_{attribute}"] = accuracy

    use_inception = config.evaluate.fid_features == INCEPTION
    features = _inception_features(images, config, device.type) if use_inception else embeddings
    metrics = {name: float(np.nanmean(values)) for name, values in scores.items()}
    if len(references["features"]) > 1 and len(features) > 1:
        metrics["fid"] = fid(features, references["features"])
        metrics["kid"] = kid(features, references["features"])
    metrics |= {f"labels_{attribute}": len(names) for attribute, names in evaluator.labels.items()}
    metrics |= {
        "images": len(images),
        "reference_images": len(references["features"]),
        "feature_dimension": features.shape[1],
        "sample_seconds": sampled["seconds"],
        "seconds_per_image": sampled["seconds"] / len(images),
        "evaluations_per_image": sampled["evaluations_per_image"],
    }
    record = {
        "metrics": metrics,
        "feature_space": INCEPTION if use_inception else evaluator.name,
        "evaluator": evaluator.name,
        "weights": sampled["weights"],
    }
    table = [
        {"image_name": prompt["image_name"], "prompt": prompt["text"]}
        | {name: _number(values[row]) for name, values in scores.items()}
        for row, prompt in enumerate(prompts)
    ]
    with store.writing("evaluate", keys.evaluate, keys.evaluate_ingredients) as out:
        (out / "metrics.json").write_text(json.dumps(record, indent=1))
        (out / "scores.json").write_text(json.dumps(table, indent=1))
        np.savez_compressed(out / "features.npz", features=features, embeddings=embeddings)


def reference_features(
    keys: RunKeys, prepared: Prepared, evaluator: Evaluator, store: Store
) -> dict[str, NDArray[np.float32]]:
    """``features`` of the real images for FID and KID, ``embeddings`` of the prompts' real images."""
    config = keys.config
    ingredients = {
        "prepare": keys.prepare,
        "evaluator": keys.evaluate_ingredients["evaluator"],
        "inception": keys.evaluate_ingredients.get("inception"),
        "evaluate": config.evaluate.model_dump(mode="json"),
        "code": fingerprint.of_stage("evaluate"),
    }
    key = key_of(ingredients)
    with store.lock(f"reference-{key}"):
        if not store.has("reference", key):
            real = prepared.references.numpy()
            embeddings = evaluator.encode_images(real) if len(real) else np.zeros((0, 1), np.float32)
            chosen = real if config.evaluate.reference == "test" else prepared.images.numpy()
            if config.evaluate.fid_features == INCEPTION:
                features = _inception_features(chosen, config, evaluator.device)
            else:
                features = embeddings if chosen is real else evaluator.encode_images(chosen)
            with store.writing("reference", key, ingredients) as folder:
                np.savez_compressed(folder / "reference.npz", features=features, embeddings=embeddings)
    with np.load(store.path("reference", key) / "reference.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("features", "embeddings")}


def _inception_features(images: NDArray[np.uint8], config: Config, device: str) -> NDArray[np.float32]:
    model = InceptionPart(config.components.inception or CLEAN_FID).load(device)
    return inception_features(images, device, model=model)


def _number(value: float) -> float | None:
    """JSON has no NaN: a score that an image does not have is null."""
    return None if np.isnan(value) else float(value)
