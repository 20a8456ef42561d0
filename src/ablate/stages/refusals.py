"""What no figure may be made of: something that is not a number, or the same for everything.

One image may be blank: a network that was hardly trained draws such. A whole set that is blank, or that shows
the same for all prompts, has nothing to measure. Two images of a set have different noise, so they never
honestly agree to the last bit.

Every function raises ``MeaninglessError``: how much of what, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.errors import MeaninglessError
from ablate.metrics.base import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

ALIKE = 1e-6
"""Rows whose numbers differ by no more than this share of the largest are the same: sums round."""

LOOK = "Look at the images in the store and at the loss curves: the training has failed, or what draws has."


def refuse_blank(images: NDArray[np.uint8], where: str = "the samples") -> None:
    """For images [N, S, S, 3] that are all of a single colour, all clipped, or all the same."""
    n = len(images)
    if (images == images[:, :1, :1]).all():
        raise MeaninglessError(f"all {n} images are of a single colour", where=where, fix=LOOK)
    if n > 1 and (images == images[:1]).all():
        raise MeaninglessError(f"all {n} images are the same", where=where, fix=LOOK)
    if ((images == 0) | (images == 255)).all():
        what = f"all {n} images are clipped: there is nothing but 0 and 255 in them"
        raise MeaninglessError(what, where=where, fix=LOOK)


def refuse_features(features: Any, count: int, of: str, where: str, *, distinct: bool = True) -> None:
    """For features of ``count`` things that are not [count, D], not numbers, or, where the things are
    ``distinct``, all the same."""
    if not isinstance(features, np.ndarray) or not np.issubdtype(features.dtype, np.floating):
        what = f"the features of {count} {of} are not an array of floating-point numbers"
        raise MeaninglessError(what, where=where, fix="There must be a row of numbers for each.")
    if features.ndim != 2 or len(features) != count or not features.shape[1]:
        what = f"the features of {count} {of} have the shape {list(features.shape)}"
        raise MeaninglessError(what, where=where, fix="There must be a row of numbers for each.")
    wrong = int((~np.isfinite(features)).any(axis=1).sum())
    if wrong:
        fix = "The network's weights or its input are broken: try another one."
        raise MeaninglessError(
            f"the features of {wrong} of {count} {of} are not numbers", where=where, fix=fix
        )
    if distinct and count > 1 and np.ptp(features, axis=0).max() <= ALIKE * np.abs(features).max():
        what = f"the features of all {count} {of} are the same, so nothing can be compared with them"
        fix = f"Either the {of} are all the same, or the network sees no difference: look at both."
        raise MeaninglessError(what, where=where, fix=fix)


def refuse_result(key: str, result: Any, count: int) -> None:
    """For what a metric says of ``count`` images that is no ``Result``, or whose figure or scores are no
    numbers. NaN is not a score: ``ImageMetric`` has it where an image can have none."""
    where = f"metric {key}"
    if not isinstance(result, Result):
        what = f"it returned a {type(result).__name__}, not a Result"
        raise MeaninglessError(what, where=where, fix="Let `measure` return a Result, or None.")
    fix = "Look at the scores and the images; a metric that has no figure for them must return None."
    if not isinstance(result.figure, (int, float, np.number)) or not np.isfinite(result.figure):
        raise MeaninglessError(f"its figure is {result.figure!r}", where=where, fix=fix)
    if result.scores is not None and np.shape(result.scores) != (count,):
        what = f"its scores have the shape {list(np.shape(result.scores))}, and there are {count} images"
        raise MeaninglessError(what, where=where, fix="Return one score for each image.")
    if result.scores is not None and np.isinf(result.scores).any():
        what = f"{int(np.isinf(result.scores).sum())} of {count} scores are infinite"
        raise MeaninglessError(what, where=where, fix=fix)


def refuse_infinite(encoded: Tensor, of: str, where: str) -> None:
    """For what a frozen part encodes, [N, …], where it is NaN or infinite."""
    wrong = int((~encoded.isfinite()).flatten(1).any(1).sum())
    if wrong:
        what = f"encodes {wrong} of {len(encoded)} {of} to what is not a number"
        raise MeaninglessError(what, where=where, fix="Its weights are broken: try another one.")


def refuse_infinite_weights(weights: Mapping[str, Tensor], where: str) -> None:
    """For weights that hold NaN or infinity."""
    wrong = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if wrong:
        raise MeaninglessError(
            f"{len(wrong)} of {len(weights)} weights are not numbers, {wrong[0]} among them",
            where=where,
            fix="The training has diverged: lower train.learning_rate; see the loss curves.",
        )
