"""The options of the command line that change what a spec says, as a command gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
