"""The space of a search: its factors and fields, which values they take, and where each of them exists.

A point of it is ``params``: name of a field or factor → value, for those that exist there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from ablate.dotted import nested
from ablate.experiment.merge import expand, merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from ablate.experiment.names import Overrides
    from ablate.experiment.search import Domain, Search
    from ablate.experiment.yaml import FieldPath

Params = dict[str, Any]

MOST_POINTS = 10_000
"""Of a space whose points are counted."""


class Suggests(Protocol):
    """What a space asks of a trial of Optuna's."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """A number."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


class Drawn:
    """Suggests at random: what a search might ask for, before it has begun."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """As ``Suggests``."""
        return round(self._between(low, high, log)) if log else self._rng.randrange(low, high + 1, step)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """As ``Suggests``."""
        if step:
            return low + step * self._rng.randrange(int((high - low) / step + 1e-9) + 1)
        return self._between(low, high, log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As ``Suggests``."""
        return self._rng.choice(choices)

    def _between(self, low: float, high: float, log: bool) -> float:
        if log:
            return math.exp(self._rng.uniform(math.log(low), math.log(high)))
        return self._rng.uniform(low, high)


@dataclass(frozen=True)
class Probe:
    """A point at an end of the space, for what is asked before the search."""

    name: str
    """``sample.steps=4``."""
    path: FieldPath
    """Where the end was written."""
    params: Params


class Space:
    """The space of a search whose ``when`` make sense, as ``problems_of_search`` finds."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._when = {name: domain.when for name, domain in search.fields.items()}
        order = TopologicalSorter({name: list(when) for name, when in self._when.items()}).static_order()
        ranked = {name: rank for rank, name in enumerate(order)}
        names = [*search.factors, *search.fields]
        # As written, but each after those that it depends on.
        self.names = sorted(names, key=lambda name: ranked[name] + 1 if self._when.get(name) else 0)

    def exists(self, name: str, params: Params) -> bool:
        """Whether a field exists at a point that has values for all that it depends on."""
        return all(
            params.get(other, _NOTHING) in values for other, values in self._when.get(name, {}).items()
        )

    def suggest(self, trial: Suggests) -> Params:
        """The point that a trial of Optuna's proposes."""
        params: Params = {}
        for name in self.names:
            if self.exists(name, params):
                params[name] = self._suggest(name, trial)
        return params

    def _suggest(self, name: str, trial: Suggests) -> Any:
        if (values := self.values(name)) is not None:
            return trial.suggest_categorical(name, values)
        domain = self._search.fields[name]
        assert domain.low is not None and domain.high is not None
        if domain.whole:
            low, high, step = int(domain.low), int(domain.high), int(domain.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=domain.log)
        return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)

    def values(self, name: str) -> list[Any] | None:
        """The levels of a factor, the options of a field; None for a range."""
        if name in self._search.factors:
            return list(self._search.factors[name])
        options = self._search.fields[name].options
        return None if options is None else list(options)

    def holds(self, name: str, value: Any) -> bool:
        """Whether a field or factor can have a value."""
        if (values := self.values(name)) is not None:
            return value in values
        domain = self._search.fields[name]
        if type(value) is not int and (type(value) is not float or domain.whole):
            return False
        assert domain.low is not None and domain.high is not None
        if not domain.low <= value <= domain.high:
            return False
        steps = (value - domain.low) / (domain.step or 1)
        return not domain.step or abs(steps - round(steps)) < 1e-9

    def overrides(self, params: Params) -> Overrides:
        """What a point changes in the configuration: its levels, and then its fields."""
        pieces = [
            expand(self._search.factors[name][value])
            if name in self._search.factors
            else expand(nested(name, value))
            for name, value in params.items()
        ]
        made: Overrides = reduce(merge, pieces, {})
        return made

    def probes(self) -> Iterator[Probe]:
        """Each end of each range, each option and each level, where the field exists."""
        for factor, levels in self._search.factors.items():
            for level in levels:
                yield Probe(f"{factor}={level}", ("search", "factors", factor, level), {factor: level})
        for name, domain in self._search.fields.items():
            context = self._context(name)
            ends: list[tuple[Any, FieldPath]] = [(domain.low, ("low",)), (domain.high, ("high",))]
            if domain.options is not None:
                ends = [(option, ("options", n)) for n, option in enumerate(domain.options)]
            for value, end in ends:
                path = ("search", "fields", name, *end)
                yield Probe(f"{name}={value}", path, {**context, name: value})

    def _context(self, name: str) -> Params:
        """Values of others with which a field exists."""
        found: Params = {}
        for other, values in self._when.get(name, {}).items():
            found |= {**self._context(other), other: values[0]}
        return found

    def count(self) -> int | None:
        """How many points there are; None for more than can be counted."""
        finite = [self._values_of_all(name) for name in self.names]
        if any(values is None for values in finite):
            return None
        if prod(len(values or ()) for values in finite) > MOST_POINTS:
            return None
        points: list[Params] = [{}]
        for name, values in zip(self.names, finite, strict=True):
            points = [
                {**point, **chosen}
                for point in points
                for chosen in ([{name: v} for v in values or ()] if self.exists(name, point) else [{}])
            ]
        return len(points)

    def _values_of_all(self, name: str) -> Sequence[Any] | None:
        if (values := self.values(name)) is not None:
            return values
        domain = self._search.fields[name]
        if domain.log or not (domain.whole or domain.step):
            return None
        return range(int((domain.high - domain.low) / (domain.step or 1) + 1e-9) + 1)  # type: ignore[operator]

    def moves(self, params: Params) -> dict[str, Params]:
        """What can be changed on the way to a point, one after another: field or factor → it, with the
        fields that exist only because of it."""
        free = [name for name in params if not self._when.get(name)]
        taken = {name: name for name in free}
        for name in self.names:
            if name in params and name not in taken:
                taken[name] = taken[next(iter(self._when[name]))]
        return {move: {name: params[name] for name in params if taken[name] == move} for move in free}


_NOTHING = object()


def faults_of_when(fields: Mapping[str, Domain], search: Search) -> Iterator[tuple[FieldPath, str]]:
    """(path, what is wrong) of each name that is there twice, and each condition that nothing can fulfil."""
    for name in fields.keys() & search.factors.keys():
        yield ("search", "fields", name), "a factor of this search has the same name"
    for name, domain in fields.items():
        for other, values in domain.when.items():
            path = ("search", "fields", name, "when", other)
            if other not in fields and other not in search.factors:
                yield path, f"there is no field or factor '{other}' in this search"
                continue
            known = list(search.factors.get(other, ())) or fields[other].options
            if known is None:
                yield path, "a condition names a factor, or a field with options, and no range"
            elif wrong := [value for value in values if value not in known]:
                yield path, f"'{other}' is never {wrong[0]!r}"
    try:
        TopologicalSorter({name: list(domain.when) for name, domain in fields.items()}).prepare()
    except CycleError as error:
        for name, _ in pairwise(error.args[1]):
            yield ("search", "fields", name, "when"), "the condition leads back to the field itself"
