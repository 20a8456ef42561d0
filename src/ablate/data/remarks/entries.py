"""Remarks on entries and splits."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from ablate.data import task
from ablate.data.fields import TEXT_FIELDS, EmptyTextError, NoImageError
from ablate.data.remarks.base import Remark, counted
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.data.remarks.base import DataSet


def mistakes(data: DataSet) -> Iterator[Remark]:
    """Entries that a training would stop at."""
    kinds = {data.place_of(problem): type(problem) for problem in data.problems}

    def of(wanted: type[DataError]) -> tuple[str, ...]:
        return tuple(place for place, kind in kinds.items() if kind is wanted)

    out = "or remove the entries."
    yield Remark("error", "entries without an image", of(NoImageError), f"Add images, {out}")
    yield Remark("error", "entries with empty text", of(EmptyTextError), f"Write it, {out}")
    yield Remark("error", "other mistakes", of(DataError), "docs/own-images.md describes the formats.")


def frames(data: DataSet) -> Iterator[Remark]:
    """Missing frames, and frames too many. Only the task's format says how many there are."""
    if (data.folder / task.TRAIN).is_file():
        what = "entries with missing frames, or too many"
        with suppress(DataError):  # which is an error already
            counts = task.odd_frames(data.folder)
            odd = tuple(f"{entry}: {found} of {said} frames" for entry, found, said in counts)
            yield Remark("warning", what, odd, "The frames that exist are used.")


def torn_groups(data: DataSet) -> Iterator[Remark]:
    """Monsters that are trained with and tested."""
    trained = Counter(image.group for image in data.read.train)
    tested = Counter(prompt.group for prompt in data.read.prompts)
    both = [name for name in tested if name in trained]
    torn = tuple(f"{name}: {trained[name]} in training, {tested[name]} in test" for name in both)
    yield Remark("warning", "groups in both splits", torn, "Put all of a group into one split.")


def prompts_without_image(data: DataSet) -> Iterator[Remark]:
    """Prompts that only CLIP-T can judge."""
    without = tuple(f"{p.image_name}: {p.text}" for p in data.read.prompts if p.reference is None)
    yield Remark("warning", "prompts without a real image", without, "CLIP-I leaves them out.")


def unread_fields(data: DataSet) -> Iterator[Remark]:
    """Fields of a table that nobody reads: meant for others, or misspelt."""
    places = counted(Counter(data.read.unread))
    fix = f"Only file_name, group and the first of {', '.join(TEXT_FIELDS)} are read."
    yield Remark("info", "fields that nothing reads", places, fix)


def held_out(data: DataSet) -> Iterator[Remark]:
    """Images that are not trained with because there is no test split."""
    if data.read.held_out:
        names = tuple(data.place(path) for path in data.read.references)
        fix = "There is no test split, so these are the prompts and real images. They are not trained with."
        yield Remark("info", "images held out for the test", names, fix)
