"""Does a picture show the emoji that was asked for, and in the style that was asked for?

Zero-shot accuracies in the kit's evaluator. For the prompt "violin, Noto emoji" the style is right if the
picture is nearer to it than to "violin, Twemoji" and "violin, Fluent 3D emoji". The emoji is right if the
picture is nearer to it than to the names of all other emoji that are asked for, each in Noto's style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.accuracy import Accuracy, accuracy
from ablate.metrics.base import ImageMetric, Measured

if TYPE_CHECKING:
    import numpy as np


class RightEmoji(ImageMetric):
    """Whether a picture is nearest to its own prompt, not to one with another prompt's name: 1 or 0."""

    key = "accuracy_emoji"
    label = "emoji"
    lower_is_better = False

    def scores(self, measured: Measured) -> np.ndarray:
        """[N]; NaN for a prompt that holds several of the names."""
        names = [prompt.rpartition(", ")[0] for prompt in measured.prompts]
        return accuracy(measured.embeddings, measured.prompts, names, measured.evaluator)


METRICS = {
    "accuracy_style": Accuracy("style", ["Noto emoji", "Twemoji", "Fluent 3D emoji"]),
    "accuracy_emoji": RightEmoji(),
}
