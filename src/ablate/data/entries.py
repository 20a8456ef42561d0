"""What every format of a data set is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class TrainImage:
    """One training image with everything its captions are made of."""

    path: Path
    descriptions: tuple[str, ...]
    """Paraphrases of what is to be seen. At least one."""
    action: str
    """A sentence that follows each description, or ""."""
    group: str
    """What a split must not tear apart: a monster, or the image alone."""


@dataclass(frozen=True)
class Prompt:
    """One text to draw for."""

    image_name: str
    """A plain file name; without its ending it is unique in the data set."""
    text: str
    reference: Path | None
    """The real image, where the data set has one."""
    group: str
    """As that of a training image; one that both have is in both splits."""


@dataclass(frozen=True)
class Captioned:
    """All that is read of a data set."""

    files: tuple[Path, ...]
    """The files that hold the captions."""
    train: tuple[TrainImage, ...]
    """In an order that depends on their names alone, as the prompts are."""
    prompts: tuple[Prompt, ...]
    held_out: bool = False
    """Whether the prompts are training images that were held out: the data set has no test split."""
    unread: Mapping[str, int] = field(default_factory=dict)
    """Fields of a table that mean nothing here, and in how many rows they stand."""

    @property
    def references(self) -> tuple[Path, ...]:
        """The real images of prompts."""
        return tuple(prompt.reference for prompt in self.prompts if prompt.reference)

    def by_role(self) -> Iterator[tuple[str, Path]]:
        """Every file that a run reads, and what it is read as."""
        yield from (("captions", file) for file in self.files)
        yield from (("train", image.path) for image in self.train)
        yield from (("test", path) for path in self.references)


def caption(image: TrainImage, description: int) -> str:
    """The caption with the given description (taken modulo their number), then the action sentence."""
    text = image.descriptions[description % len(image.descriptions)]
    return f"{text} {image.action}" if image.action else text
