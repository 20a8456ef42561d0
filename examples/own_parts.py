"""One of each thing that a plug-in can add to ablate. Copy what you need.

A spec names this file: ``plugins: [own_parts.py]``; or the command line: ``--plugin examples/own_parts.py``.
The dicts at the end say what it adds. docs/own-parts.md explains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from ablate.diffusion import randomness
from ablate.factors.augmentation import Augmentation
from ablate.factors.base import Frozen, Loss, Step
from ablate.factors.observer import Observer
from ablate.factors.weighting import Weighting
from ablate.fields import Position
from ablate.metrics.base import ImageMetric, Measured, SetMetric
from ablate.metrics.spaces.base import FeatureSpace
from ablate.report.blocks import Block, Heading, Table
from ablate.report.section import Section

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.diffusion.schedule import ForwardProcess


class Edges(Loss):
    """Difference of the predicted clean latents' edges from those of the data."""

    name: ClassVar[str] = "edges"
    label: ClassVar[str] = "edges"

    weight: Annotated[float, Field(gt=0)] = 0.1
    start: Position = 0
    """First epoch with this loss."""

    def loss(self, step: Step, frozen: Frozen) -> Tensor:
        """[B, C, h, w − 1]"""
        return (step.predicted_x0.diff(dim=-1) - step.x0.diff(dim=-1)).square()


class Clean(Weighting):
    """More weight for timesteps with little noise."""

    kind: Literal["clean"] = "clean"
    power: Annotated[float, Field(gt=0)] = 1.0

    def weights(self, t: Tensor, process: ForwardProcess) -> Tensor:
        """(1 + ᾱ)^power"""
        return (1 + process.alpha_bar[t]) ** self.power


class Cutout(Augmentation):
    """A grey square somewhere in each image (DeVries & Taylor 2017)."""

    kind: Literal["cutout"] = "cutout"
    size: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Edge of the square, as a share of the image's."""

    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """[B, 3, H, W] with a square set to 0."""
        edge = max(1, round(self.size * images.shape[-1]))
        room = images.shape[-1] - edge + 1
        corners = (randomness.uniform((2, len(images)), *address, "cutout") * room).long()
        images = images.clone()
        for image, y, x in zip(images, *corners.tolist(), strict=True):
            image[:, y : y + edge, x : x + edge] = 0
        return images


class Mean(Observer):
    """The plain mean of the weights from ``start`` on (Izmailov et al. 2018)."""

    kind: Literal["mean"] = "mean"

    def begin(self, weights: Any, initial: Any) -> dict[str, Tensor]:
        """A copy of the weights, and how many have been seen."""
        state = {name: weight.detach().clone() for name, weight in weights.items()}
        return {**state, "seen": torch.ones(())}

    def update(self, state: dict[str, Tensor], weights: Any) -> None:
        """mean ← mean + (weights − mean)/n"""
        with torch.no_grad():
            state["seen"] += 1
            for name, weight in weights.items():
                state[name].lerp_(weight, float(1 / state["seen"]))

    def sampled(self, state: Any) -> Any:
        """The mean."""
        return {name: tensor for name, tensor in state.items() if name != "seen"}


class Contrast(ImageMetric):
    """Standard deviation of an image's pixels, in 0 to 127.5."""

    key = "contrast"
    label = "contrast"
    lower_is_better = False

    def scores(self, measured: Measured) -> np.ndarray:
        """[N]"""
        return measured.images.astype(np.float64).std((1, 2, 3))


class Shift(SetMetric):
    """Distance of the samples' mean features from those of the real images."""

    key = "shift"
    label = "shift"
    lower_is_better = True

    def compute(self, samples: np.ndarray, reference: np.ndarray) -> float:
        """0 and up."""
        return float(np.linalg.norm(samples.mean(0) - reference.mean(0)))


class Pixels(FeatureSpace):
    """Images of 4 × 4 pixels: no network, and no meaning beyond colour and layout."""

    @property
    def name(self) -> str:
        """What tables call it."""
        return "pixels"

    def features(self, images: np.ndarray) -> np.ndarray:
        """[N, 48]"""
        pictures = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        return torch.nn.functional.adaptive_avg_pool2d(pictures, 4).flatten(1).numpy()


class Winners(Section):
    """In which variant each metric is best."""

    name = "winners"

    def blocks(self, results: Any) -> list[Block]:
        """A row a metric; empty without metrics."""
        rows = []
        for metric in results.metrics:
            means = {variant: interval.mean for variant, interval in metric.intervals.items()}
            rows.append(
                [metric.label, (min if metric.lower_is_better else max)(means, key=means.__getitem__)]
            )
        return [Heading("Winners"), Table(["metric", "best variant"], rows)] if rows else []


LOSSES = {"edges": Edges}
WEIGHTINGS = {"clean": Clean}
AUGMENTATIONS = {"cutout": Cutout}
OBSERVERS = {"mean": Mean}
METRICS = {"contrast": Contrast(), "shift": Shift()}
SPACES = {"pixels": Pixels}
SECTIONS = {"winners": Winners()}
