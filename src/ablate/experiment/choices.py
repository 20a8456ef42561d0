"""Types of fields made from the visible dicts of names and classes, and models with such fields."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, create_model

from ablate.fields import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=Model)


def choice(names: Mapping[str, Any]) -> Any:
    """The type of a field that holds one of ``names``."""
    return Literal[*names]


def one_of(kinds: Mapping[str, type[Model]]) -> Any:
    """The type of a section whose field ``kind`` says which of ``kinds`` it is; without one, the first."""
    default, first = next(iter(kinds.items()))
    if len(kinds) == 1:
        return first

    def kind_of(section: Any) -> str:
        kind = (
            section.get("kind", default) if isinstance(section, dict) else getattr(section, "kind", default)
        )
        return str(kind)

    tagged = (Annotated[model, Tag(kind)] for kind, model in kinds.items())
    return Annotated[reduce(or_, tagged), Discriminator(kind_of)]


def retyped(model: type[M], base: type[M] | None = None, /, **types: Any) -> type[M]:
    """``model`` with other types for some of its fields, which keep their defaults."""
    old = model.model_fields
    fields: dict[str, Any] = {name: (kind, Field(default=old[name].default)) for name, kind in types.items()}
    return create_model(model.__name__, __base__=base or model, __doc__=model.__doc__, **fields)
