"""``ablate data check``: reads a whole data set and says what is wrong or odd before it is trained with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ablate.data.captions import format_of
from ablate.data.images import decode
from ablate.data.parallel import cores, map_chunks
from ablate.data.remarks import REMARKS, DataSet, Seen
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.data.fields import OnProblem
    from ablate.data.remarks import Remark

T = TypeVar("T")

CHUNK = 32
FEW = 500
"""Images that are decoded sooner than worker processes have started."""


@dataclass(frozen=True)
class DataReport:
    """What ``check_data`` found."""

    format: str
    data: DataSet
    remarks: tuple[Remark, ...]

    @property
    def trainable(self) -> bool:
        """Whether there is no error."""
        return all(remark.level != "error" for remark in self.remarks)


def check_data(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> DataReport:
    """Reads and decodes all that a training would; ``progress`` gets images decoded, and all there are.

    Nothing that is wrong with an entry or an image ends the check. Raises DataError if the folder is
    in no known format.
    """
    form = format_of(folder)
    problems: list[DataError] = []
    train = _collect(form.read_train, folder, problems)
    prompts = _collect(form.read_prompts, folder, problems)
    paths = [image.path for image in train] + [prompt.reference for prompt in prompts if prompt.reference]
    data = DataSet(folder, tuple(problems), tuple(train), tuple(prompts), _look_at(paths, progress))
    remarks = tuple(remark for function in REMARKS for remark in function(data) if remark.places)
    return DataReport(form.name, data, remarks)


def _collect(read: Callable[[Path, OnProblem], list[T]], folder: Path, problems: list[DataError]) -> list[T]:
    try:
        return read(folder, problems.append)
    except DataError as problem:  # of a whole file
        problems.append(problem)
        return []


def _look_at(paths: Sequence[Path], progress: Callable[[int, int], None]) -> dict[Path, Seen]:
    seen: list[Seen] = []
    for some in map_chunks(_look, paths, chunk=CHUNK, workers=cores() if len(paths) > FEW else 0):
        seen += some
        progress(len(seen), len(paths))
    return dict(zip(paths, seen, strict=True))


def _look(paths: Sequence[Path]) -> list[Seen]:
    return [_look_at_one(path) for path in paths]


def _look_at_one(path: Path) -> Seen:
    try:
        rgb, mode = decode(path)
    except DataError as problem:
        return Seen(problem=problem)
    pixels = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes())
    return Seen(pixels.digest(), rgb.size, mode)
