"""A synthetic experiment: what MLflow would give back, from seeded random numbers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from PIL import Image

from ablate.records import ExperimentRecord, RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EPOCHS, STEPS = 12, 48
ONSET = 8
"""Epoch at which the variant ``lpips-late`` leaves the others' trunk."""

# Shift of FID, KID, CLIP-I, CLIP-T against the baseline, and of the accuracies.
EFFECTS = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "from-start": (-4.0, -0.004, 0.008, 0.004, 0.02),
    "mid-way-stale": (12.3, 0.011, -0.02, -0.012, -0.15),
    "lpips-late": (0.3, 0.0005, 0.004, -0.001, 0.0),
}
OVERRIDES: dict[str, dict[str, Any]] = {
    "none": {},
    "from-start": {"ema": {"decay": 0.99, "start": "0%"}},
    "mid-way-stale": {"ema": {"decay": 0.99, "start": "50%", "shadow": "initial"}},
    "lpips-late": {"losses": {"lpips": {"weight": 0.1, "start": ONSET}, "kl": None}},
}
PROMPTS = {
    f"{number}_main.png": f"A {colour} {body} monster with {feature}. The monster is {action}."
    for number, (colour, body, feature, action) in enumerate(
        (c, b, f, a)
        for c, a in (("red", "attacking"), ("blue", "standing"), ("grey", "dying"), ("pink", "being hit"))
        for b, f in (("slime", "a crown"), ("octopus", "one big eye"), ("bird", "horns"))
    )
}


class MakeRecord(Protocol):
    def __call__(
        self, *, variants: Sequence[str] = ..., seeds: Sequence[int] = ..., samples: bool = ...
    ) -> ExperimentRecord: ...


@pytest.fixture
def make_record(tmp_path: Path) -> MakeRecord:
    """Builds the record of ``variants`` × ``seeds``; all runs finished, with tiny sample images."""

    def make(
        *, variants: Sequence[str] = tuple(EFFECTS), seeds: Sequence[int] = range(6), samples: bool = True
    ) -> ExperimentRecord:
        runs = [_run(variant, seed, tmp_path if samples else None) for variant in variants for seed in seeds]
        return ExperimentRecord(
            name="synthetic",
            spec={
                "question": "Does an average of the weights help, and does LPIPS?",
                "profile": "sprites",
                "config": {},
                "baseline": "none",
                "variants": {variant: OVERRIDES[variant] for variant in variants},
                "seeds": list(seeds),
                "claims": [
                    {
                        "text": "EMA added in the middle made results worse.",
                        "source": "a README",
                        "variant": "mid-way-stale",
                        "against": "none",
                        "metric": "fid",
                        "direction": "higher",
                        "margin": None,
                    }
                ],
            },
            configs={variant: _config(variant) for variant in variants},
            parent_run_id="p" * 32,
            experiment_id="1",
            runs=runs,
            provenance={"commit": "0123abc", "python": "3.11.9", "torch": "2.15.0", "device": "cpu"},
        )

    return make


@pytest.fixture
def record(make_record: MakeRecord) -> ExperimentRecord:
    """Four variants × six seeds."""
    return make_record()


def _config(variant: str) -> dict[str, Any]:
    return {
        "data": {"path": "sprites", "size": 32},
        "train": {"epochs": EPOCHS, "learning_rate": 1e-3},
        "losses": {"lpips": None, "kl": None},
        "ema": None,
        "sample": {"scheduler": "DPMSolverMultistepScheduler", "options": {}, "steps": 12},
    } | OVERRIDES[variant]


def _run(variant: str, seed: int, folder: Path | None) -> RunRecord:
    rng = np.random.default_rng([seed, *variant.encode()])
    level = np.random.default_rng(seed).normal(0, 1, 4)
    fid, kid, clip_i, clip_t, accuracy = EFFECTS[variant]
    noise = rng.normal(0, 1, 8)
    epochs, links = range(EPOCHS), _links(variant, seed)
    # The loss of an epoch belongs to its link: equal links, equal losses.
    draws = [np.random.default_rng(list(bytes.fromhex(link))).normal(0, 1, 3) for link in links]
    history = {
        "loss_mse": [(e, 0.12 + 0.9 * np.exp(-e / 2) + 0.01 * draws[e][0]) for e in epochs],
        "epoch_seconds": [(e, 10.0 + 0.1 * draws[e][1]) for e in epochs],
    }
    if variant == "lpips-late":
        history["loss_lpips"] = [(e, 0.3 + 0.01 * draws[e][2] - 0.01 * e) for e in epochs if e >= ONSET]
    return RunRecord(
        variant=variant,
        seed=seed,
        run_id=hashlib.sha256(f"{variant} {seed}".encode()).hexdigest()[:32],
        status="FINISHED",
        metrics={
            "fid": 60 + fid + 3 * level[0] + noise[0],
            "kid": 0.05 + kid + 0.003 * level[1] + 0.001 * noise[1],
            "clip_i": 0.8 + clip_i + 0.01 * level[2] + 0.003 * noise[2],
            "clip_t": 0.29 + clip_t + 0.004 * level[3] + 0.001 * noise[3],
            "accuracy_body": min(0.9 + accuracy + 0.01 * noise[4], 1.0),
            "accuracy_colour": min(0.8 + accuracy + 0.02 * noise[5], 1.0),
            "labels_body": 8.0,
            "labels_colour": 8.0,
            "images": 512.0,
            "reference_images": 512.0,
            "feature_dimension": 128.0,
            "sample_seconds": 21.0,
        },
        history=history,
        links=links,
        steps_per_epoch=STEPS,
        feature_space="sprites-clip",
        evaluator="sprites-clip",
        samples=folder and _samples(folder / f"{variant}-{seed}", rng),
        prompts=PROMPTS if folder else {},
    )


def _links(variant: str, seed: int) -> list[str]:
    """A chain: EMA observes and does not change it, LPIPS does from its onset on."""
    key, links = f"seed {seed}", []
    for epoch in range(EPOCHS):
        active = variant if variant == "lpips-late" and epoch >= ONSET else ""
        key = hashlib.sha256(f"{key} {active}".encode()).hexdigest()
        links.append(key)
    return links


def _samples(folder: Path, rng: np.random.Generator) -> Path:
    folder.mkdir()
    for name in PROMPTS:
        pixels = np.kron(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8), np.ones((2, 2, 1), np.uint8))
        Image.fromarray(pixels).save(folder / name)
    return folder
