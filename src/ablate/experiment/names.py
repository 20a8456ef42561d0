"""The kinds of names that a spec is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints

from ablate.experiment.choices import choice
from ablate.vocabulary import OWN

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]

if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = choice(OWN.figures)
    """What claims, published results and searches can be about."""

Overrides = dict[str, Any]
