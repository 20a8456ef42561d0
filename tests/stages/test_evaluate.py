"""Evaluation: the figures are the means of what stands beside each image, and can be read again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ablate.errors import SpecError
from ablate.fingerprint import Contents
from ablate.metrics.fid import Fid
from ablate.metrics.kid import Kid
from ablate.parts.evaluator import Evaluator
from ablate.plugins import Plugin
from ablate.stages.evaluate import evaluate, metrics_of
from ablate.stages.evaluated import Evaluated, Figures, networks, reference_ingredients
from ablate.stages.keys import RunKeys
from ablate.stages.prepare import prepare
from ablate.stages.sample import sample
from ablate.stages.train import train
from ablate.store import Store
from ablate.store.files import key_of
from ablate.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.metrics.base import Metric
    from tests.conftest import MakeConfig, MakeKeys

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def quiet(_: object) -> None:
    """Progress that nobody wants to see."""


def measure(keys: RunKeys, store: Store) -> Path:
    prepare(keys, store, quiet)
    train(keys, [], 0, 1, store, quiet, quiet)
    sample(keys, store, quiet)
    return evaluate(keys, store, quiet)


def read(folder: Path) -> tuple[Figures, list[dict[str, Any]]]:
    evaluated = Evaluated(folder)
    return evaluated.figures, evaluated.scores


@pytest.fixture(scope="module")
def measured(make_keys: MakeKeys, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunKeys, Store]:
    keys, store = make_keys({"train": {"epochs": 1}}), Store(tmp_path_factory.mktemp("measured"))
    measure(keys, store)
    return keys, store


@pytest.fixture
def folder(measured: tuple[RunKeys, Store]) -> Path:
    keys, store = measured
    return store.path("evaluate", keys.evaluate)


def test_each_figure_is_the_mean_of_the_images_scores(folder: Path) -> None:
    record, scores = read(folder)
    names = set(scores[0]) - {"image_name", "prompt"}
    assert names == {"clip_t", "clip_i", *(f"accuracy_{a}" for a in ("body", "colour", "feature", "action"))}
    for name in names:
        assert record.metrics[name] == pytest.approx(np.mean([row[name] for row in scores]), abs=1e-9)


def test_there_is_a_row_for_each_prompt_in_their_order(folder: Path, data_folder: Path) -> None:
    _, scores = read(folder)
    entries = json.loads((data_folder / "test.json").read_text()).values()
    assert [(row["image_name"], row["prompt"]) for row in scores] == [
        (entry["image_name"], entry["text_prompt"]) for entry in entries
    ]


def test_the_features_are_read_without_pickles_and_give_the_figures_again(
    folder: Path, measured: tuple[RunKeys, Store]
) -> None:
    record, _ = read(folder)
    keys, store = measured
    reference = key_of(reference_ingredients(keys))
    features, embeddings = Evaluated(folder).features, Evaluated(folder).embeddings
    with np.load(store.path("reference", reference) / "reference.npz", allow_pickle=False) as arrays:
        real = arrays["features"]
    assert features.shape == (6, record.metrics["feature_dimension"])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert record.metrics["fid"] == pytest.approx(Fid().compute(features, real), abs=1e-6)
    assert record.metrics["kid"] == pytest.approx(Kid().compute(features, real), abs=1e-6)


def test_the_record_says_how_many_images_of_what_space_were_compared(folder: Path) -> None:
    record, _ = read(folder)
    assert record.feature_space == record.evaluator == "sprites-clip"
    assert (record.metrics["images"], record.metrics["reference_images"]) == (6, 6)
    assert record.metrics["labels_body"] == 8
    assert len(record.weights) == 64


def test_what_stands_for_a_network_is_known_by_the_name_of_its_space(
    folder: Path, measured: tuple[RunKeys, Store], make_keys: MakeKeys, tmp_path: Path
) -> None:
    figures, _ = read(folder)
    evaluator = {"sprites-clip": measured[0].part("evaluator")}
    assert evaluator["sprites-clip"].startswith("content:")
    assert networks(measured[0], figures) == evaluator
    in_inception = replace(figures, feature_space="inception")
    chosen = {"evaluate": {"fid_features": "inception"}}
    assert networks(make_keys(chosen), in_inception) == evaluator
    file = tmp_path / "inception-2015-12-05.pt"
    file.write_bytes(b"a network")
    named = make_keys(chosen, {"components": {"inception": {"source": str(file)}}})
    digest = named.contents.of_file(file)
    assert networks(named, in_inception) == evaluator | {"inception": digest}


def test_a_metric_of_a_plug_in_that_the_evaluator_brings_as_well_is_refused() -> None:
    source = "from ablate.metrics.accuracy import Accuracy\nMETRICS = {'accuracy_x': Accuracy('x', ['a'])}"
    vocabulary = vocabulary_of((Plugin("mine.py", source),))

    def metrics_with(labels: dict[str, dict[str, str]]) -> dict[str, Metric]:
        return metrics_of(vocabulary, Evaluator("kit-clip", labels, "cpu", None, None, None))

    assert {"fid", "accuracy_x", "accuracy_y"} <= metrics_with({"y": {"b": "b"}}).keys()
    with pytest.raises(SpecError) as caught:
        metrics_with({"x": {"a": "a"}})
    said = "mine.py: METRICS['accuracy_x']: the evaluator kit-clip brings a metric of this name"
    assert str(caught.value).startswith(said)


def test_the_training_images_can_be_the_reference(
    make_config: MakeConfig, measured: tuple[RunKeys, Store], contents: Contents
) -> None:
    _, store = measured
    config = make_config({"train": {"epochs": 1}, "evaluate": {"reference": "train"}})
    record, _ = read(measure(RunKeys(config, 0, contents), store))
    assert record.metrics["reference_images"] == 32


@pytest.fixture
def measure_other_data(
    make_config: MakeConfig, data_folder: Path, tmp_path: Path
) -> Callable[[Callable[[Path], None]], tuple[Figures, list[dict[str, Any]]]]:
    """Measures a run on the data set with something changed in it."""

    def run(change: Callable[[Path], None]) -> tuple[Figures, list[dict[str, Any]]]:
        data = shutil.copytree(data_folder, tmp_path / "data")
        change(data)
        config = make_config({"train": {"epochs": 1}, "data": {"path": str(data)}})
        return read(
            measure(RunKeys(config, 0, Contents(tmp_path / "digests.json")), Store(tmp_path / "store"))
        )

    return run


def test_an_image_without_a_counterpart_has_no_score_and_the_others_keep_theirs(
    measure_other_data: Callable[..., tuple[Figures, list[dict[str, Any]]]],
) -> None:
    names: list[str] = []

    def change(data: Path) -> None:
        entries = json.loads((data / "test.json").read_text())
        first, second, *_ = entries.values()
        first["text_prompt"] = "A strange shape."  # none of the evaluator's labels
        (data / "test" / second["image_name"]).unlink()
        names.extend((first["image_name"], second["image_name"]))
        (data / "test.json").write_text(json.dumps(entries))

    record, scores = measure_other_data(change)
    rows = {row["image_name"]: row for row in scores}
    assert len(rows) == 6
    assert [rows[names[0]][f"accuracy_{name}"] for name in ("body", "colour", "feature", "action")] == [
        None
    ] * 4
    assert rows[names[1]]["clip_i"] is None
    assert rows[names[1]]["accuracy_body"] in (0.0, 1.0)
    for name in ("clip_i", "clip_t", "accuracy_body"):
        known = [row[name] for row in scores if row[name] is not None]
        assert len(known) == (6 if name == "clip_t" else 5)
        assert record.metrics[name] == pytest.approx(np.mean(known), abs=1e-9)
    assert record.metrics["reference_images"] == 5


def test_without_real_images_there_is_neither_a_distance_nor_clip_i(
    measure_other_data: Callable[..., tuple[Figures, list[dict[str, Any]]]],
) -> None:
    record, scores = measure_other_data(lambda data: shutil.rmtree(data / "test"))
    assert not {"fid", "kid", "clip_i"} & set(record.metrics)
    assert record.metrics["clip_t"] == pytest.approx(np.mean([row["clip_t"] for row in scores]))
