"""Which images are shown side by side."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ablate.records import RunRecord

GRID_PROMPTS = 8
"""Columns of the sample grid."""


@dataclass(frozen=True)
class Grid:
    """The images to show side by side: one seed, the same prompts for all variants."""

    seed: int
    prompts: tuple[tuple[str, str], ...]
    """(image name, prompt), drawn at random once and for all, so that nobody picks."""
    prompt_count: int
    folders: Mapping[str, Path]
    """Variant → folder with its images."""


def choose_grid(finished: Sequence[RunRecord], variants: Sequence[str], seeds: Sequence[int]) -> Grid | None:
    """One seed and a few prompts; None where no run has samples."""
    sampled = [run for run in finished if run.samples and run.prompts]
    if not sampled:
        return None
    # The seed that most variants have; the first of equals.
    seed = max(seeds, key=lambda seed: sum(run.seed == seed for run in sampled))
    chosen = {run.variant: run for run in sampled if run.seed == seed}
    prompts = list(next(iter(chosen.values())).prompts.items())
    picked = sorted(random.Random(0).sample(range(len(prompts)), min(GRID_PROMPTS, len(prompts))))
    return Grid(
        seed=seed,
        prompts=tuple(prompts[index] for index in picked),
        prompt_count=len(prompts),
        folders={v: folder for v in variants if v in chosen and (folder := chosen[v].samples)},
    )
