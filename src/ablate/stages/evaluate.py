"""Stage evaluate: samples → features → every metric, and the scores of each image.

``evaluate/<key>/`` is what ``Evaluated`` reads. ``reference/<key>/`` holds the same features of the real
images, shared by all runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.data.images import load_image
from ablate.errors import SpecError
from ablate.metrics.accuracy import accuracies
from ablate.metrics.base import Measured, Result
from ablate.parts import PARTS
from ablate.parts.evaluator import EvaluatorPart
from ablate.records import LABELS
from ablate.stages import device as devices
from ablate.stages import evaluated
from ablate.stages.evaluated import Figures
from ablate.stages.prepared import Prepared
from ablate.stages.refusals import refuse_blank, refuse_features, refuse_result
from ablate.stages.sampled import Sampled
from ablate.stages.unchanged import refuse_other_parts
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ablate.experiment.config import Config
    from ablate.metrics.base import Metric
    from ablate.metrics.spaces.base import FeatureSpace
    from ablate.parts.evaluator import Evaluator
    from ablate.stages.keys import RunKeys
    from ablate.store import Store
    from ablate.vocabulary import Vocabulary


def evaluate(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Path:
    """Measures the run's samples, or finds the figures. Returns the entry's folder.

    Raises MeaninglessError, as ``refusals`` says, where no figure may be made of what there is.
    """

    def fill(out: Path) -> None:
        _measure(keys, store, out, progress)

    return store.make("evaluate", keys.evaluate, keys.evaluate_ingredients, fill)


def _measure(keys: RunKeys, store: Store, out: Path, progress: Callable[[str], None]) -> None:
    config = keys.config
    device = str(devices.setup(config.compute))
    prepared = Prepared(store.fetched("prepare", keys.prepare))
    prompts = prepared.prompts
    sampled = Sampled(store.path("sample", keys.sample))
    images = np.stack([load_image(sampled.image(p["image_name"]), config.data.size) for p in prompts])
    refuse_blank(images)

    progress("embedding")
    evaluator = EvaluatorPart(config.components.evaluator).load(device)
    space = feature_space(config, evaluator, device)
    refuse_other_parts(keys, store, "evaluator", *([space.part] if space.part else []))
    references = reference_features(keys, prepared, evaluator, space, store)
    measured = everything(images, prompts, references, evaluator, space)

    results: dict[str, Result] = {}
    for key, metric in metrics_of(config.vocabulary, evaluator).items():
        if (result := metric.measure(measured)) is not None:
            refuse_result(key, result, len(images))
            results[key] = result
    figures = {key: result.figure for key, result in results.items()}
    figures |= {f"{LABELS}{attribute}": len(names) for attribute, names in evaluator.labels.items()}
    figures |= {
        "images": len(images),
        "reference_images": len(measured.reference_features),
        "feature_dimension": measured.features.shape[1],
        "sample_seconds": sampled.seconds,
        "seconds_per_image": sampled.seconds / len(images),
        "evaluations_per_image": sampled.evaluations_per_image,
    }
    evaluated.write(
        out,
        Figures(figures, space.name, evaluator.name, sampled.weights),
        prompts,
        {key: result.scores for key, result in results.items() if result.scores is not None},
        features=measured.features,
        embeddings=measured.embeddings,
    )


def metrics_of(vocabulary: Vocabulary, evaluator: Evaluator) -> dict[str, Metric]:
    """Key → metric: those that the vocabulary has, and those that the evaluator brings.

    Raises SpecError if a plug-in has a metric of a name that the evaluator brings.
    """
    brought = accuracies(evaluator.labels)
    for plugin in vocabulary.plugins:
        if twice := sorted(brought.keys() & getattr(plugin.module(), "METRICS", {}).keys()):
            what = f"METRICS[{twice[0]!r}]: the evaluator {evaluator.name} brings a metric of this name"
            raise SpecError(what, where=plugin.path, fix="Choose another name.")
    return {**vocabulary.metrics, **brought}


def everything(
    images: NDArray[np.uint8],
    prompts: list[dict[str, Any]],
    references: dict[str, NDArray[np.float32]],
    evaluator: Evaluator,
    space: FeatureSpace,
) -> Measured:
    """All that metrics look at: the samples ``images`` [N, S, S, 3] of N prompts, what they are in the
    evaluator's space and in that of FID and KID, and the ``references`` of ``reference_features``."""
    embeddings = evaluator.encode_images(images)
    refuse_features(embeddings, len(images), "samples", f"the evaluator {evaluator.name}")
    texts = [prompt["text"] for prompt in prompts]
    prompt_embeddings = evaluator.encode_texts(texts)
    refuse_features(
        prompt_embeddings,
        len(texts),
        "prompts",
        f"the evaluator {evaluator.name}",
        distinct=len(set(texts)) > 1,
    )
    features = space.features_of(images, embeddings)
    refuse_features(features, len(images), "samples", f"the feature space {space.name}")
    rows = [-1 if prompt["reference"] is None else prompt["reference"] for prompt in prompts]
    return Measured(
        images=images,
        prompts=texts,
        evaluator=evaluator,
        embeddings=embeddings,
        prompt_embeddings=prompt_embeddings,
        real_embeddings=references["embeddings"],
        real_rows=np.array(rows, np.int64),
        features=features,
        reference_features=references["features"],
    )


def feature_space(config: Config, evaluator: Evaluator, device: str) -> FeatureSpace:
    """The space of FID and KID that the configuration chooses, with its network loaded.

    Raises ComponentError if there is no such network.
    """
    kind = config.vocabulary.spaces[config.evaluate.fid_features]
    if not kind.part:
        return kind(evaluator, device)
    part = PARTS[kind.part].named(config)
    assert part, "a space's part is named where the space is chosen"
    return kind(part.load(device), device)


def reference_features(
    keys: RunKeys, prepared: Prepared, evaluator: Evaluator, space: FeatureSpace, store: Store
) -> dict[str, NDArray[np.float32]]:
    """``features`` [M, D] of the real images for FID and KID, ``embeddings`` [R, E] of the prompts' real
    images.

    Raises MeaninglessError if they are not numbers, or the same for all images.
    """
    ingredients = evaluated.reference_ingredients(keys)

    def fill(folder: Path) -> None:
        real = prepared.references.numpy()
        embeddings = evaluator.encode_images(real) if len(real) else np.zeros((0, 1), np.float32)
        if keys.config.evaluate.reference == "train":
            features = space.features(prepared.images.numpy())
        else:
            features = space.features_of(real, embeddings) if len(real) else embeddings
        np.savez_compressed(folder / "reference.npz", features=features, embeddings=embeddings)

    folder = store.make("reference", key_of(ingredients), ingredients, fill)
    with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in ("features", "embeddings")}
    reference = keys.config.evaluate.reference
    count = len(prepared.images if reference == "train" else prepared.references)
    where = f"evaluate.reference: {reference}, in the feature space {space.name}"
    refuse_features(found["features"], count, "reference images", where)
    return found
