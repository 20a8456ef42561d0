"""The design of an experiment: which variants it has, and which overrides make each of them.

An experiment has one design: ``variants`` (one at a time), ``factors`` (a full factorial), ``leave_one_out``
(the parts of a recipe), or a ``search``, which begins with its baseline and grows by what it proposes. It is
expanded while it is still plain data as written, and each piece of a variant keeps its path in the document:
a mistake in a level is shown where the level stands, once, and not for each variant that has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from ablate.experiment.merge import expand, merge
from ablate.experiment.names import NAME
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ablate.experiment.names import Overrides
    from ablate.experiment.spec import ExperimentSpec
    from ablate.experiment.yaml import FieldPath

    Named = Iterator[tuple[str, tuple["Piece", ...]]]

DESIGNS = ("variants", "factors", "leave_one_out", "search")
"""The fields of a spec that hold a design."""

FULL = "full"
"""The variant of ``leave_one_out`` that has all parts."""

BASELINE = "baseline"
"""The variant that a search begins with: the profile with ``config``."""

MOST_VARIANTS = 256


@dataclass(frozen=True)
class Piece:
    """Overrides, and the path in the document where they were written."""

    path: FieldPath
    overrides: Any


class DesignError(ValueError):
    """A design that cannot be expanded; ``path`` is the place in the document to blame."""

    def __init__(self, path: FieldPath, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.path = path
        self.fix = fix


@dataclass(frozen=True)
class Design:
    """The variants that a design stands for."""

    kind: str
    """One of DESIGNS."""
    variants: Mapping[str, tuple[Piece, ...]]
    """Name → the pieces it is made of, in the order in which they are put onto each other."""

    @property
    def baseline(self) -> str:
        """The variant that the others are compared with; empty where the spec has to name it."""
        return "" if self.kind == "variants" else next(iter(self.variants))

    def overrides(self) -> dict[str, Overrides]:
        """Name → the pieces put together. They must have been found to be mappings before."""
        return {
            name: reduce(merge, (expand(piece.overrides) for piece in pieces), {})
            for name, pieces in self.variants.items()
        }


def expand_design(written: Mapping[str, Any]) -> Design | None:
    """The design of a spec as written; None where it has not the shape of one, as the models say.

    Raises DesignError for no design, more than one, too many variants, or names that cannot be.
    """
    given = [field for field in written if field in DESIGNS]
    if not given:
        raise DesignError((), "a design is missing", "Write variants, factors, leave_one_out or search.")
    if len(given) > 1:
        what = f"an experiment has one design, but here are {', '.join(given[:-1])} and {given[-1]}"
        raise DesignError((given[1],), what, "Keep one of them.")
    kind, parts = given[0], written[given[0]]
    if parts == {}:
        raise DesignError((kind,), "must have at least one entry, not an empty mapping")
    match kind:
        case "variants" if isinstance(parts, dict):
            _check_count(kind, len(parts))
            return Design(kind, {name: (Piece((kind, name), own),) for name, own in parts.items()})
        case "factors" if _has_names(parts) and all(map(_has_names, parts.values())):
            _check_count(kind, prod(map(len, parts.values())))
            return Design(kind, _with_good_names(kind, _factorial(parts)))
        case "leave_one_out" if _has_names(parts):
            _check_count(kind, 1 + len(parts))
            return Design(kind, _with_good_names(kind, _leave_one_out(parts)))
        case "search" if parts is None:
            raise DesignError((kind,), "must be `key: value` lines, not null")
        case "search" if isinstance(parts, dict):
            return Design(kind, {BASELINE: ()})
        case _:
            return None


def describe(spec: ExperimentSpec) -> str:
    """The design of a loaded spec in a line: ``factorial: lpips (off, on) × ema (off, on)``."""
    if spec.factors:
        factors = [f"{factor} ({', '.join(levels)})" for factor, levels in spec.factors.items()]
        return f"factorial: {' × '.join(factors)}"
    if spec.leave_one_out:
        return f"leave one out: {', '.join(spec.leave_one_out)}"
    if spec.search:
        searched = ", ".join([*spec.search.factors, *spec.search.fields])
        return f"search: {spec.search.trials} trials by {spec.search.sampler} over {searched}"
    others = [name for name in spec.variants if name != spec.baseline]
    return f"one at a time: {', '.join(others) or 'nothing'} against {spec.baseline}"


def combined(levels: Iterable[tuple[str, str]]) -> str:
    """The variant of a factorial with these (factor, level): ``lpips-on.ema-off``."""
    return ".".join(f"{factor}-{level}" for factor, level in levels)


def _factorial(factors: Mapping[str, Mapping[str, Any]]) -> Named:
    """Each combination of levels, that of all first levels first."""
    choices = [[(factor, level) for level in levels] for factor, levels in factors.items()]
    for combination in product(*choices):
        pieces = (Piece(("factors", factor, level), factors[factor][level]) for factor, level in combination)
        yield combined(combination), tuple(pieces)


def _leave_one_out(parts: Mapping[str, Any]) -> Named:
    """The whole recipe, and then the recipe without each of its parts."""
    pieces = {part: Piece(("leave_one_out", part), own) for part, own in parts.items()}
    yield FULL, tuple(pieces.values())
    for left_out in parts:
        yield f"no-{left_out}", tuple(piece for part, piece in pieces.items() if part != left_out)


def _has_names(parts: Any) -> bool:
    """Whether it is a mapping whose keys can be parts of a variant's name."""
    return isinstance(parts, dict) and bool(parts) and all(re.fullmatch(NAME, name) for name in parts)


def _check_count(kind: str, count: int) -> None:
    if count > MOST_VARIANTS:
        many = str(count) if count < 10**9 else "billions of"
        what = f"these are {many} variants, but an experiment has at most {MOST_VARIANTS}"
        raise DesignError((kind,), what, "Split it into several experiments.")


def _with_good_names(kind: str, expanded: Named) -> dict[str, tuple[Piece, ...]]:
    """As a mapping. Names are put together from good ones, but may be too long, or equal."""
    variants: dict[str, tuple[Piece, ...]] = {}
    for name, pieces in expanded:
        if not re.fullmatch(NAME, name):
            called = f"a variant would be called '{cut(name, 80)}'"
            what = f"{called}: {len(name)} characters, a name has at most 64"
            raise DesignError((kind,), what, "Shorten the names that it is made of.")
        if name in variants:
            what = f"two variants would be called '{name}'"
            raise DesignError((kind,), what, "Rename a level: dots and dashes also join the names.")
        variants[name] = pieces
    return variants
