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
    """What was found, in words."""
    mend: str
    """What to do about it; may be empty."""


class Remark(TypedDict):
    """One thing about a data set."""

    level: Literal["error", "warning", "info"]
    """error: nobody can train on it."""
    what: str
    """What there is to say, in words."""
    places: list[str]
    """All places where it is so."""
    fix: str
    """What to do about it; may be empty."""


class DataCheck(TypedDict):
    """What is wrong or unusual in a data set."""

    folder: str
    """Folder of the data set."""
    format: str
    """The format that the data set is in."""
    training_images: int
    """Number of training images."""
    groups: int
    """Number of groups among the training images."""
    prompts: int
    """Number of prompts in the test set."""
    real_images: int
    """Number of real images that belong to prompts."""
    remarks: list[Remark]
    """All that there is to say about it."""
    trainable: bool
    """Whether one can train on it: there is no error."""


class Pair(TypedDict):
    """How well a text and an image encoder find each other. Shares between 0 and 1."""

    zero_shot: dict[str, float]
    """Attribute → share of test images whose label is recognized."""
    top1: float
    """Share of images whose own text is nearest among all test texts."""
    top5: float
    """Share of images whose own text is among the nearest five."""


class Perceptual(TypedDict):
    """How the perceptual distance orders images. Shares between 0 and 1."""

    neighbour: dict[str, float]
    """Attribute → share of test images whose nearest training image agrees in it."""
    same_monster: float | None
    """How often another image of the same group is nearer than one of another; null without groups."""


class KitCheck(TypedDict):
    """How good a kit is on held-out images."""

    vae_psnr: float
    """PSNR of the VAE in dB, mean over test images."""
    text_encoder: Pair
    """The text encoder, with the image encoder that it was trained beside."""
    evaluator: Pair
    """The evaluator by itself."""
    perceptual: Perceptual
    """The LPIPS backbone."""
    bytes: dict[str, int]
    """Part → its size on disk."""
