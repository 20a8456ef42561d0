"""``ablate fetch``: downloads the pretrained parts of a configuration and loads each of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate import components
from ablate.errors import ComponentError
from ablate.parts.check import missing, named_parts, title
from ablate.sources import size

if TYPE_CHECKING:
    from torch import nn

    from ablate.progress import Progress
    from ablate.spec.config import Components, Config


def fetch_parts(config: Config, progress: Progress) -> None:
    """Downloads what is missing of the parts that ``config`` names, and loads each once.

    What is there is not downloaded again. What fails keeps nothing else back.

    Raises:
        ComponentError: some part could not be fetched or loaded, or can be nowhere.
    """
    parts = named_parts(config)
    lost = []

    def fail(name: str, reason: str) -> None:
        lost.append(name)
        progress.failed(title(name, parts[name]), reason)

    for each in missing(parts.items()):
        if each.obstacle:
            fail(each.name, each.obstacle)
            continue
        progress.note(each.title, f"from {each.source.address}")
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
            files = components.part_files(name, parts[name])
            progress.done(title(name, parts[name]), f"{holds}, {size(files)} in {files[0].parent}")
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

    from ablate.metrics.inception import inception_features

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
            return f"{inception_features(black, 'cpu', model=model).shape[1]} features"
    load = {
        "vae": components.load_vae,
        "perceptual": components.load_perceptual,
        "small_decoder": components.load_small_decoder,
    }[name]
    return _parameters(load(getattr(parts, name)))


def _parameters(model: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f} M parameters"
