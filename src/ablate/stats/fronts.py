"""Points with several values, all of them better when smaller: which of them no other beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def front(points: Mapping[str, Sequence[float]]) -> list[str]:
    """The points that no other is at least as good as in all values and better in one, by their values."""
    unbeaten = [name for name, own in points.items() if not any(_beats(o, own) for o in points.values())]
    return sorted(unbeaten, key=lambda name: (*points[name], name))


def best_first(points: Mapping[str, Sequence[float]]) -> list[str]:
    """All points, front by front (Deb et al. 2002). With one value each they are simply sorted."""
    order: list[str] = []
    while len(order) < len(points):
        order += front({name: values for name, values in points.items() if name not in order})
    return order


def _beats(other: Sequence[float], own: Sequence[float]) -> bool:
    pairs = list(zip(other, own, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
