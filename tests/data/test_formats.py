"""The contract of all formats: the same data set reads to the same captions, images and prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tiny import DESCRIPTIONS, TEST, TRAIN, captions, write_lines, write_task

from ablate.data import task
from ablate.data.captions import read
from ablate.data.entries import caption
from ablate.data.images import load_image
from ablate.data.tables import TABLES
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_training_images_come_in_natural_order(data_set: Path) -> None:
    assert [image.path for image in read(data_set).train] == [data_set / "train" / name for name in TRAIN]


def test_every_image_has_all_of_its_captions(data_set: Path) -> None:
    found = [
        [caption(image, number) for number in range(len(image.descriptions))]
        for image in read(data_set).train
    ]
    assert found == [captions(action) for _, action in TRAIN.values()]


def test_captions_start_again_after_the_last(data_set: Path) -> None:
    image = read(data_set).train[0]
    assert caption(image, len(DESCRIPTIONS)) == caption(image, 0)


def test_images_belong_to_their_groups(data_set: Path) -> None:
    assert [image.group for image in read(data_set).train] == [group for group, _ in TRAIN.values()]
    assert [prompt.group for prompt in read(data_set).prompts] == [group for group, _, _ in TEST.values()]


def test_prompts_come_in_natural_order_with_their_texts(data_set: Path) -> None:
    found = [(prompt.image_name, prompt.text) for prompt in read(data_set).prompts]
    assert found == [(name, text) for name, (_, text, _) in TEST.items()]


def test_a_prompt_has_a_reference_only_where_there_is_an_image(data_set: Path) -> None:
    expected = [data_set / "test" / name if real else None for name, (_, _, real) in TEST.items()]
    assert [prompt.reference for prompt in read(data_set).prompts] == expected


def test_images_are_the_pixels_that_were_written(data_set: Path) -> None:
    for image in read(data_set).train:
        with Image.open(image.path) as file:
            assert np.array_equal(load_image(image.path, 4), np.asarray(file))


def test_problems_can_be_collected_and_the_rest_is_read(data_set: Path) -> None:
    (data_set / "train" / "2_attack1_9.png").unlink()
    (data_set / "train" / "2_attack1_10.png").unlink()
    problems: list[DataError] = []
    left = read(data_set, problems.append).train
    assert [image.path.name for image in left] == ["10_attack1_0.png", "10_attack1_2.png"]
    assert problems
    with pytest.raises(DataError) as caught:
        read(data_set)
    assert str(caught.value) in map(str, problems)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "nowhere")


def test_a_folder_in_no_format_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    for name in (*task.MARKERS, *TABLES):
        assert name in caught.value.what


def test_a_folder_in_two_formats_is_refused(tmp_path: Path) -> None:
    write_task(tmp_path)
    write_lines(tmp_path / "metadata.jsonl", [])
    with pytest.raises(DataError, match=r"two formats: there are train_info.json and metadata.jsonl"):
        read(tmp_path)
