"""The corpus of broken data sets: one message each, in tests/golden/broken_data.txt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from ablate.data.captions import load_image, read_prompts, read_train
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENTRY: dict[str, Any] = {
    "original_name": "bat",
    "given_description": ["A bat."],
    "action_description": "",
    "num_frames": 2,
}
PROMPT = {
    "image_name": "1_main.png",
    "given_description": "A bat.",
    "action_description": "",
    "text_prompt": "A bat.",
}


def write_json(name: str, content: object) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(json.dumps(content))


def write_bytes(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def truncate(root: Path) -> None:
    file = root / "train" / "0_main_0.png"
    file.write_bytes(file.read_bytes()[:60])


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no train_info.json": lambda root: (root / "train_info.json").unlink(),
    "no test.json": lambda root: (root / "test.json").unlink(),
    "no train folder": lambda root: [(root / "train" / "0_main_0.png").unlink(), (root / "train").rmdir()],
    "an entry without any frame": write_json("train_info.json", {"0_main": ENTRY, "9_main": ENTRY}),
    "a corrupt PNG": write_bytes("train/0_main_0.png", b"this is no image"),
    "a truncated PNG": truncate,
    "an empty PNG": write_bytes("train/0_main_0.png", b""),
    "captions as a list": write_json("train_info.json", [ENTRY]),
    "captions as text": write_json("train_info.json", "A bat."),
    "captions without entries": write_json("train_info.json", {}),
    "an entry that is text": write_json("train_info.json", {"0_main": "A bat."}),
    "an entry without descriptions": write_json(
        "train_info.json", {"0_main": {"original_name": "bat", "num_frames": 1}}
    ),
    "no description at all": write_json("train_info.json", {"0_main": ENTRY | {"given_description": []}}),
    "a description that is a number": write_json(
        "train_info.json", {"0_main": ENTRY | {"given_description": [7]}}
    ),
    "broken JSON": write_bytes("train_info.json", b'{"0_main": '),
    "JSON in another encoding": write_bytes("train_info.json", '{"é": 1}'.encode("latin-1")),
    "a prompt without text": write_json("test.json", {"1_main": {"image_name": "1_main.png"}}),
    "a prompt that leaves its folder": write_json(
        "test.json", {"1_main": PROMPT | {"image_name": "../1_main.png"}}
    ),
    "two prompts of one name": write_json("test.json", {"1_main": PROMPT, "2_main": PROMPT}),
}


def message(root: Path) -> str:
    """What a user reads, with the folder called DATA."""
    with pytest.raises(DataError) as caught:
        for image in read_train(root):
            load_image(image.path, 32)
        read_prompts(root)
    return str(caught.value).replace(str(root), "DATA")


def test_messages_are_the_golden_ones(golden: Callable[[str, str], None], tmp_path: Path) -> None:
    messages = {}
    for number, (case, breakage) in enumerate(BREAKAGES.items()):
        root = tmp_path / str(number)
        (root / "train").mkdir(parents=True)
        Image.new("RGB", (32, 32), "red").save(root / "train" / "0_main_0.png")
        (root / "train_info.json").write_text(json.dumps({"0_main": ENTRY}))
        (root / "test.json").write_text(json.dumps({"1_main": PROMPT}))
        assert len(read_train(root)) == 1, "frame 1 of 2 is missing, which is no error"
        breakage(root)
        messages[case] = message(root)
    golden("broken_data.txt", "".join(f"=== {case}\n{text}\n\n" for case, text in messages.items()))
