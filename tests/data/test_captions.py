"""Reading the task's format, and what is said about folders that are not in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ablate.data.captions import caption, load_image, read_prompts, read_train
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = {
    "original_name": "slime",
    "given_description": ["A red slime.", "Pixel art of a slime."],
    "action_description": "The monster is attacking.",
    "num_frames": 3,
}
PROMPT = {
    "image_name": "7_main.png",
    "given_description": "A bat.",
    "action_description": "",
    "text_prompt": "A bat.",
}


def picture(path: Path, size: tuple[int, int] = (4, 4), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 200 if mode == "L" else None).save(path)


def write(path: Path, content: Any) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path / "train_info.json", {"10_attack1": ENTRY, "2_attack1": {**ENTRY, "action_description": ""}}
    )
    for name in ("10_attack1_0", "10_attack1_2", "2_attack1_10", "2_attack1_9"):
        picture(tmp_path / "train" / f"{name}.png")
    write(tmp_path / "test.json", {"7_main": PROMPT, "8_main": {**PROMPT, "image_name": "8_main.png"}})
    picture(tmp_path / "test" / "7_main.png")
    return tmp_path


def test_images_come_in_natural_order_and_missing_frames_are_skipped(root: Path) -> None:
    images = read_train(root)
    assert [image.path.name for image in images] == [
        "2_attack1_9.png",
        "2_attack1_10.png",
        "10_attack1_0.png",
        "10_attack1_2.png",
    ]
    assert [image.monster for image in images] == ["2", "2", "10", "10"]


def test_a_caption_is_a_description_and_then_the_action(root: Path) -> None:
    image = read_train(root)[-1]
    assert caption(image, 0) == "A red slime. The monster is attacking."
    assert caption(image, 1) == "Pixel art of a slime. The monster is attacking."
    assert caption(image, 2) == caption(image, 0)


def test_a_caption_without_an_action_is_the_description_alone(root: Path) -> None:
    assert caption(read_train(root)[0], 0) == "A red slime."


def test_a_prompt_has_a_reference_only_where_there_is_an_image(root: Path) -> None:
    with_image, without = read_prompts(root)
    assert with_image.reference == root / "test" / "7_main.png"
    assert (without.image_name, without.text, without.reference) == ("8_main.png", "A bat.", None)


def test_an_image_is_resized_with_antialiasing(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = load_image(tmp_path / "a.png", 16)
    assert (small.shape, small.dtype) == ((16, 16, 3), np.uint8)
    assert 100 < small[4:12, 4:12].mean() < 155
    assert np.ptp(small[4:12, 4:12]) < 40


def test_transparency_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png", 8) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "LA", "1", "I;16"])
def test_every_png_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (5, 5)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", 8).shape == (8, 8, 3)


def test_a_truncated_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        load_image(path, 32)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no image"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an image"):
        load_image(tmp_path / "a.png", 32)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_image(tmp_path / "a.png", 32)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for read in (read_train, read_prompts):
        with pytest.raises(DataError, match="does not exist"):
            read(tmp_path / "nowhere")


def test_a_missing_image_folder_is_named(root: Path) -> None:
    (root / "train").rename(root / "elsewhere")
    with pytest.raises(DataError, match="the folder does not exist"):
        read_train(root)


def test_invalid_json_is_named_with_its_line(root: Path) -> None:
    write(root / "train_info.json", '{\n "1_main": {,}\n}')
    with pytest.raises(DataError, match="not valid JSON") as caught:
        read_train(root)
    assert "line 2, column" in caught.value.where


@pytest.mark.parametrize(
    "content",
    [
        [],
        3,
        {},
        {"10_attack1": []},
        {"10_attack1": {}},
        {"10_attack1": {**ENTRY, "given_description": "A slime."}},
        {"10_attack1": {**ENTRY, "given_description": []}},
        {"10_attack1": {**ENTRY, "given_description": ["A slime.", 3]}},
        {"10_attack1": {**ENTRY, "action_description": 3}},
        "\xff\xfe",
        "[" * 100_000,
    ],
)
def test_other_shaped_json_is_a_data_error(root: Path, content: Any) -> None:
    if isinstance(content, str):
        (root / "train_info.json").write_bytes(content.encode("latin-1"))
    else:
        write(root / "train_info.json", content)
    with pytest.raises(DataError) as caught:
        read_train(root)
    assert "train_info.json" in caught.value.where
    assert caught.value.fix


def test_an_entry_without_any_image_is_named(root: Path) -> None:
    for path in (root / "train").glob("10_*"):
        path.unlink()
    with pytest.raises(DataError, match="no image train/10_attack1_"):
        read_train(root)


@pytest.mark.parametrize("field", ["text_prompt", "image_name"])
@pytest.mark.parametrize("value", [None, "", 3, ["A bat."]])
def test_a_test_entry_with_a_bad_field_is_named(root: Path, field: str, value: Any) -> None:
    write(root / "test.json", {"7_main": {**PROMPT, field: value}})
    with pytest.raises(DataError) as caught:
        read_prompts(root)
    assert caught.value.where.endswith(f"7_main.{field}")


@pytest.mark.parametrize("name", ["../7_main.png", "a/b.png", "/etc/passwd"])
def test_an_image_name_cannot_leave_its_folder(root: Path, name: str) -> None:
    write(root / "test.json", {"7_main": {**PROMPT, "image_name": name}})
    with pytest.raises(DataError, match="not a plain file name"):
        read_prompts(root)


def test_two_prompts_cannot_share_an_image_name(root: Path) -> None:
    write(root / "test.json", {"7_main": PROMPT, "8_main": PROMPT})
    with pytest.raises(DataError, match="is also that of 7_main"):
        read_prompts(root)
