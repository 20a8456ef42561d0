"""Remarks on captions."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from ablate.data.entries import caption
from ablate.data.remarks.base import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from open_clip.tokenizer import SimpleTokenizer

    from ablate.data.entries import TrainImage
    from ablate.data.remarks.base import DataSet

MOST_TOKENS = 77
"""Of CLIP's text encoder, with the start and the end token. What is beyond them is cut off."""


def long(data: DataSet) -> Iterator[Remark]:
    """Captions that the text encoder does not see to their ends."""
    tokenizer = _tokenizer()
    texts = [text for image in data.read.train for text in captions_of(image)]
    texts += [prompt.text for prompt in data.read.prompts]
    counts = {text: len(tokenizer.encode(text)) + 2 for text in dict.fromkeys(texts)}
    cut_off = tuple(f"{count} tokens: {text}" for text, count in counts.items() if count > MOST_TOKENS)
    fix = "The rest is cut off (CLIP's tokens, start and end included)."
    yield Remark("warning", f"captions of more than {MOST_TOKENS} tokens", cut_off, fix)


@cache
def _tokenizer() -> SimpleTokenizer:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def shared(data: DataSet) -> Iterator[Remark]:
    """Captions of different pictures. Those of one group are meant to have the same."""
    pictures: dict[str, set[bytes]] = defaultdict(set)
    groups: dict[str, set[str]] = defaultdict(set)
    of_training = ((image.path, image.group, captions_of(image)) for image in data.read.train)
    of_test = ((p.reference, p.group, [p.text]) for p in data.read.prompts if p.reference)
    for path, group, texts in (*of_training, *of_test):
        for text in texts:
            pictures[text].add(data.images[path].digest)
            groups[text].add(group)
    common = [text for text in pictures if len(pictures[text]) > 1 and len(groups[text]) > 1]
    common.sort(key=lambda text: -len(pictures[text]))
    places = tuple(f"{len(pictures[text])} pictures: {text}" for text in common)
    yield Remark("info", "captions that pictures of several groups share", places)


def captions_of(image: TrainImage) -> list[str]:
    """All captions of a training image."""
    return [caption(image, number) for number in range(len(image.descriptions))]
