"""A run whose figures others' software can compute too, and torchmetrics as a second implementation."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ablate.data import captions
from ablate.stages.evaluate import evaluate
from ablate.stages.evaluated import Evaluated
from ablate.stages.prepare import prepare
from ablate.stages.sample import sample
from ablate.stages.sampled import png_name
from ablate.stages.train import train
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.conftest import MakeKeys

torch.set_num_threads(1)


def quiet(_: object) -> None:
    """Progress that nobody wants to see."""


# ── a run ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Measured:
    """What a run wrote about its samples, and the files that it measured, in its order."""

    metrics: Mapping[str, float]
    scores: list[dict[str, Any]]
    prompts: list[str]
    samples: list[Path]
    counterparts: list[Path]
    """The real image of each prompt."""
    reference: list[Path]
    """The images that FID and KID compare with."""


@pytest.fixture(scope="session", params=["test", "train"])
def measured(
    request: pytest.FixtureRequest,
    make_keys: MakeKeys,
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Measured:
    """6 samples against 6 test images or 32 training images.

    Two steps of training draw six times the same noise, so training images take the samples' places.
    """
    keys = make_keys({"train": {"epochs": 1}, "evaluate": {"reference": request.param}})
    store = Store(tmp_path_factory.mktemp(request.param) / "store")
    prepare(keys, store, quiet)
    train(keys, [], 0, 1, store, quiet, quiet)
    drawn = sample(keys, store, quiet) / "images"
    entries = list(json.loads((data_folder / "test.json").read_text()).values())
    samples = [drawn / png_name(entry["image_name"]) for entry in entries]
    training = [image.path for image in captions.read(data_folder).train]
    for source, place in zip(training[::5], samples, strict=False):
        assert place.exists()
        shutil.copy(source, place)
    evaluated = Evaluated(evaluate(keys, store, quiet))
    counterparts = [data_folder / "test" / entry["image_name"] for entry in entries]
    return Measured(
        metrics=evaluated.figures.metrics,
        scores=evaluated.scores,
        prompts=[entry["text_prompt"] for entry in entries],
        samples=samples,
        counterparts=counterparts,
        reference=counterparts if request.param == "test" else training,
    )


# ── torchmetrics ─────────────────────────────────────────────────────────────────────────────────

Distance = FrechetInceptionDistance | KernelInceptionDistance


class AsTheyAre(torch.nn.Identity):
    """A feature extractor for what is features already."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension


def show(distance: Distance, samples: NDArray[np.floating], reference: NDArray[np.floating]) -> Distance:
    distance.update(torch.from_numpy(samples.astype(np.float64)), real=False)
    distance.update(torch.from_numpy(reference.astype(np.float64)), real=True)
    return distance


@pytest.fixture(scope="session")
def torchmetrics_fid() -> Callable[[NDArray[np.floating], NDArray[np.floating]], float]:
    """FID of features [N, D] and [M, D]."""

    def fid(samples: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
        return float(
            show(FrechetInceptionDistance(AsTheyAre(samples.shape[1])), samples, reference).compute()
        )

    return fid


@pytest.fixture(scope="session")
def torchmetrics_kid() -> Callable[[NDArray[np.floating], NDArray[np.floating]], float]:
    """KID of features [N, D] and [M, D], the mean over the same subsets as clean-fid draws from seed 0."""

    def kid(samples: NDArray[np.floating], reference: NDArray[np.floating], subsets: int = 100) -> float:
        size = min(len(samples), len(reference), 1000)
        extractor = AsTheyAre(samples.shape[1])
        generator = np.random.RandomState(0)
        values = []
        for _ in range(subsets):
            some_reference = reference[generator.choice(len(reference), size, replace=False)]
            some_samples = samples[generator.choice(len(samples), size, replace=False)]
            distance = KernelInceptionDistance(extractor, subsets=1, subset_size=size)
            with torch.random.fork_rng(devices=[]):
                values.append(float(show(distance, some_samples, some_reference).compute()[0]))
        return float(np.mean(values))

    return kid
