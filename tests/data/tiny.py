"""One tiny data set, written in each layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

DESCRIPTIONS = ["A red slime.", "Pixel art of a slime."]
ACTION = "The monster is attacking."

TRAIN: dict[str, tuple[str, str]] = {
    "2_attack1_9.png": ("2", ""),
    "2_attack1_10.png": ("2", ""),
    "10_attack1_0.png": ("10", ACTION),
    "10_attack1_2.png": ("10", ACTION),
}
"""File → group and action, in the order in which they are read."""

TEST: dict[str, tuple[str, str, bool]] = {
    "7_main.png": ("7", "A bat.", True),
    "8_main.png": ("8", "A bat: with “quotes”.", False),
}
"""File → group, text, and whether there is a real image."""


def save(path: Path, seed: int = 0) -> None:
    """Writes 4 × 4 random pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_lines(path: Path, lines: Iterable[Any]) -> None:
    """Writes a metadata.jsonl."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def captions(action: str) -> list[str]:
    return [f"{text} {action}".strip() for text in DESCRIPTIONS]


def write_images(root: Path) -> None:
    for seed, name in enumerate(TRAIN):
        save(root / "train" / name, seed)
    for seed, (name, (_, _, real)) in enumerate(TEST.items(), len(TRAIN)):
        if real:
            save(root / "test" / name, seed)


def write_task(root: Path) -> None:
    write_images(root)
    train: dict[str, Any] = {}
    for name, (_, action) in reversed(TRAIN.items()):
        entry = train.setdefault(name.rpartition("_")[0], {"num_frames": 0})
        entry |= {"given_description": DESCRIPTIONS, "action_description": action}
        entry["num_frames"] += 1
    test = {name[:-4]: {"image_name": name, "text_prompt": text} for name, (_, text, _) in TEST.items()}
    (root / "train_info.json").write_text(json.dumps(train))
    (root / "test.json").write_text(json.dumps(test))


def train_lines(prefix: str = "") -> list[dict[str, Any]]:
    return [
        {"file_name": prefix + name, "text": captions(action), "group": group}
        for name, (group, action) in reversed(TRAIN.items())
    ]


def test_lines(prefix: str = "") -> list[dict[str, Any]]:
    return [
        {"file_name": prefix + name, "text": text, "group": int(group)}
        for name, (group, text, _) in reversed(TEST.items())
    ]


def write_imagefolder(root: Path) -> None:
    write_images(root)
    write_lines(root / "train" / "metadata.jsonl", train_lines())
    write_lines(root / "test" / "metadata.jsonl", test_lines())


def write_imagefolder_with_one_file(root: Path) -> None:
    write_images(root)
    write_lines(root / "metadata.jsonl", train_lines("train/") + test_lines("test/"))


def in_one_table(write: Callable[[Path, list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """Writes the images, and all lines with ``write`` into a table at the top."""

    def write_all(root: Path) -> None:
        write_images(root)
        lines = train_lines("train/") + test_lines("test/")
        write(
            root,
            [
                line
                | {
                    "text": [line["text"]] if isinstance(line["text"], str) else line["text"],
                    "group": str(line["group"]),
                }
                for line in lines
            ],
        )

    return write_all


def write_parquet(root: Path, lines: list[dict[str, Any]]) -> None:
    pd.DataFrame(lines).to_parquet(root / "metadata.parquet")


def write_captions(root: Path, lines: list[dict[str, Any]]) -> None:
    by_name = {line["file_name"]: {"text": line["text"], "group": line["group"]} for line in lines}
    (root / "captions.json").write_text(json.dumps(by_name))


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "task": write_task,
    "imagefolder": write_imagefolder,
    "imagefolder with one file": write_imagefolder_with_one_file,
    "parquet": in_one_table(write_parquet),
    "captions.json": in_one_table(write_captions),
}
