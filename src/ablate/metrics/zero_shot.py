"""Zero-shot accuracy: does an image look most like its own prompt when one word group is exchanged?

For the prompt "A red mushroom monster with horns." and the attribute "body", the candidates are the
same sentence with every body in the mushroom's place. The image is right if its own is nearest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class TextScorer(Protocol):
    """What is needed of an evaluator."""

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Attribute → {name: its phrase, as it stands in captions}."""

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors [len(texts), D]."""


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


def zero_shot(
    image_embeddings: NDArray[np.float32], prompts: Sequence[str], evaluator: TextScorer
) -> dict[str, NDArray[np.bool_]]:
    """For each of the evaluator's attributes, whether each image is nearest to its own prompt.

    ``image_embeddings`` are unit vectors [N, D], one for each of the N prompts. A prompt that does not
    hold exactly one of an attribute's phrases is left out of that attribute's array, so arrays of
    different images for the same prompts correspond. An attribute that no prompt holds is left out.
    """
    if len(image_embeddings) != len(prompts):
        raise ValueError(f"{len(image_embeddings)} images for {len(prompts)} prompts")
    results: dict[str, NDArray[np.bool_]] = {}
    for attribute, names in evaluator.labels.items():
        choices = [candidates(prompt, list(names.values())) for prompt in prompts]
        texts = sorted({text for choice in choices for text in choice})
        if not texts:
            continue
        row = {text: index for index, text in enumerate(texts)}
        embeddings = evaluator.encode_texts(texts)
        results[attribute] = np.array(
            [
                int(np.argmax(embeddings[[row[text] for text in choice]] @ image)) == 0
                for image, choice in zip(image_embeddings, choices, strict=True)
                if choice
            ]
        )
    return results
