"""Zero-shot accuracy: phrases are exchanged as whole words, and the own caption has to win."""

from __future__ import annotations

import numpy as np
import pytest

from ablate.metrics.accuracy import candidates, zero_shot

PROMPT = "A red mushroom monster with horns. The monster is attacking."
COLOURS = {"red": "red", "blue": "blue"}
BODIES = {"mushroom": "mushroom", "bat": "bat", "crab": "crab"}


class Words:
    """A scorer whose embedding of a text is which of a few words it holds."""

    words = ("red", "blue", "mushroom", "bat", "crab")

    def __init__(self) -> None:
        self.labels = {"colour": COLOURS, "body": BODIES, "size": {"big": "big", "small": "small"}}

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        rows = [[float(f" {word} " in f" {text} ") for word in self.words] for text in texts]
        vectors = np.array(rows, dtype=np.float32) + 1e-6
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_candidates_hold_each_phrase_in_turn_the_own_first() -> None:
    assert candidates(PROMPT, list(BODIES)) == [
        PROMPT,
        PROMPT.replace("mushroom", "bat"),
        PROMPT.replace("mushroom", "crab"),
    ]


def test_phrases_are_matched_as_whole_words_only() -> None:
    assert candidates("A tired bathing monster.", ["red", "bat"]) == []


def test_a_phrase_within_a_longer_phrase_is_not_mistaken_for_it() -> None:
    assert candidates("A dark red bat.", ["red", "dark red"]) == ["A dark red bat.", "A red bat."]


def test_phrases_of_several_words_and_in_any_case_are_found() -> None:
    assert candidates("With a crown: a bat.", ["with a crown", "with horns"])[1] == "with horns: a bat."


def test_a_prompt_that_names_two_values_has_no_candidates() -> None:
    assert candidates("A red and blue bat.", ["red", "blue"]) == []


def test_backslashes_in_phrases_are_plain_text() -> None:
    assert candidates("A bat.", ["bat", r"\1 \g<0>"]) == ["A bat.", r"A \1 \g<0>."]


def test_an_image_of_its_prompt_is_right_and_one_of_another_body_is_wrong() -> None:
    prompts = ["a red bat", "a red bat"]
    images = Words().encode_texts(["a red bat", "a red crab"])
    results = zero_shot(images, prompts, Words())
    assert results["body"].tolist() == [True, False]
    assert results["colour"].tolist() == [True, True]


def test_prompts_without_the_attribute_are_left_out_and_so_is_an_attribute_without_prompts() -> None:
    results = zero_shot(Words().encode_texts(["a red bat", "a bat"]), ["a red bat", "a bat"], Words())
    assert len(results["colour"]) == 1
    assert len(results["body"]) == 2
    assert "size" not in results


def test_images_and_prompts_must_correspond() -> None:
    with pytest.raises(ValueError, match="2 images for 1 prompts"):
        zero_shot(np.zeros((2, 5), np.float32), ["a red bat"], Words())
