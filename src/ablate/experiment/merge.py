"""How overrides are put onto a configuration, while both are still plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablate.experiment.config import kit_parts

OF_ALL_KINDS = ("start", "variants")
"""Fields that all kinds of a section have."""


def merge(base: Any, over: Any) -> Any:
    """``over`` put onto ``base``: mappings key by key, anything else replaces.

    A mapping onto ``null`` is that mapping, and the model's defaults fill the rest. A section of another
    ``kind`` keeps of the old one what all kinds have.
    """
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        if over.get("kind") not in (None, base.get("kind")):
            base = {key: value for key, value in base.items() if key in OF_ALL_KINDS}
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return over


def expand(overrides: dict[str, Any]) -> dict[str, Any]:
    """``overrides`` with the short forms of ``components`` written out, so that parts merge by field.

    A part with a ``source`` of its own stands for itself: the subfolder of another does not stay.
    """
    components = overrides.get("components")
    if isinstance(components, str):
        return {**overrides, "components": kit_parts(components)}
    if isinstance(components, Mapping):
        return {**overrides, "components": {name: _part(part) for name, part in components.items()}}
    return overrides


def _part(part: Any) -> Any:
    if isinstance(part, str):
        part = {"source": part}
    return {"subfolder": "", **part} if isinstance(part, Mapping) and "source" in part else part
