"""The pretrained parts: where each comes from, how it is loaded, who needs it. A file for each.

A new part is its file here, its row in ``PARTS`` and its field in ``Components`` of ``experiment/config.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.evaluator import EvaluatorPart
from ablate.parts.inception import InceptionPart
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.text import TextEncoderPart, TokenizerPart
from ablate.parts.vae import VaePart

if TYPE_CHECKING:
    from ablate.parts.base import PretrainedPart

PARTS: dict[str, type[PretrainedPart]] = {
    "vae": VaePart,
    "text_encoder": TextEncoderPart,
    "tokenizer": TokenizerPart,
    "evaluator": EvaluatorPart,
    "perceptual": PerceptualPart,
    "inception": InceptionPart,
}
"""Field of ``components`` → the part. Messages list parts in this order."""
