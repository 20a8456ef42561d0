"""Fields by their dotted paths: ``ema.decay`` for ``{"ema": {"decay": 0.99}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def nested(path: str, value: Any) -> dict[str, Any]:
    """``nested("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for name in reversed(path.split(".")):
        value = {name: value}
    whole: dict[str, Any] = value
    return whole


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` → ``{"a.b": 1}``. An empty mapping is a value."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def varied(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Variant → the fields in which not all variants agree. What a variant does not have is None."""
    flat = {
        variant: {name: value for name, value in flatten(config).items() if value != {}}
        for variant, config in configs.items()
    }
    names = list(dict.fromkeys(name for fields in flat.values() for name in fields))
    differing = [name for name in names if len({repr(fields.get(name)) for fields in flat.values()}) > 1]
    return {variant: {name: fields.get(name) for name in differing} for variant, fields in flat.items()}
