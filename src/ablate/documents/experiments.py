"""What ``plan``, ``audit``, ``verify`` and ``next`` print."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class PlannedRun(TypedDict):
    """A variant with a seed, and what the store has of it."""

    variant: str
    """Its name."""
    seed: int
    """Its seed."""
    key: str
    """Key of its measurements in the store."""
    prepared: bool
    """Whether the store has its prepared data."""
    sampled: bool
    """Whether the store has its samples."""
    measured: bool
    """Whether the store has its measurements."""


class Segment(TypedDict):
    """A stretch of training that some variants share."""

    key: str
    """Key of the state at its end."""
    seed: int
    """Its seed."""
    variants: list[str]
    """The variants that share it."""
    begin: int
    """Its first epoch."""
    end: int
    """The epoch after its last one."""
    observers: int
    """Averages of the weights that are taken during it."""
    epochs_to_train: int
    """Epochs of it that the store lacks."""


class Steps(TypedDict):
    """Optimizer steps."""

    asked: int
    """Steps if each run were trained by itself."""
    unique: int
    """Steps if what runs share is trained once."""
    to_train: int
    """The unique steps that the store lacks."""


class Workers(TypedDict):
    """What the work takes with a number of workers."""

    workers: int
    """Number of workers."""
    seconds: float
    """Time from the first task to the last."""
    least_seconds: float
    """A bound: no order of the tasks takes less."""
    price: float | None
    """Price of this time, in the unit of --price-per-hour; null without it."""


class Cost(TypedDict):
    """Hours, times and money, as far as somebody has measured what they follow from."""

    unknown: list[str]
    """Work of which nobody knows how long it takes."""
    sources: list[str]
    """What says how long the rest takes."""
    device: str
    """What the hours are of: GPU or core."""
    hours: float | None
    """Hours of all devices together; null where some of it is unknown."""
    price: float | None
    """Price of these hours; null without --price-per-hour."""
    disk_bytes: int | None
    """By how much the store grows, at least; null where it has no U-Net of such a shape yet."""
    workers: list[Workers]
    """For each number of workers that saves time; empty where something is unknown."""


class Plan(TypedDict):
    """What would run, why, and what it costs."""

    experiment: str
    """Its name."""
    question: str
    """The question, as the spec has it."""
    design: str
    """How the variants were made, in words."""
    baseline: str | None
    """The variant that the others are compared with; null where there is none."""
    variants: dict[str, dict[str, Any]]
    """Name → the fields that it overrides."""
    runs: list[PlannedRun]
    """All runs, also those that are done."""
    segments: list[Segment]
    """All segments, also those that are trained."""
    steps: Steps
    """How much sharing saves."""
    devices: dict[str, list[str]]
    """Class of device → the variants that are computed on it."""
    reasons: dict[str, list[str]]
    """Stage → why it has to run; empty where nothing has to."""
    warnings: list[str]
    """What to know before the run."""
    cost: Cost | None
    """What it costs; null where nothing has to run."""


class Finding(TypedDict):
    """What the audit says about one thing in one variant."""

    variant: str
    """Name of the variant."""
    about: str
    """difference: the variant against the baseline; else a field, such as losses.lpips."""
    act: str
    """active: changes the training. passive: changes what is drawn or measured, by design. inert: was meant
    to act and does not. warning: acts, in a way that is probably not meant."""
    layer: str
    """The first layer that is the same with and without it; empty where it acts."""
    reason: str
    """Why it is so, in words."""
    epoch: int
    """The epoch whose batches were looked at."""
    changes: dict[str, float | None]
    """Layer → relative size of the difference there; 0: the same to the last bit."""
    expected: bool
    """Whether the spec expects that it does nothing."""


class Verification(TypedDict):
    """Variants trained together and each by itself."""

    seed: int
    """Seed of all of them."""
    equal: dict[str, bool]
    """Variant → whether its weights are equal to the last bit."""
    shared_seconds: float
    """Seconds of training all of them together."""
    separate_seconds: dict[str, float]
    """Variant → seconds of training it by itself."""
    ratio: float
    """How many times as long the separate trainings took."""


class PlannedLook(TypedDict):
    """A number of seeds after which claims are judged."""

    seeds: int
    """Number of seeds."""
    alpha: float
    """The level at which they are judged then."""


class OpenClaim(TypedDict):
    """A claim that is not decided yet."""

    number: int
    """Its number from 1, in the order of the spec."""
    text: str
    """The claim, as the spec has it."""
    p_corrected: float
    """Its p, corrected by Holm's method; 1 where two seeds have not been measured yet."""
    level: float
    """The level at which it was judged."""
    seeds_needed: int | None
    """How many seeds would show what was measured, if it were the truth; null where nobody knows."""


class NextStep(TypedDict):
    """Seeds that could be run next, and what they may decide."""

    seeds: list[int]
    """All seeds that would be judged."""
    level: float
    """The level at which claims would be judged."""
    chances: dict[str, float | None]
    """Number of a claim → probability that it is decided, if what was measured is the truth."""
    runs: int
    """Number of runs that MLflow lacks."""
    optimizer_steps: int
    """Number of optimizer steps that the store lacks."""
    hours: float | None
    """Hours of the device; null where nobody has measured all of it."""
    device: str
    """What the hours are of: GPU or core."""


class Next(TypedDict):
    """The claims that are open, and the steps that would decide them."""

    claims: int
    """Number of claims of the experiment."""
    missing_runs: int
    """Number of runs that the experiment lacks as it is."""
    looks: list[PlannedLook]
    """All looks that were planned."""
    open: list[OpenClaim]
    """The claims that are not decided."""
    steps: list[NextStep]
    """A step for each look that is to come; without planned looks one, a study of fresh seeds."""
    least_seeds: int | None
    """Fewest seeds that can decide an open claim, where too few were measured for any step; else null."""
