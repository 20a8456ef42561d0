"""Remarks on pixels: equal pictures, and what decoding does to pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

from ablate.data.entries import caption
from ablate.data.remarks.base import Remark, counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ablate.data.remarks.base import DataSet

TRAITS = {
    "transparent": ("images with transparent pixels", "They are put on data.background."),
    "turned": ("images that their EXIF data turn", "They are turned upright."),
    "animated": ("animations, and files of several pages", "Only the first picture of them is used."),
    "deep": ("images of 16 bits a channel", "The lower 8 bits are dropped."),
    "profile": (
        "images with a colour profile other than sRGB",
        "It is not applied. If it matters, convert them to sRGB.",
    ),
}
"""Trait of a decoded image → what is said, and what is done about it."""


class Picture(NamedTuple):
    """An image under one of its names."""

    name: str
    split: str
    group: str
    text: str
    """Its first caption."""


def equal(data: DataSet) -> Iterator[Remark]:
    """Images with the same pixels in the same size, and what a split does to them."""
    sets = _equal_pictures(data)
    torn = [some for some in sets if len({picture.split for picture in some}) > 1]
    held_out = " (held out)" if data.read.held_out else ""
    pairs = tuple(
        f"{tested.name}{held_out} = {next(picture.name for picture in some if picture.split == 'training')}"
        for some in torn
        for tested in some
        if tested.split == "test"
    )
    fix = "An image that the model trains on tests nothing: remove it from one split."
    if held_out:
        fix = "An image that the model trains on tests nothing: give equal images one group, or keep one."
    yield Remark("warning", "images in both splits", pairs, fix)
    loose = [some for some in sets if data.read.held_out and len({picture.group for picture in some}) > 1]
    fix = (
        f"It is chance which of them a split tears apart: here {len(torn)} of the {len(loose)} sets. "
        "Give equal images one group, or keep one of each."
    )
    yield Remark("warning", "sets of identical images in several groups", _names(loose), fix)
    for split in ("training", "test"):
        inside = (
            [picture for picture in some if picture.split == split] for some in sets if some not in loose
        )
        repeated = _names(some for some in inside if len(some) > 1)
        yield Remark("info", f"images repeated in the {split} split", repeated)


def relabelled(data: DataSet) -> Iterator[Remark]:
    """Equal images with different captions."""
    odd = (some for some in _equal_pictures(data) if len({picture.text for picture in some}) > 1)
    places = tuple(" = ".join(f"{picture.name} “{picture.text}”" for picture in some) for some in odd)
    fix = "One picture is learned for several captions."
    yield Remark("info", "sets of identical images with different captions", places, fix)


def changes(data: DataSet) -> Iterator[Remark]:
    """What decoding and resizing do to the images."""
    images = {path: seen for path, seen in data.images.items() if not seen.problem}
    yield _oblong(data)
    for trait, (what, fix) in TRAITS.items():
        places = tuple(data.place(path) for path, seen in images.items() if trait in seen.traits)
        yield Remark("info", what, places, fix)
    modes = Counter(seen.mode for seen in images.values() if seen.mode != "RGB")
    sizes = Counter(f"{seen.size[0]} × {seen.size[1]}" for seen in images.values())
    yield Remark("info", "pixel formats that become RGB", counted(modes))
    yield Remark("info", "sizes that become data.size", counted(sizes))


def _oblong(data: DataSet) -> Remark:
    images = {path: seen for path, seen in data.images.items() if not seen.problem}
    shares = {data.place(path): 1 - min(seen.size) / max(seen.size) for path, seen in images.items()}
    oblong = {place: share for place, share in shares.items() if share}
    if not oblong:
        return Remark("info", "images that are not square", ())
    most = max(oblong, key=lambda place: oblong[place])
    fix = (
        f"They are padded with data.background, by {mean(oblong.values()):.0%} of the square on average and "
        f"{oblong[most]:.0%} in {most}. data.fit: crop would cut off as much of the picture."
    )
    share = f"{len(oblong) / len(images):.1%} of all"
    return Remark("info", f"images that are not square ({share})", tuple(oblong), fix)


def _equal_pictures(data: DataSet) -> list[list[Picture]]:
    """Sets of at least two images with the same pixels."""
    same: dict[bytes, list[Picture]] = defaultdict(list)
    for image in data.read.train:
        picture = Picture(data.place(image.path), "training", image.group, caption(image, 0))
        same[data.images[image.path].digest].append(picture)
    for prompt in data.read.prompts:
        if prompt.reference:
            picture = Picture(data.place(prompt.reference), "test", prompt.group, prompt.text)
            same[data.images[prompt.reference].digest].append(picture)
    return [some for digest, some in same.items() if digest and len(some) > 1]


def _names(sets: Iterable[list[Picture]]) -> tuple[str, ...]:
    return tuple(" = ".join(picture.name for picture in some) for some in sets)
