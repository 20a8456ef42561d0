"""``data.fit`` and ``data.background``: their values, what they do to keys, and that a run applies them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from tiny import write_lines

from ablate.data.images import WHITE, load_image
from ablate.experiment import config
from ablate.stages.prepare import prepare
from ablate.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeConfig, MakeKeys


def background(make_config: MakeConfig, value: Any) -> str:
    return make_config({"data": {"background": value}}).data.background


def test_white_is_white_everywhere() -> None:
    assert config.WHITE == WHITE
    assert config.Data(path="x", size=8).background == WHITE


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("white", "#ffffff"),
        ("White", "#ffffff"),
        ("#FFF", "#ffffff"),
        ("black", "#000000"),
        ("rebeccapurple", "#663399"),
        ("#12aBcD", "#12abcd"),
        ("rgb(1, 2, 3)", "#010203"),
    ],
)
def test_a_colour_has_one_form_however_it_is_written(make_config: MakeConfig, value: str, shown: str) -> None:
    assert background(make_config, value) == shown


@pytest.mark.parametrize(
    "value", ["", "transparent", "whit", "#12", "#11223344", "rgba(0, 0, 0, 0)", 3, None]
)
def test_what_is_no_colour_is_refused(make_config: MakeConfig, value: Any) -> None:
    with pytest.raises(ValidationError, match="background"):
        background(make_config, value)


def test_the_defaults_leave_keys_alone(make_keys: MakeKeys) -> None:
    plain = make_keys()
    assert {"fit", "background"}.isdisjoint(plain.prepare_ingredients)
    assert make_keys({"data": {"fit": "pad", "background": "white"}}).prepare == plain.prepare


def test_what_changes_images_changes_keys(make_keys: MakeKeys) -> None:
    values: list[dict[str, str]] = [{}, {"fit": "crop"}, {"background": "black"}, {"background": "red"}]
    assert len({make_keys({"data": value}).prepare for value in values}) == len(values)
    black = make_keys({"data": {"background": "#000"}})
    assert black.prepare == make_keys({"data": {"background": "black"}}).prepare


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_training_images_and_real_images_are_made_squares_alike(
    tmp_path: Path, make_keys: MakeKeys, fit: str
) -> None:
    data = tmp_path / "data"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 64, 4), dtype=np.uint8)
    for number, image in enumerate(pixels):
        split = "test" if number == 2 else "train"
        (data / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(data / split / f"{number}.png")
        write_lines(
            data / split / "metadata.jsonl",
            [{"file_name": path.name, "text": "A bat."} for path in (data / split).glob("*.png")],
        )
    keys = make_keys({"data": {"path": str(data), "fit": fit, "background": "navy"}})
    prepared = prepare(keys, Store(tmp_path / "store"), lambda text: None)
    expected = [
        load_image(path, 32, fit="crop" if fit == "crop" else "pad", background="navy")
        for path in sorted(data.glob("*/*.png"), key=lambda path: path.name)
    ]
    assert torch.equal(prepared.images, torch.from_numpy(np.stack(expected[:2])))
    assert torch.equal(prepared.references, torch.from_numpy(np.stack(expected[2:])))
