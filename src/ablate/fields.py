"""The kinds of fields that a spec is made of, and the strict model that holds them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from fractions import Fraction as Rational
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

_PERCENT = r"^(100|[0-9]{1,2}(\.[0-9]+)?)%$"


def _is_position(value: Any) -> Any:
    # Said once for both kinds: a union would report each kind's complaint.
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(_PERCENT, value):
        return value
    raise ValueError("must be an epoch (130) or a share of all epochs, 0% to 100% (43%)")


Position = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, StringConstraints(pattern=_PERCENT)],
    BeforeValidator(_is_position),
]
"""A point of the training: an epoch (``130``) or a share of all epochs (``43%``)."""

Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
MOST_SEEDS = 1000
Seeds = Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=MOST_SEEDS)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


def epoch_of(position: Position, epochs: int) -> int:
    """The epoch in which ``position`` lies, in a training of ``epochs`` epochs: a share is rounded down,
    so any share below 100 % begins before the end."""
    if isinstance(position, int):
        return position
    return int(Rational(position.rstrip("%")) * epochs / 100)


class FieldError(ValueError):
    """Fields that do not go together; ``fields`` are dotted, the one to blame first comes first."""

    def __init__(self, what: str, *fields: str) -> None:
        super().__init__(what)
        self.fields = fields


class Model(BaseModel):
    """Frozen, strict (no silent conversion) and closed (no unknown key). What a field means stands below it,
    and is read by ``meanings``: pydantic would read it for each command, which takes a tenth of a second.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        defer_build=True,  # builds each inner model once, inside the outer: a third of the import time
    )


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Field → the text below it in the class that it comes from; "" where that has none."""
    found: dict[str, str] = {}
    for kind in (kind for kind in model.__mro__ if issubclass(kind, Model)):
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        except OSError:
            continue  # no statement defines it
        for field, below in pairwise([*getattr(tree, "body", ()), None]):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                said = below.value if isinstance(below, ast.Expr) else None
                text = said.value if isinstance(said, ast.Constant) else None
                found.setdefault(field.target.id, inspect.cleandoc(text) if isinstance(text, str) else "")
    return found
