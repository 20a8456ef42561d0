"""The typed records that pass between parts: what a stage hands on, what MLflow gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

METRICS: dict[str, str] = {
    "fid": "FID",
    "kid": "KID",
    "clip_i": "CLIP-I",
    "clip_t": "CLIP-T",
}
"""The metrics that every evaluated run has, and how they are written in tables."""

EpochRow = dict[str, float]
"""What one epoch measured: ``loss``, ``loss_mse``, ``loss_lpips``, ``loss_kl``, ``gradient_norm``,
``epoch_seconds``."""

LOWER_IS_BETTER = frozenset({"fid", "kid"})


@dataclass(frozen=True)
class RunRecord:
    """One run (variant × seed) as MLflow knows it. Complete by itself."""

    variant: str
    seed: int
    run_id: str
    status: str
    """MLflow's: FINISHED, FAILED, RUNNING or KILLED."""
    reason: str = ""
    """Why it failed."""
    params: Mapping[str, str] = field(default_factory=dict)
    """The configuration, flattened: ``train.learning_rate`` → ``0.001``."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Final figures: METRICS, ``accuracy_<attribute>`` (share, where the evaluator has labels),
    ``labels_<attribute>`` (how many labels there are to choose from, so chance is 1/labels),
    ``images``, ``reference_images``, ``feature_dimension``, ``sample_seconds``, ``train_seconds``."""
    history: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Per-epoch curves, (epoch, value): ``loss``, ``loss_mse``, ``loss_lpips``, ``loss_kl``,
    ``gradient_norm``, ``epoch_seconds``."""
    links: Sequence[str] = ()
    """The chain's keys K[1] … K[epochs] this run stands on: equal keys are the same training."""
    steps_per_epoch: int = 0
    feature_space: str = ""
    """Name of the space of FID and KID: ``sprites-clip`` or ``inception``."""
    evaluator: str = ""
    """Name of the model behind CLIP-I and CLIP-T."""
    samples: Path | None = None
    """Folder with the run's sample images, named by the prompt's ``image_name``."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """image_name → prompt, in the order of the prompts."""


@dataclass(frozen=True)
class ExperimentRecord:
    """One experiment as MLflow knows it: all that a report is made from."""

    name: str
    """Stem of the spec's file."""
    spec: Mapping[str, Any]
    """The resolved spec: question, profile, baseline, variants (name → overrides), seeds, claims,
    config (overrides that all variants share)."""
    configs: Mapping[str, Mapping[str, Any]]
    """Variant → its whole configuration, nested."""
    parent_run_id: str
    experiment_id: str
    runs: Sequence[RunRecord]
    provenance: Mapping[str, str] = field(default_factory=dict)
    """``commit``, ``python``, ``platform``, ``device`` and ``<package>`` versions."""
