"""The corpus of broken data sets: one message each, in tests/golden/broken_data.txt."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tiny import write_imagefolder, write_lines

from ablate.data.captions import read
from ablate.data.images import load_image
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


LINE = {"file_name": "2_attack1_9.png", "text": "A slime."}


def write_json(name: str, content: object) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(json.dumps(content))


def write_bytes(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def truncate(root: Path) -> None:
    file = root / "train" / "0_main_0.png"
    file.write_bytes(file.read_bytes()[:60])


def bomb(root: Path) -> None:
    Image.new("1", (9000, 9000)).save(root / "train" / "0_main_0.png")


def lines(*content: object, name: str = "train/metadata.jsonl") -> Callable[[Path], None]:
    return lambda root: write_lines(root / name, content)


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no train_info.json": lambda root: (root / "train_info.json").unlink(),
    "no test.json": lambda root: (root / "test.json").unlink(),
    "no train folder": lambda root: [(root / "train" / "0_main_0.png").unlink(), (root / "train").rmdir()],
    "an entry without any frame": write_json("train_info.json", {"0_main": ENTRY, "9_main": ENTRY}),
    "a corrupt PNG": write_bytes("train/0_main_0.png", b"this is no image"),
    "a truncated PNG": truncate,
    "an empty PNG": write_bytes("train/0_main_0.png", b""),
    "a decompression bomb": bomb,
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
    "half of a character": write_json("test.json", {"1_main": PROMPT | {"text_prompt": "A bat \ud83e."}}),
    "nothing that is known": lambda root: [
        (root / name).unlink() for name in ("train_info.json", "test.json")
    ],
    "two formats": lines(LINE),
}

IMAGEFOLDER_BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no metadata for the test": lambda root: (root / "test" / "metadata.jsonl").unlink(),
    "no metadata for the training": lambda root: (root / "train" / "metadata.jsonl").unlink(),
    "an empty metadata file": lines(),
    "a line that is broken off": write_bytes("train/metadata.jsonl", b'{"file_name": "1.png"'),
    "a line in another encoding": write_bytes("train/metadata.jsonl", '\n{"é": 1}'.encode("latin-1")),
    "a line that is a list": lines([LINE]),
    "a line without a file name": lines({"text": "A bat."}),
    "a line without a text": lines({"file_name": LINE["file_name"], "label": 3}),
    "a line with an empty text": lines(LINE | {"text": " "}),
    "a line with a text that is a number": lines(LINE | {"text": 3}),
    "a group that is an object": lines(LINE | {"group": {}}),
    "two lines of one image": lines(LINE, LINE),
    "a line whose image is missing": lines(LINE, {"file_name": "9.png", "text": "A bat."}),
    "a line that leaves its folder": lines({"file_name": "../test/7_main.png", "text": "A bat."}),
    "metadata at the top too": lines(LINE, name="metadata.jsonl"),
    "nothing to hold out": lambda root: [
        shutil.rmtree(root / "test"),
        lines(LINE)(root),
    ],
}


def message(root: Path) -> str:
    """What a user reads, with the folder called DATA."""
    with pytest.raises(DataError) as caught:
        for image in read(root).train:
            load_image(image.path, 32)
        read(root)
    return str(caught.value).replace(str(root), "DATA")


def write_one_monster(root: Path) -> None:
    """One training image and one prompt, in the task's format."""
    (root / "train").mkdir(parents=True)
    Image.new("RGB", (32, 32), "red").save(root / "train" / "0_main_0.png")
    (root / "train_info.json").write_text(json.dumps({"0_main": ENTRY}))
    (root / "test.json").write_text(json.dumps({"1_main": PROMPT}))


def test_messages_are_the_golden_ones(golden: Callable[[str, str], None], tmp_path: Path) -> None:
    messages = {}
    cases = {case: (write_one_monster, breakage) for case, breakage in BREAKAGES.items()}
    cases |= {f"imagefolder: {case}": (write_imagefolder, b) for case, b in IMAGEFOLDER_BREAKAGES.items()}
    for number, (case, (write, breakage)) in enumerate(cases.items()):
        root = tmp_path / str(number)
        write(root)
        assert read(root).train, "unbroken, it can be read"
        assert read(root).prompts
        breakage(root)
        messages[case] = message(root)
    golden("broken_data.txt", "".join(f"=== {case}\n{text}\n\n" for case, text in messages.items()))
