"""The generator: what it writes is deterministic, balanced, and in the task's format."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ablate.data.captions import read
from ablate.data.place import place_of
from ablate.data.sprites import (
    ACTIONS,
    ATTRIBUTES,
    BODIES,
    COLOURS,
    FEATURES,
    Monster,
    descriptions,
    draw,
    generate,
    held_out,
    monsters,
)
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.fingerprint import Contents


def digest(folder: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sha.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], Path]:
    """Makes the data set of a seed, of every seventh monster: they are drawn one by one."""
    some = monsters()[::7]
    assert set(some) & held_out() and set(some) - held_out()
    monkeypatch.setattr("ablate.data.sprites.monsters", lambda: some)

    def make(name: str, seed: int) -> Path:
        generate(tmp_path / name, seed=seed, frames=1)
        return tmp_path / name

    return make


def test_the_same_seed_gives_the_same_bytes(made: Callable[[str, int], Path]) -> None:
    assert digest(made("one", 0)) == digest(made("two", 0))


def test_another_seed_gives_other_frames_of_the_same_monsters(made: Callable[[str, int], Path]) -> None:
    one, other = made("one", 0), made("other", 1)
    assert digest(one) != digest(other)
    assert (one / "train_info.json").read_bytes() == (other / "train_info.json").read_bytes()


def test_there_are_384_monsters_of_which_64_are_held_out() -> None:
    assert len(monsters()) == len(set(monsters())) == 384
    assert len(held_out()) == 64


def test_held_out_monsters_are_balanced_over_all_attributes() -> None:
    for index, names in enumerate((BODIES, COLOURS, FEATURES)):
        counts = Counter(monster[index] for monster in held_out())
        assert set(counts) == set(names)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_no_held_out_monster_is_in_the_training_images(generated: Path) -> None:
    trained = {image.group for image in read(generated).train}
    tested = {prompt.image_name.split("_")[0] for prompt in read(generated).prompts}
    assert len(trained) == 320
    assert len(tested) == 64
    assert not trained & tested


def test_every_monster_is_trained_in_every_action(generated: Path) -> None:
    assert len(read(generated).train) == 320 * len(ACTIONS)
    assert len(list((generated / "train").iterdir())) == 320 * len(ACTIONS)


def test_by_itself_it_draws_as_many_training_images_as_its_place_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, contents: Contents
) -> None:
    monkeypatch.setattr("ablate.data.sprites.draw", lambda *_: None)
    monkeypatch.setattr("ablate.data.sprites._save", lambda _, path: path.touch())
    generate(tmp_path)
    said = place_of("sprites").training_images(Store(tmp_path), contents)
    assert len(list((tmp_path / "train").iterdir())) == said


def test_there_are_128_prompts_with_real_images_and_balanced_actions(generated: Path) -> None:
    prompts = read(generated).prompts
    assert len(prompts) == 128
    assert all(prompt.reference is not None for prompt in prompts)
    actions = Counter(prompt.image_name.split("_")[1] for prompt in prompts)
    assert set(actions.values()) <= {25, 26}


def test_the_test_json_has_the_published_fields(generated: Path) -> None:
    entries = json.loads((generated / "test.json").read_text())
    for entry in entries.values():
        assert set(entry) == {"image_name", "given_description", "action_description", "text_prompt"}
        assert entry["text_prompt"] == f"{entry['given_description']} {entry['action_description']}"


def test_the_first_description_is_in_the_published_style() -> None:
    assert descriptions(Monster("mushroom", "red", "horns"))[0] == "A red mushroom monster with horns."


@pytest.mark.parametrize("attribute", ["body", "colour", "feature"])
def test_every_paraphrase_names_each_attribute_exactly_once(attribute: str) -> None:
    for monster in monsters():
        for text in descriptions(monster):
            named = [name for name, phrase in ATTRIBUTES[attribute].items() if f" {phrase}" in text]
            assert named == [getattr(monster, attribute)]


def test_images_are_32_pixel_rgb_on_white(generated: Path) -> None:
    for path in sorted((generated / "test").iterdir())[:20]:
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("RGB", (32, 32))
            pixels = np.asarray(image)
        assert 0.25 < (pixels == 255).all(axis=-1).mean() < 0.95


@pytest.mark.parametrize("index, attribute", list(enumerate(ATTRIBUTES)))
def test_changing_any_one_attribute_changes_the_picture_clearly(index: int, attribute: str) -> None:
    for names in (("slime", "red", "horns", "stand"), ("crab", "blue", "spots", "die")):
        pictures = []
        for value in ATTRIBUTES[attribute]:
            chosen = [*names]
            chosen[index] = value
            pictures.append(draw(Monster(*chosen[:3]), chosen[3], np.random.default_rng(0)).astype(int))
        for i, first in enumerate(pictures):
            for second in pictures[i + 1 :]:
                assert ((first - second) ** 2).max(axis=-1).astype(bool).sum() >= 10


def test_frames_of_one_monster_vary() -> None:
    monster = Monster("ghost", "pink", "crown")
    frames = {draw(monster, "move", np.random.default_rng(i)).tobytes() for i in range(8)}
    assert len(frames) >= 6
