"""What ``doctor``, ``data check`` and ``kit check`` print."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class Answer(TypedDict):
    """What was found about one thing."""

    about: str
    """What was looked at."""
    state: Literal["ok", "note", "wrong"]
    """wrong: nothing can run here because of it."""
    found: str
    """In words."""
    mend: str
    """What to do about it; may be empty."""


class Remark(TypedDict):
    """One thing about a data set."""

    level: Literal["error", "warning", "info"]
    """error: nobody can train on it."""
    what: str
    """In words."""
    places: list[str]
    """All of them."""
    fix: str
    """What to do about it; may be empty."""


class DataCheck(TypedDict):
    """What is wrong or unusual in a data set."""

    folder: str
    """The data set's."""
    format: str
    """In which it is."""
    training_images: int
    """How many."""
    groups: int
    """Among the training images."""
    prompts: int
    """Of the test set."""
    real_images: int
    """That belong to prompts."""
    remarks: list[Remark]
    """Whatever there is to say."""
    trainable: bool
    """Whether there is no error."""


class Pair(TypedDict):
    """How well a text and an image encoder find each other. Shares between 0 and 1."""

    zero_shot: dict[str, float]
    """Attribute → test images whose label is recognized."""
    top1: float
    """Images whose own text is nearest among all test texts."""
    top5: float
    """Images whose own text is among the nearest five."""


class Perceptual(TypedDict):
    """How the perceptual distance orders images. Shares between 0 and 1."""

    neighbour: dict[str, float]
    """Attribute → test images whose nearest training image agrees in it."""
    same_monster: float | None
    """How often another image of the same group is nearer than one of another; null without groups."""


class KitCheck(TypedDict):
    """How good a kit is on held-out images."""

    vae_psnr: float
    """dB, mean over test images."""
    text_encoder: Pair
    """With the image encoder that it was trained beside."""
    evaluator: Pair
    """By itself."""
    perceptual: Perceptual
    """The LPIPS backbone."""
    bytes: dict[str, int]
    """Part → its size on disk."""
