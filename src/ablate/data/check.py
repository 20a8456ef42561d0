"""``ablate data check``: reads a whole data set and says what is wrong or odd before it is trained with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import ImageCms

from ablate.data.captions import format_of
from ablate.data.images import decode
from ablate.data.parallel import cores, map_chunks
from ablate.data.remarks import REMARKS
from ablate.data.remarks.base import DataSet, Seen
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.data.remarks.base import Remark
    from ablate.documents import checks

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

    def as_json(self) -> checks.DataCheck:
        """The same as plain data, with every place of each remark."""
        read = self.data.read
        return {
            "folder": str(self.data.folder),
            "format": self.format,
            "training_images": len(read.train),
            "groups": len({image.group for image in read.train}),
            "prompts": len(read.prompts),
            "real_images": len(read.references),
            "remarks": [
                {
                    "level": remark.level,
                    "what": remark.what,
                    "places": list(remark.places),
                    "fix": remark.fix,
                }
                for remark in self.remarks
            ],
            "trainable": self.trainable,
        }


def check_data(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> DataReport:
    """Reads and decodes all that a training would; ``progress`` gets images decoded, and all there are.

    Nothing that is wrong with an entry or an image ends the check. Raises DataError if the folder is
    in no known format.
    """
    form = format_of(folder)
    problems: list[DataError] = []
    read = form.read(folder, problems.append)
    paths = [image.path for image in read.train] + list(read.references)
    data = DataSet(folder, tuple(problems), read, _look_at(paths, progress))
    remarks = tuple(remark for function in REMARKS for remark in function(data) if remark.places)
    return DataReport(form.name, data, remarks)


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
        decoded = decode(path)
    except DataError as problem:
        return Seen(problem=problem)
    rgb, traits = decoded.rgb, decoded.traits
    if _has_other_colours(decoded.profile):
        traits = traits | {"profile"}
    pixels = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes())
    return Seen(pixels.digest(), rgb.size, decoded.mode, traits)


def _has_other_colours(profile: bytes) -> bool:
    """Whether an ICC profile is another than one of sRGB. One that cannot be read is none."""
    if not profile:
        return False
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False
    return "srgb" not in name.lower()
