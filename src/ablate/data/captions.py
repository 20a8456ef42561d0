"""Reads a folder in the published task's format: images with captions, and test prompts.

``train_info.json`` names the training images ``train/<key>_<frame>.png``; ``test.json`` the prompts
and, where they exist, the real images ``test/<image_name>``. Everything that is wrong with such a
folder is a ``DataError``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ablate.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPECTED = (
    "The format is described under “Data” in the documentation: train_info.json, train/, test.json, test/."
)


@dataclass(frozen=True)
class TrainImage:
    """One training frame with everything its captions are made of."""

    path: Path
    descriptions: tuple[str, ...]
    """Paraphrases of what the monster is. At least one."""
    action: str
    """The action sentence, or ""."""
    monster: str
    """The part of the key before the first underscore: what a split must not tear apart."""


@dataclass(frozen=True)
class Prompt:
    """One entry of test.json."""

    image_name: str
    text: str
    reference: Path | None
    """The real image, where the data set has one."""


def read_train(root: Path) -> list[TrainImage]:
    """All training frames below ``root``, sorted by entry and frame number.

    Frames may be missing. Raises DataError if the folder, the JSON or an entry is not as the format
    says, if an entry has no image at all, or if there is no entry.
    """
    info = root / "train_info.json"
    entries = _entries(info)
    frames = _frames(root / "train")
    images: list[TrainImage] = []
    for key in sorted(entries, key=_natural):
        entry = _Entry(info, key, entries[key])
        descriptions = entry.texts("given_description")
        action = entry.text("action_description", required=False)
        if key not in frames:
            raise DataError(
                f"there is no image train/{key}_<frame>.png",
                where=f"{info}: {key}",
                fix="Add an image for this entry, or take the entry out of train_info.json.",
            )
        monster = key.split("_", 1)[0]
        images += [TrainImage(path, descriptions, action, monster) for path in frames[key]]
    return images


def read_prompts(root: Path) -> list[Prompt]:
    """All test prompts below ``root``, sorted by entry. Raises DataError as ``read_train`` does."""
    info = root / "test.json"
    entries = _entries(info)
    prompts: list[Prompt] = []
    owner: dict[str, str] = {}
    for key in sorted(entries, key=_natural):
        entry = _Entry(info, key, entries[key])
        name = entry.text("image_name")
        if Path(name).name != name:
            raise entry.error("image_name", f"{name!r} is not a plain file name", "Leave the folders out.")
        if name in owner:
            raise entry.error("image_name", f"{name!r} is also that of {owner[name]}", "Make names unique.")
        owner[name] = key
        reference = root / "test" / name
        prompts.append(Prompt(name, entry.text("text_prompt"), reference if reference.is_file() else None))
    return prompts


def caption(image: TrainImage, description: int) -> str:
    """The caption with the given description (taken modulo their number), then the action sentence."""
    text = image.descriptions[description % len(image.descriptions)]
    return f"{text} {image.action}" if image.action else text


def load_image(path: Path, size: int) -> NDArray[np.uint8]:
    """An image as uint8 [size, size, 3]: transparency on white, resized with antialiasing.

    Raises DataError if the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as file:
            rgba = file.convert("RGBA")
    except FileNotFoundError:
        raise DataError(
            "the image does not exist", where=str(path), fix="Check the data set's folder."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"cannot be read as an image ({error})",
            where=str(path),
            fix="The file is damaged or no image: copy it again from its source.",
        ) from error
    white = Image.new("RGBA", rgba.size, "white")
    rgb = Image.alpha_composite(white, rgba).convert("RGB")
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(rgb, dtype=np.uint8).copy()


def _entries(path: Path) -> dict[str, Any]:
    """A JSON file that must hold a non-empty object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(path), fix=EXPECTED) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", where=str(path), fix=EXPECTED) from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"is not valid JSON: {error.msg}",
            where=f"{path}: line {error.lineno}, column {error.colno}",
            fix="Correct the file there, or copy it again from its source.",
        ) from error
    except RecursionError:
        raise DataError("is nested too deeply", where=str(path), fix=EXPECTED) from None
    if not isinstance(content, dict):
        raise DataError(f"holds {_kind(content)} where an object is expected", where=str(path), fix=EXPECTED)
    if not content:
        raise DataError("has no entries", where=str(path), fix="A data set needs at least one image.")
    return content


def _frames(folder: Path) -> dict[str, list[Path]]:
    """Entry key → its frames' files in the order of their numbers."""
    if not folder.is_dir():
        raise DataError("the folder does not exist", where=str(folder), fix=EXPECTED)
    frames: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png"), key=lambda path: _natural(path.stem)):
        key, _, number = path.stem.rpartition("_")
        if number.isdecimal():
            frames.setdefault(key, []).append(path)
    return frames


@dataclass(frozen=True)
class _Entry:
    """One entry of a JSON file, read field by field."""

    path: Path
    key: str
    content: object

    def error(self, field: str, what: str, fix: str) -> DataError:
        return DataError(what, where=f"{self.path}: {self.key}.{field}", fix=fix)

    def field(self, name: str) -> object:
        if not isinstance(self.content, dict):
            raise DataError(
                f"holds {_kind(self.content)} where an object is expected",
                where=f"{self.path}: {self.key}",
                fix=EXPECTED,
            )
        return self.content.get(name)

    def text(self, name: str, *, required: bool = True) -> str:
        value = self.field(name)
        if value is None and not required:
            return ""
        if value is None:
            raise self.error(name, "is missing", "Every entry needs this field.")
        if not isinstance(value, str):
            raise self.error(name, f"holds {_kind(value)} where a text is expected", EXPECTED)
        value = value.strip()
        if required and not value:
            raise self.error(name, "is empty", "Every entry needs this field.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.field(name)
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(v, str) and v.strip() for v in value)
        ):
            raise self.error(
                name,
                f"holds {_kind(value)} where a list of texts is expected",
                "Give at least one description.",
            )
        return tuple(text.strip() for text in value)


def _natural(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key: "2_main" before "10_main"."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((0, int(piece)) if piece[0] in "0123456789" else (1, piece) for piece in pieces)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
