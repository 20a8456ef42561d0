"""The feature spaces of the set metrics. A new one is a class in its own file, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.spaces.evaluator import EvaluatorSpace
from ablate.metrics.spaces.inception import InceptionSpace

if TYPE_CHECKING:
    from ablate.metrics.spaces.base import FeatureSpace

SPACES: dict[str, type[FeatureSpace]] = {
    "evaluator": EvaluatorSpace,
    "inception": InceptionSpace,
}
"""The values of ``evaluate.fid_features``."""
