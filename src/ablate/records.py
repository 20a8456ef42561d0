"""The typed records that pass between parts: what a stage hands on, what MLflow gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


BY_SEEDS = ("wilcoxon",)
"""Pruners whose marks are seeds. Those of the others are epochs."""
CONFIRMATION, PATH = "confirmation", "path"
"""Stages of a search after its trials, where it says how many steps were trained for what."""

DIFFERENCE = "difference"
"""What a finding is about that compares a variant with the baseline."""


@dataclass(frozen=True)
class Finding:
    """What the audit says about one thing in one variant."""

    variant: str
    about: str
    """``difference``: the variant against the baseline; else a field: ``losses.lpips``."""
    act: str
    """``active``: changes the training. ``passive``: changes what is drawn or measured, by design.
    ``inert``: was meant to act and does not. ``warning``: acts, in a way that is probably not meant."""
    layer: str = ""
    """Where the difference dies: the first layer of LAYERS that is the same with and without it."""
    reason: str = ""
    """Why, in words."""
    epoch: int = 0
    """The epoch whose batches were looked at."""
    changes: Mapping[str, float] = field(default_factory=dict)
    """Layer → relative size of the difference there; 0: the same to the last bit. Layers that were not
    looked at are absent."""
    expected: bool = False
    """The spec says ``expect: inert`` of this variant."""


@dataclass(frozen=True)
class Cluster:
    """The machines that an experiment runs on, as they are now."""

    nodes: int
    cpus: int
    gpus: int
    tasks: int
    """Of this experiment, that they are at."""


@dataclass(frozen=True)
class Verification:
    """Variants trained together, sharing trunks, and each by itself: the same weights, in what time."""

    seed: int
    shared_seconds: float
    separate_seconds: Mapping[str, float]
    """Variant → seconds of training it from scratch."""
    equal: Mapping[str, bool]
    """Variant → whether the weights are equal to the last bit."""

    @property
    def ratio(self) -> float:
        """How many times as long the separate training runs took."""
        return sum(self.separate_seconds.values()) / self.shared_seconds


@dataclass(frozen=True)
class Call:
    """What one call of ``ablate run`` was expected to take, and took."""

    workers: int
    device: str
    """What the hours are of: ``GPU`` or ``core``."""
    expected_seconds: float | None
    """Wall time; None where nothing was known of some of the work."""
    expected_hours: float | None
    """Hours of all devices together."""
    seconds: float
    hours: float


FINISHED, FAILED = "FINISHED", "FAILED"
"""MLflow's words for a run that came to its end, and for one that did not."""

AT_MARK = "at_mark_"
"""Begins the name of a metric that was taken on the way, at a mark of a pruner; its step is the epoch."""
CURVES = ("loss", "gradient_norm", "epoch_", AT_MARK)
"""How the names of figures begin that have a value for each epoch."""
LABELS = "labels_"
"""Begins the name of the number of labels that an evaluator has for an attribute."""
BESIDE_METRICS = (
    *("images", "reference_images", "feature_dimension", "evaluations_per_image"),
    *("sample_seconds", "train_seconds", "seeds"),
    *("variant", "seed", "status", "run_id", "image_name", "prompt"),
)
"""Figures that are recorded beside metrics and costs, and the columns that tables have beside figures."""

EpochRow = dict[str, float]
"""What one epoch measured: ``loss``, ``loss_mse``, ``loss_lpips``, ``loss_kl``, ``gradient_norm``,
``epoch_seconds``."""

LAYERS = (
    "batch",
    "loss",
    "gradient",
    "clipped gradient",
    "update",
    "EMA weights",
    "images",
    "scores",
)
"""What the audit compares, in the order in which data flow through a training step and beyond."""


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
    """Final figures: those of ``ablate.metrics``, costs included, ``accuracy_<attribute>`` (share, where
    the evaluator has labels), ``labels_<attribute>`` (how many labels there are to choose from, so chance
    is 1/labels), ``images``, ``reference_images``, ``feature_dimension``, ``sample_seconds``,
    ``train_seconds``, ``evaluations_per_image``."""
    history: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Per-epoch curves, (epoch, value): ``loss``, ``loss_mse``, ``loss_lpips``, ``loss_kl``,
    ``gradient_norm``, ``epoch_seconds``."""
    links: Sequence[str] = ()
    """The chain's keys K[1] … K[epochs] this run rests on: equal keys are the same training."""
    steps_per_epoch: int = 0
    feature_space: str = ""
    """Name of the space of FID and KID: ``sprites-clip`` or ``inception``."""
    evaluator: str = ""
    """Name of the model behind CLIP-I and CLIP-T."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Name of a space → what stands for its network; empty in records of older versions."""
    device: str = ""
    """Class of device that it was computed on, in words; "" where that is not recorded."""
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
    """The resolved spec, ``experiment.spec.ExperimentSpec`` as plain data. A design is expanded: ``variants``
    has every variant and ``baseline`` is set, also where the file has ``factors``."""
    configs: Mapping[str, Mapping[str, Any]]
    """Variant → its whole configuration, nested."""
    parent_run_id: str
    experiment_id: str
    runs: Sequence[RunRecord]
    provenance: Mapping[str, str] = field(default_factory=dict)
    """``commit``, ``python``, ``platform``, ``device`` and ``<package>`` versions."""
    findings: Sequence[Finding] | None = None
    """What the audit found; None where the experiment ran without it."""
    verified: Verification | None = None
    """What ``ablate verify`` measured; None where it was not called."""
    calls: Sequence[Call] = ()
    """The calls of ``ablate run`` that did some work and came to their end, oldest first."""
    file: str = ""
    """The spec's file, from the folder in which the command was given; "" in records of older versions."""
    data: str = ""
    """Digest of the data of all variants; "" where they were not there, and in records of older versions."""
    options: Sequence[str] = ()
    """Of the command line, those that changed what the file says: ``--seeds``, ``0-11``."""
    search: Mapping[str, Any] | None = None
    """Of a search: ``proposals`` (name, params, kind, round, reason), ``confirmed`` (names), ``trained``
    (variant or stage → optimizer steps that nobody had trained before it) and ``scored`` (trial, step, value,
    pruned: trials at the marks of the pruner, in the order in which they were judged) and ``asked`` (trial
    that was pruned → optimizer steps of it in full); records of older versions lack these two."""
