"""What ``show`` and ``compare`` print."""

from __future__ import annotations

from typing_extensions import TypedDict


class RecordedRun(TypedDict):
    """A variant with a seed, as MLflow has it."""

    variant: str
    """Its name."""
    seed: int
    """Its seed."""
    run_id: str
    """Its id in MLflow."""
    status: str
    """Its status in MLflow: FINISHED, FAILED, RUNNING or KILLED."""
    reason: str
    """Why it failed; empty where it did not."""
    metrics: dict[str, float | None]
    """The final figures by their keys."""
    params: dict[str, str]
    """The configuration by its fields, as train.learning_rate."""
    feature_space: str
    """The feature space of FID and KID."""
    evaluator: str
    """The model behind CLIP-I and CLIP-T."""
    samples: str | None
    """Folder with its samples; null where there are none here."""


class Shown(TypedDict):
    """The runs of an experiment or of a variant, or one run."""

    experiment: str
    """Its name."""
    parent_run_id: str
    """MLflow's run that the others are in."""
    provenance: dict[str, str]
    """Commit, machine and versions."""
    runs: list[RecordedRun]
    """The runs that count."""


class Interval(TypedDict):
    """A mean over seeds with its 95 % interval."""

    mean: float | None
    """The mean; null where it is not a finite number."""
    low: float | None
    """Lower end; null where one seed gives no interval."""
    high: float | None
    """Upper end; null where one seed gives no interval."""
    n: int
    """Number of seeds."""


class ComparedMetric(TypedDict):
    """A metric on both sides."""

    label: str
    """As reports call it."""
    lower_is_better: bool
    """Whether lower values are better."""
    a: Interval | None
    """The mean of A; null where A has none."""
    b: Interval | None
    """The mean of B; null where B has none."""
    difference: Interval | None
    """A − B, paired by seed; null where no seed has both."""
    p: float | None
    """p of the difference, uncorrected."""


class ComparedPair(TypedDict):
    """Runs of one variant of A beside runs of one variant of B."""

    title: str
    """The variant, or both variants."""
    settings: dict[str, list[str]]
    """Field that differs → its values in A and in B; empty text where there is none."""
    seeds: list[int]
    """Seeds of which both sides have a finished run."""
    shared_epochs: dict[str, list[int]]
    """Seed → epochs that both share to the last bit, and how many A and B have."""
    metrics: dict[str, ComparedMetric]
    """The metrics by their keys."""
    notes: list[str]
    """What to know before one believes the figures."""


class Comparison(TypedDict):
    """What differs between A and B."""

    a: str
    """A, as it was named."""
    b: str
    """B, as it was named."""
    versions: dict[str, list[str]]
    """Commit, library or machine that differs → what A and B have."""
    pairs: list[ComparedPair]
    """The pairs, variant by variant."""
    only_a: list[str]
    """Variants that B lacks."""
    only_b: list[str]
    """Variants that A lacks."""
