"""How much room a plan is certain to need: what cannot be smaller, from shapes alone.

Left out are text states (how many texts differ is known when they are read), databases and reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.experiment.config import Config
    from ablate.plan import Plan, Run, Segment

FLOAT = 4
"""Bytes."""
PNG = 0.1
"""Share of an image's bytes that its PNG takes, at least: of pixel art. Of a photograph it is half."""


def bytes_of_store(plan: Plan, weights: Mapping[str, int], prompts: Mapping[str, int], workers: int) -> int:
    """What the store will hold more than now, at its fullest.

    Args:
        weights: variant → bytes of its U-Net's weights; of a trial of a search that goes on they are not
            known, and the least of the others count.
        prompts: key of the data → how many prompts they have, as far as that is known.
    """
    missing = plan.epochs_to_train()
    todo = [segment for segment in plan.segments if segment.key in missing]
    states = sorted((_state(segment, weights) for segment in todo), reverse=True)
    # The state at the end of each segment stays. While one trains, there are two.
    trained = sum(states) + sum(states[:workers])
    return trained + _prepared(plan) + bytes_of_samples(plan.to_sample, prompts)


def bytes_of_samples(runs: Sequence[Run], prompts: Mapping[str, int]) -> int:
    """The images of runs, in the store or in MLflow's artifacts. ``prompts`` as above."""
    sizes = (prompts.get(run.keys.data, 0) * 3 * run.keys.config.data.size**2 for run in runs)
    return int(PNG * sum(sizes))


def _state(segment: Segment, weights: Mapping[str, int]) -> int:
    """Weights, AdamW's two moments, and the average of each observer that has begun at the segment's end."""
    averages = sum(observer.begins < segment.end for observer in segment.observers)
    return weights.get(segment.runs[0].variant, min(weights.values())) * (3 + averages)


def _prepared(plan: Plan) -> int:
    """Images, with mean and deviation of their latents, and the same of each augmented form."""
    wanted = {run.keys.prepare: (run.keys, "prepare", 1) for run in plan.to_train}
    for run in plan.to_train:
        if run.keys.augmented:
            forms = run.keys.config.augmentation.variants or 1
            wanted[run.keys.augmented] = (run.keys, "augmented", forms)
    return sum(
        plan.images(keys) * forms * _encoded(keys.config)
        for key, (keys, stage, forms) in wanted.items()
        if not plan.store.has(stage, key)
    )


def _encoded(config: Config) -> int:
    latents = config.unet.latent_channels * config.unet.sample_size**2
    return 3 * config.data.size**2 + 2 * FLOAT * latents
