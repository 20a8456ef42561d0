"""A CLIPTokenizer whose byte-pair merges are learned from a data set's own captions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 1500
"""At most. Small data sets run out of pairs that occur twice long before."""
LONGEST = 77


def train_tokenizer(texts: Iterable[str]) -> CLIPTokenizer:
    """A tokenizer that knows every byte, so that no text is unknown to it; padded length as short as fits.

    END has the highest id, because CLIP models find the end of a text by the largest id.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    texts = sorted(set(texts))
    clip = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = clip.normalizer, clip.pre_tokenizer
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=2 * len(letters) + MERGES,
            min_frequency=2,
            initial_alphabet=letters,
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    # The learner leaves out word ends it has not seen; CLIP's own vocabulary has them all.
    words = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)])
    vocab = {word: index for index, word in enumerate([*words, START, END])}
    longest = max(len(ids) for ids in CLIPTokenizer(vocab=vocab, merges=merges)(texts).input_ids)
    length = min(LONGEST, 8 * (longest // 8 + 1))
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=length)


def tokenized(captions: list[list[str]]) -> tuple[CLIPTokenizer, list[torch.Tensor]]:
    """A tokenizer learned from all captions, and the ids of each image's paraphrases, [P, L]."""
    tokenizer = train_tokenizer(text for texts in captions for text in texts)
    tokens = [
        tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        for texts in captions
    ]
    return tokenizer, tokens
