"""``ablate fetch``: downloads the pretrained parts of a configuration and loads each of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ablate import components
from ablate.errors import ComponentError
from ablate.parts.check import missing, named_parts, title

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from ablate.spec.config import Components, Config


class Screen(Protocol):
    """Where it is shown what happens to each part."""

    def download(self, part: str, address: str) -> None:
        """A part is about to be downloaded."""

    def ready(self, part: str, holds: str, files: tuple[Path, ...]) -> None:
        """A part is on this machine and could be loaded."""

    def failed(self, part: str, reason: str) -> None:
        """A part is not here, or not sound."""


def fetch_parts(config: Config, screen: Screen) -> None:
    """Downloads what is missing of the parts that ``config`` names, and loads each once.

    What is there is not downloaded again. What fails keeps nothing else back.

    Raises:
        ComponentError: some part could not be fetched or loaded, or can be nowhere.
    """
    parts = named_parts(config)
    lost = []

    def fail(name: str, reason: str) -> None:
        lost.append(name)
        screen.failed(title(name, parts[name]), reason)

    for each in missing(parts.items()):
        if each.obstacle:
            fail(each.name, each.obstacle)
            continue
        screen.download(each.title, each.source.address)
        try:
            components.part_files(each.name, each.part)
        except ComponentError as error:
            fail(each.name, str(error))
    for name in [name for name in parts if name not in lost]:
        try:
            holds = _load(name, config.components)
        except ComponentError as error:
            fail(name, str(error))
        else:
            screen.ready(title(name, parts[name]), holds, components.part_files(name, parts[name]))
    if lost:
        raise ComponentError(
            f"{len(lost)} of {len(parts)} parts are not ready",
            where=", ".join(components.TITLES[name] for name in lost),
            fix="The same command goes on with these, where there is a network. A folder can stand for a "
            f"part: --set components.{lost[0]}=FOLDER",
        )


def _load(name: str, parts: Components) -> str:
    """Loads a part as a run does, and says what it holds."""
    import numpy as np

    from ablate.metrics.spaces.inception import InceptionSpace

    black = np.zeros((1, 64, 64, 3), np.uint8)
    match name:
        case "tokenizer":
            tokenizer, _ = components.load_text_encoder(parts.text_encoder, parts.tokenizer)
            return f"{len(tokenizer)} tokens"
        case "text_encoder":
            _, encoder = components.load_text_encoder(parts.text_encoder, parts.tokenizer)
            return _parameters(encoder)
        case "evaluator":
            return f"{components.load_evaluator(parts.evaluator).encode_images(black).shape[1]} features"
        case "inception":
            model = components.load_inception(parts.inception)
            return f"{InceptionSpace(model, 'cpu').features(black).shape[1]} features"
    load = {
        "vae": components.load_vae,
        "perceptual": components.load_perceptual,
        "small_decoder": components.load_small_decoder,
    }[name]
    return _parameters(load(getattr(parts, name)))


def _parameters(model: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f} M parameters"
