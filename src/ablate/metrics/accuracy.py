"""Zero-shot accuracy: does an image look most like its own prompt when one word group is exchanged?

For the prompt "A red mushroom monster with horns." and the attribute "body", the candidates are the
same sentence with every body in the mushroom's place. The image is right if its own is nearest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ablate.metrics.base import ImageMetric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ablate.metrics.base import Measured, TextScorer


class Accuracy(ImageMetric):
    """Whether each image is nearest to its own prompt when one attribute's phrase is exchanged: 1 or 0."""

    lower_is_better = False

    def __init__(self, attribute: str, phrases: Iterable[str]) -> None:
        self.key = f"accuracy_{attribute}"
        self.label = attribute
        self._phrases = list(phrases)

    def scored(self, measured: Measured) -> NDArray[np.bool_]:
        """[N]: the prompts that hold exactly one of the phrases."""
        import numpy as np

        return np.array([bool(candidates(prompt, self._phrases)) for prompt in measured.prompts], bool)

    def scores(self, measured: Measured) -> NDArray[np.float64]:
        """[N]; NaN for a prompt that does not hold exactly one of the phrases."""
        return accuracy(measured.embeddings, measured.prompts, self._phrases, measured.evaluator)


def accuracies(labels: Mapping[str, Mapping[str, str]]) -> dict[str, Accuracy]:
    """Key → metric, one for each attribute that an evaluator has labels for."""
    metrics = [Accuracy(attribute, names.values()) for attribute, names in labels.items()]
    return {metric.key: metric for metric in metrics}


def candidates(prompt: str, phrases: Sequence[str]) -> list[str]:
    """The prompt with each phrase in the place of the one it holds, the prompt's own first.

    Phrases are matched as whole words, in any case. Empty if the prompt holds none of them, or several.
    """
    longest_first = sorted(phrases, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    found = {match.lower() for match in pattern.findall(prompt)}
    if len(found) != 1:
        return []
    own = found.pop()
    # Backslashes are doubled, because the replacement of re.sub is a template.
    others = [phrase.replace("\\", r"\\") for phrase in phrases if phrase.lower() != own]
    return [prompt, *(pattern.sub(phrase, prompt) for phrase in others)]


def accuracy(
    image_embeddings: NDArray[np.float32],
    prompts: Sequence[str],
    phrases: Sequence[str],
    evaluator: TextScorer,
) -> NDArray[np.float64]:
    """[N]: 1 for an image that is nearest to its own prompt among its ``candidates``, 0 for another, NaN
    for a prompt without candidates.

    ``image_embeddings`` are unit vectors [N, E], one for each of the N prompts.
    """
    import numpy as np

    if len(image_embeddings) != len(prompts):
        raise ValueError(f"{len(image_embeddings)} images for {len(prompts)} prompts")
    scores = np.full(len(prompts), np.nan)
    choices = [candidates(prompt, phrases) for prompt in prompts]
    texts = sorted({text for choice in choices for text in choice})
    if not texts:
        return scores
    row = {text: index for index, text in enumerate(texts)}
    embeddings = evaluator.encode_texts(texts)
    for number, (image, choice) in enumerate(zip(image_embeddings, choices, strict=True)):
        if choice:
            nearest = int(np.argmax(embeddings[[row[text] for text in choice]] @ image))
            scores[number] = nearest == 0
    return scores


def zero_shot(
    image_embeddings: NDArray[np.float32], prompts: Sequence[str], evaluator: TextScorer
) -> dict[str, NDArray[np.bool_]]:
    """For each of the evaluator's attributes, ``accuracy`` without the images that have none.

    An attribute that no prompt holds is left out.
    """
    import numpy as np

    results: dict[str, NDArray[np.bool_]] = {}
    for attribute, names in evaluator.labels.items():
        scores = accuracy(image_embeddings, prompts, list(names.values()), evaluator)
        known = scores[~np.isnan(scores)]
        if len(known):
            results[attribute] = known.astype(bool)
    return results
