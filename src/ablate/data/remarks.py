"""What ``ablate data check`` says about a data set: a function for each kind of remark, listed in REMARKS."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ablate.data import task
from ablate.data.entries import caption
from ablate.data.fields import EmptyTextError, NoImageError
from ablate.data.images import FORMATS, MOST_PIXELS, OversizedImageError
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ablate.data.entries import Prompt, TrainImage

Level = Literal["error", "warning", "info"]

MOST_TOKENS = 77
"""Of CLIP's text encoder, with the start and the end token. What is beyond them is cut off."""

ENDINGS = {f".{name.lower()}" for name in FORMATS} | {".jpg", ".tif"}


@dataclass(frozen=True)
class Remark:
    """One thing about a data set, and where it is so."""

    level: Level
    """An ``error`` keeps it from being trained with."""
    what: str
    places: tuple[str, ...]
    """All of them, with paths from the data set's folder. Without any there is nothing to say."""
    fix: str = ""


@dataclass(frozen=True)
class Seen:
    """What is remembered of a decoded image: its pixels are not."""

    digest: bytes = b""
    """Of the upright RGB pixels and the size."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels."""
    mode: str = ""
    """Pillow's name for the file's kind of pixels."""
    problem: DataError | None = None
    """Why it cannot be decoded; the other fields are empty then."""


@dataclass(frozen=True)
class DataSet:
    """Everything that was read and seen of a folder."""

    folder: Path
    problems: tuple[DataError, ...]
    """What is wrong with entries."""
    train: tuple[TrainImage, ...]
    prompts: tuple[Prompt, ...]
    images: dict[Path, Seen]
    """Each image that an entry names."""

    def place(self, path: Path) -> str:
        """A path from the data set's folder."""
        return path.relative_to(self.folder).as_posix()

    def place_of(self, problem: DataError) -> str:
        """Where a problem is and what it is."""
        return f"{problem.where.removeprefix(f'{self.folder}{os.sep}')}: {problem.what}"


def entries(data: DataSet) -> Iterator[Remark]:
    """Entries that a training would stop at."""
    # Both splits may lie in one file, and then its problems are met twice.
    kinds = {data.place_of(problem): type(problem) for problem in data.problems}

    def of(wanted: type[DataError]) -> tuple[str, ...]:
        return tuple(place for place, kind in kinds.items() if kind is wanted)

    out = "or remove the entries."
    yield Remark("error", "entries without an image", of(NoImageError), f"Add images, {out}")
    yield Remark("error", "entries with empty text", of(EmptyTextError), f"Write it, {out}")
    yield Remark("error", "other mistakes", of(DataError), "docs/how-to.md describes the formats.")


def broken_images(data: DataSet) -> Iterator[Remark]:
    """Images that a training would stop at."""
    problems = [seen.problem for seen in data.images.values() if seen.problem]
    unreadable = tuple(data.place_of(p) for p in problems if not isinstance(p, OversizedImageError))
    oversized = tuple(data.place_of(p) for p in problems if isinstance(p, OversizedImageError))
    fix = "Copy them again from their source, or remove their entries."
    yield Remark("error", "images that cannot be read", unreadable, fix)
    what = f"images of more than {MOST_PIXELS // 1_000_000} megapixels"
    yield Remark("error", what, oversized, "Make them smaller, or remove their entries.")


def frames(data: DataSet) -> Iterator[Remark]:
    """Missing frames, and frames too many. Only the task's format says how many there are."""
    if (data.folder / "train_info.json").is_file():
        what = "entries with missing frames, or too many"
        with suppress(DataError):  # which is an error already
            counts = task.odd_frames(data.folder)
            odd = tuple(f"{entry}: {found} of {said} frames" for entry, found, said in counts)
            yield Remark("warning", what, odd, "The frames that exist are used.")


def unnamed_images(data: DataSet) -> Iterator[Remark]:
    """Images without an entry."""
    if not data.train or not data.prompts:  # an error already, and then every image of the split has none
        return
    files = {path for path in data.folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()}
    unnamed = tuple(sorted(data.place(path) for path in files - data.images.keys()))
    yield Remark("warning", "images that no entry names", unnamed, "They are not used.")


def long_captions(data: DataSet) -> Iterator[Remark]:
    """Captions that the text encoder does not see to their ends."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    texts = [caption(image, number) for image in data.train for number in range(len(image.descriptions))]
    texts += [prompt.text for prompt in data.prompts]
    counts = {text: len(tokenizer.encode(text)) + 2 for text in dict.fromkeys(texts)}
    long = tuple(f"{count} tokens: {text}" for text, count in counts.items() if count > MOST_TOKENS)
    fix = "The rest is cut off (CLIP's tokens, start and end included)."
    yield Remark("warning", f"captions of more than {MOST_TOKENS} tokens", long, fix)


def equal_images(data: DataSet) -> Iterator[Remark]:
    """Images with the same pixels in the same size."""
    trained = _by_pixels(data, [image.path for image in data.train])
    tested = _by_pixels(data, [prompt.reference for prompt in data.prompts if prompt.reference])
    both = [digest for digest in tested if digest in trained]
    equal = tuple(f"{name} = {trained[digest][0]}" for digest in both for name in tested[digest])
    fix = "An image that the model trains on tests nothing: remove it from one split."
    yield Remark("warning", "images in both splits", equal, fix)
    for split, images in (("training", trained), ("test", tested)):
        repeated = tuple(" = ".join(names) for names in images.values() if len(names) > 1)
        yield Remark("info", f"images repeated in the {split} split", repeated)


def torn_groups(data: DataSet) -> Iterator[Remark]:
    """Monsters that are trained with and tested."""
    trained = Counter(image.group for image in data.train)
    tested = Counter(prompt.group for prompt in data.prompts)
    both = [name for name in tested if name in trained]
    torn = tuple(f"{name}: {trained[name]} in training, {tested[name]} in test" for name in both)
    yield Remark("warning", "groups in both splits", torn, "Put all of a group into one split.")


def prompts_without_image(data: DataSet) -> Iterator[Remark]:
    """Prompts that only CLIP-T can judge."""
    without = tuple(f"{p.image_name}: {p.text}" for p in data.prompts if p.reference is None)
    yield Remark("warning", "prompts without a real image", without, "CLIP-I leaves them out.")


def changes(data: DataSet) -> Iterator[Remark]:
    """What decoding and resizing do to the images."""
    images = {path: seen for path, seen in data.images.items() if not seen.problem}
    oblong = tuple(data.place(path) for path, seen in images.items() if seen.size[0] != seen.size[1])
    modes = Counter(seen.mode for seen in images.values() if seen.mode != "RGB")
    sizes = Counter(f"{seen.size[0]} × {seen.size[1]}" for seen in images.values())
    yield Remark("info", "images that are not square", oblong, "They are padded with white.")
    yield Remark("info", "pixel formats that become RGB", _counted(modes), "Transparency becomes white.")
    yield Remark("info", "sizes that become data.size", _counted(sizes))


REMARKS = (
    entries,
    broken_images,
    frames,
    unnamed_images,
    long_captions,
    equal_images,
    torn_groups,
    prompts_without_image,
    changes,
)


def _by_pixels(data: DataSet, paths: Iterable[Path]) -> dict[bytes, list[str]]:
    same: dict[bytes, list[str]] = defaultdict(list)
    for path in paths:
        if not data.images[path].problem:
            same[data.images[path].digest].append(data.place(path))
    return same


def _counted(kinds: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{kind}: {count}" for kind, count in kinds.most_common())
