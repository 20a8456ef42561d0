"""The options of the command line that change what a spec says, as a command gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.dotted import nested
from ablate.errors import SpecError
from ablate.experiment import yaml
from ablate.experiment.merge import expand
from ablate.experiment.problems import Layer
from ablate.experiment.yaml import Document
from ablate.fields import MOST_SEEDS
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def options_given(
    profile: str | None, sets: Sequence[str] | None, seeds: str | None, plugins: Sequence[Path] | None
) -> list[str]:
    """The options with which a spec was given, for a command that is to mean the same."""
    options = [*(["--profile", profile] if profile else []), *(["--seeds", seeds] if seeds else [])]
    options += [word for text in sets or () for word in ("--set", text)]
    return options + [word for plugin in plugins or () for word in ("--plugin", str(plugin))]


def as_ranges(seeds: Sequence[int]) -> str:
    """Seeds as ``--seeds`` takes them: ``0-11``, or ``0-2,7``."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1].append(seed)
        else:
            ranges.append([seed])
    return ",".join(f"{some[0]}-{some[-1]}" if len(some) > 1 else str(some[0]) for some in ranges)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as written on the command line: ``0,1,2`` or ``0-5``, or both mixed.

    Raises:
        SpecError: something else is written.
    """
    where, fix = f"--seeds {cut(text)}", "Write 0,1,2 or 0-5."
    seeds: list[int] = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        # Ten digits hold every seed; more would only make a range that fills the memory.
        if len(ends) > 2 or not all(end.isdecimal() and len(end) <= 10 for end in ends):
            raise SpecError("not a list of seeds", where=where, fix=fix)
        first, last = int(ends[0]), int(ends[-1])
        if not first <= last < first + MOST_SEEDS:
            raise SpecError(f"{part.strip()} is not a range of 1 to {MOST_SEEDS} seeds", where=where, fix=fix)
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


def parse_set(text: str) -> Layer:
    """``a.b.c=value`` as overrides."""
    where = f"--set {cut(text, 80)}"
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError("not an override", where=where, fix="Write --set field.inner=value.")
    if keys[0] == "config":
        raise SpecError("`config` is what --set writes to", where=where, fix="Leave out `config.`.")
    if not value.strip():
        # An unset shell variable would otherwise switch something off.
        raise SpecError("there is no value", where=where, fix="For nothing, write null.")
    data = yaml.parse_value(value, where)
    data = nested(".".join(keys), data)
    return Layer(Document(where, data), expand(data))
