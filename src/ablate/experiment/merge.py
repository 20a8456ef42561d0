"""How overrides are put onto a configuration, while both are still plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablate.experiment.config import Config, kit_parts

OF_ALL_KINDS = ("start", "variants")
"""Fields that all kinds of a section have."""


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` put onto ``base``, a configuration or other overrides: mappings key by key, anything else
    replaces.

    A mapping onto ``null`` is that mapping, and the model's defaults fill the rest. A section of another
    ``kind`` keeps of the old one what all kinds have; where none is written, the first is meant.
    """
    sections = {
        name: _ready_for(over[name], base[name], next(iter(kinds)))
        for name, kinds in Config.kinds().items()
        if name in base and isinstance(over.get(name), Mapping)
    }
    merged: dict[str, Any] = _merged({**base, **sections}, over)
    return merged


def _ready_for(over: Mapping[str, Any], section: Any, first: str) -> Any:
    """What ``over`` is put onto, in place of a section; ``first`` is its kind where none is written."""
    if section is None:
        return {"kind": first}
    if isinstance(section, Mapping) and over.get("kind") not in (None, section.get("kind", first)):
        return {name: value for name, value in section.items() if name in OF_ALL_KINDS}
    return section


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
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
