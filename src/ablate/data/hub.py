"""Exports a data set of the Hugging Face hub into a folder in the imagefolder layout, once.

Needs the package ``datasets``, the optional extra ``hub``. It runs no code of a data set.
"""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.data.fields import TEXT_FIELDS, is_blank
from ablate.errors import DataError
from ablate.text import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datasets import Dataset

PREFIX = "hub:"
SPLITS = ("train", "test")
METADATA = "metadata.jsonl"
NAME = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


def export_hub(name: str, folder: Path, progress: Callable[[str], None]) -> None:
    """Downloads ``hub:owner/name`` or ``hub:owner/name@revision`` and writes it to ``folder``.

    The splits ``train`` and, where there is one, ``test`` are exported; ``imagefolder.read`` holds images
    out otherwise. Images are written as they are. The caller puts a half-written folder away.

    Raises DataError if the name is none, ``datasets`` is not installed, the data set cannot be loaded, or
    it holds no images with captions.
    """
    matched = NAME.fullmatch(name.removeprefix(PREFIX))
    if matched is None:
        fix = f"Write {PREFIX}owner/name or …@revision."
        raise DataError("is not the name of a data set", where=name, fix=fix)
    progress(f"downloading {matched['name']}")
    write_splits(_load(matched["name"], matched["revision"], name), folder, progress, name)


def write_splits(
    splits: Mapping[str, Dataset], folder: Path, progress: Callable[[str], None], name: str
) -> None:
    """Writes loaded splits; ``name`` is what messages call the data set. Errors as ``export_hub``."""
    if "train" not in splits:
        known = ", ".join(splits)
        raise DataError("has no split named train", where=name, fix=f"It has: {known}. Export it yourself.")
    for split in SPLITS:
        if split in splits:
            _write_split(splits[split], folder / split, progress, f"{name}, {split}")


def _load(name: str, revision: str | None, where: str) -> Mapping[str, Dataset]:
    try:
        import datasets
    except ImportError:
        what, fix = (
            "data sets on the hub need the package datasets",
            "Install it with: pip install datasets",
        )
        raise DataError(what, where=where, fix=fix) from None
    datasets.disable_progress_bars()
    try:
        loaded: Mapping[str, Dataset] = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # network, hub, Arrow and file errors of half a dozen libraries
        fix = "Check the name and the revision, and that the hub can be reached."
        raise DataError(f"cannot be loaded ({in_one_line(error)})", where=where, fix=fix) from error
    return loaded


def _write_split(rows: Dataset, folder: Path, progress: Callable[[str], None], where: str) -> None:
    from datasets import Image

    images = [column for column, feature in rows.features.items() if isinstance(feature, Image)]
    texts = [column for column in TEXT_FIELDS if column in rows.features]
    if not images or not texts:
        missing = f"column {' or '.join(TEXT_FIELDS)}" if images else "column of images"
        fix = f"It has the columns {', '.join(rows.column_names)}. Export it yourself."
        raise DataError(f"there is no {missing}", where=where, fix=fix)
    # Not decoded here: `ablate.data.images` knows what may be opened.
    rows = rows.cast_column(images[0], Image(decode=False))
    folder.mkdir(parents=True)
    without_text = 0
    with (folder / METADATA).open("w", encoding="utf-8") as metadata:
        for number, row in enumerate(rows):
            if number % 500 == 0:
                progress(f"exporting {where}: {number} of {len(rows)} images")
            if not (text := _text(row[texts[0]])):
                without_text += 1
                continue
            file_name = _write_image(row[images[0]], folder / str(number), f"{where}, row {number}")
            group = {"group": str(row["group"])} if row.get("group") is not None else {}
            line = {"file_name": file_name, "text": text} | group
            metadata.write(json.dumps(line, ensure_ascii=False) + "\n")
    if without_text:
        progress(f"exported {where}; {without_text} images without a text were left out")


def _text(value: Any) -> str | list[str]:
    """A text or a list of texts without empty ones."""
    if isinstance(value, list):
        return [text for text in map(_text, value) if isinstance(text, str) and text]
    return value.strip() if isinstance(value, str) and not is_blank(value) else ""


def _write_image(image: dict[str, Any] | None, stem: Path, where: str) -> str:
    from PIL import UnidentifiedImageError

    from ablate.data.images import suffix

    try:
        content = (image or {})["bytes"] or Path((image or {})["path"]).read_bytes()
        file = stem.with_suffix(suffix(BytesIO(content)))
    except Exception as error:  # Pillow's readers raise nearly everything for damaged files
        match error:
            case UnidentifiedImageError():
                why = "of no known format"
            case KeyError() | TypeError() | OSError():
                why = "missing"
            case _:
                why = f"damaged or too large ({in_one_line(error)})"
        raise DataError(f"the image is {why}", where=where, fix="Export the data set yourself.") from error
    file.write_bytes(content)
    return file.name
