"""What differs between the variants' configurations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ablate.dotted import flatten
from ablate.report.blocks import Block, Heading, Table, Text, bold, code
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.words import variant_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.report.results import Results


class Variants(Section):
    """The variants beside the baseline."""

    name = "variants"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where all configurations are equal."""
        if not changes(results):
            return []
        note = "Only fields that differ; the whole configuration of the baseline stands at the end."
        return [Heading("Variants"), variants_table(results), Text(note)]


def variants_table(results: Results) -> Table:
    """A row a variant, a column a field that differs; bold where it is not the baseline's."""
    differing, rows = changes(results), []
    for variant in results.variants:
        cells = []
        for values in differing.values():
            text, base = (_value(values[v]) if v in values else NONE for v in (variant, results.baseline))
            cells.append(text if text in (base, NONE) else bold(text))
        rows.append([variant_name(results, variant), *cells])
    return Table(["variant", *map(code, differing)], rows)


def _value(of: Any) -> str:
    return of if of and isinstance(of, str) else json.dumps(of, default=str)


def same_noise(results: Results) -> bool:
    """Whether runs with the same seed are sampled from the same noise."""
    return "sample.seed" not in changes(results)


def changes(results: Results) -> dict[str, dict[str, Any]]:
    """Dotted field → variant → value, only fields that differ. A variant without the field is absent."""
    configs = results.record.configs
    return config_changes({v: configs[v] for v in results.variants if v in configs})


def config_changes(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fields in which the configurations differ: dotted name → variant → value.

    A part that one variant has and another switches off (``ema: null``) shows as its fields
    (``ema.decay``), which the other variant then lacks.
    """
    flat = {variant: flatten(config) for variant, config in configs.items()}
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
