"""What differs between the variants' configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def config_changes(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields in which the configurations differ: dotted name → variant → value.

    A part that one variant has and another switches off (``ema: null``) shows as its fields
    (``ema.decay``), which the other variant then lacks.
    """
    flat = {variant: _flatten(config) for variant, config in configs.items()}
    names = list(dict.fromkeys(name for fields in flat.values() for name in fields))
    parents = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    changes: dict[str, dict[str, Any]] = {}
    for name in names:
        present = {variant: fields[name] for variant, fields in flat.items() if name in fields}
        is_switch = name in parents and all(value in (None, {}) for value in present.values())
        distinct = {repr(value) for value in present.values()}
        if (len(distinct) > 1 or len(present) < len(flat)) and not is_switch:
            changes[name] = present
    return changes


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat
