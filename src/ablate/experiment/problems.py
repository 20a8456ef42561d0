"""What is wrong with a spec, in the user's words and with the place where it was written."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from ablate.errors import SpecError
from ablate.experiment.config import Config
from ablate.experiment.merge import merge
from ablate.experiment.spec import ExperimentSpec
from ablate.fields import FieldError
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails

    from ablate.experiment.yaml import Document, FieldPath, Position

M = TypeVar("M", bound=BaseModel)

MOST = 10
"""Problems listed at once; the rest is counted."""
FEW = 6
"""Choices that are all named in a message; of more, the nearest is."""
MOST_NAMES = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    where: str
    what: str
    fix: str = ""
    order: Position = field(default=(0, 0), compare=False)


@dataclass(frozen=True)
class Layer:
    """Overrides, and where they were written: at ``prefix`` of a document."""

    document: Document
    data: Any
    prefix: FieldPath = ()

    def depth(self, path: FieldPath) -> int:
        """How many steps of ``path`` exist here."""
        value = self.data
        for steps, step in enumerate(path):
            entries = dict(enumerate(value)) if isinstance(value, list) else value
            if not isinstance(entries, dict) or step not in entries:
                return steps
            value = entries[step]
        return len(path)

    def problem(self, path: FieldPath, what: str, fix: str = "", *, key: bool = False) -> Problem:
        """A problem with the value at ``path``, or with its key."""
        whole = (*self.prefix, *path)
        where, order = self.document.where(whole, key=key), self.document.position(whole, key=key)
        return Problem(where, f"{dotted(whole)}: {what}" if whole else what, fix, order or (0, 0))


def put_together(layers: Iterable[Layer]) -> dict[str, Any]:
    """Layers put onto each other, the last on top."""
    data: dict[str, Any] = reduce(merge, (layer.data for layer in layers), {})
    return data


def validate(model: type[M], data: dict[str, Any]) -> tuple[M | None, list[ErrorDetails]]:
    """Plain data as a model, or what pydantic says against it.

    They are read as JSON: nothing is converted silently, but a list may become a tuple, and a text a path.
    """
    try:
        return model.model_validate_json(json.dumps(data, ensure_ascii=False).encode(errors="replace")), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def refuse(problems: Iterable[Problem], source: str) -> None:
    """Raise one SpecError that lists all ``problems``; none, no error."""
    listed = sorted(dict.fromkeys(problems), key=lambda problem: problem.order)
    if not listed:
        return
    if len(listed) == 1:
        raise SpecError(listed[0].what, where=listed[0].where, fix=listed[0].fix)
    lines, said = [f"{len(listed)} problems"], ""
    for problem in listed[:MOST]:
        lines.append(f"  {problem.where}: {problem.what}")
        if problem.fix and problem.fix != said:
            lines.append(f"    {problem.fix}")
        said = problem.fix
    if len(listed) > MOST:
        lines.append(f"  and {len(listed) - MOST} more")
    raise SpecError("\n".join(lines), where=source)


def explain(
    errors: Sequence[ErrorDetails], model: type[BaseModel], layers: Sequence[Layer]
) -> Iterable[Problem]:
    """Pydantic's errors about ``model`` as problems, each in the layer that its value came from.

    Layers are given in the order in which they were put onto each other.
    """
    errors = [_without_tag(error, model) for error in errors]
    missing: dict[FieldPath, list[str]] = {}
    corrected = set()
    for error in errors:
        *parent, name = error["loc"] or ("",)
        if error["type"] == "missing":
            missing.setdefault(tuple(parent), []).append(str(name))
        elif error["type"] == "extra_forbidden":
            corrected.add((*parent, nearest(str(name), _fields(model, tuple(parent)))))
        elif not (error["type"] == "too_short" and _has_inner(error, errors)):
            yield _explain(error, model, layers)
    for error in errors:
        if error["type"] == "extra_forbidden":
            yield _unknown_field(error["loc"], model, layers)
    for path, names in missing.items():
        # A misspelt field that is required is one mistake, not two.
        if left := [name for name in names if (*path, name) not in corrected]:
            yield locate(path, layers).problem(path, f"missing: {', '.join(left)}", key=True)


def _without_tag(error: ErrorDetails, model: type[BaseModel]) -> ErrorDetails:
    """An error about a section of several kinds, with the path that the user wrote."""
    path = error["loc"]
    kinds = model.kinds().get(str(path[0]), {}) if path and issubclass(model, Config) else {}
    if len(kinds) < 2:
        return error
    if error["type"] == "union_tag_invalid":
        kind, expected = error["input"].get("kind"), ", ".join(f"'{name}'" for name in kinds)
        return {
            "type": "literal_error",
            "loc": (*path, "kind"),
            "input": kind,
            "ctx": {"expected": expected},
            "msg": "",
        }
    return {**error, "loc": (path[0], *path[2:])}


def _has_inner(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether something inside is wrong too: pydantic does not count those entries."""
    path = error["loc"]
    return any(other["loc"][: len(path)] == path and len(other["loc"]) > len(path) for other in errors)


def _explain(error: ErrorDetails, model: type[BaseModel], layers: Sequence[Layer]) -> Problem:
    kind, path, value = error["type"], error["loc"], error["input"]
    if path and path[-1] == "[key]":
        what = f"{shown(path[-2])} cannot be a name"
        fix = "A name is 1 to 64 letters, digits and . _ - and begins with a letter or digit."
        problem = locate(path[:-1], layers).problem(path[:-1], "", key=True)
        return replace(problem, what=f"{dotted(path[:-2])}: {what}", fix=fix)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        layer, place = _locate_any([(*path, *blamed.split(".")) for blamed in cause.fields], layers)
        return layer.problem(place, str(cause))
    layer = locate(path, layers)
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        return layer.problem(path, *_unknown_choice(value, choices))
    found = str(len(value)) if kind in ("too_short", "too_long") and value else shown(value)
    return layer.problem(
        path, f"{_expectation(error, model)}, not {found}", _advice(kind, value, path, model)
    )


def _unknown_choice(value: Any, choices: Sequence[str]) -> tuple[str, str]:
    near = nearest(str(value), choices)
    if len(choices) == 1:
        return f"must be {choices[0]}, not {shown(value)}", ""
    if len(choices) <= FEW:
        fix = f"Did you mean `{near}`?" if near else ""
        return f"must be one of {', '.join(choices)}, not {shown(value)}", fix
    return f"must be one of {len(choices)} names, not {shown(value)}", known(str(value), choices)


def _advice(kind: str, value: Any, path: FieldPath, model: type[BaseModel]) -> str:
    match kind, value:
        case "string_type", bool() | int() | float():
            return f'Write it in quotes: "{shown(value)}".'
        case (("int_type" | "float_type"), str()) if value.replace(".", "", 1).isdecimal():
            return "Write it without quotes."
        case "int_from_float" | "int_type", float() if value.is_integer() and abs(value) < 1e9:
            return f"Write {int(value)}."
        case "dict_type", None if issubclass(model, ExperimentSpec) and len(path) == _OVERRIDES.get(path[0]):
            return f"Write `{path[-1]}: {{}}` to change nothing."
        case "too_short", {**levels} if levels and path[0] == "factors":
            return f"A factor needs a level to compare `{next(iter(levels))}` with."
        case _:
            return ""


_OVERRIDES: dict[Any, int] = {"config": 1, "variants": 2, "leave_one_out": 2, "factors": 3}
"""How far below a field of the spec overrides are written."""


def _unknown_field(path: FieldPath, model: type[BaseModel], layers: Sequence[Layer]) -> Problem:
    name, fields = str(path[-1]), _fields(model, path[:-1])
    if "." in name:
        outer, *inner = name.split(".")
        fix = f"Write it nested: `{outer}: {{{': {'.join(inner)}: …{'}' * len(inner)}`."
    elif issubclass(model, ExperimentSpec) and len(path) == 1 and name in Config.model_fields:
        fix = f"Write `{name}` below `config` for all variants, or below one variant."
    elif issubclass(model, Config) and len(path) == 1 and name in ExperimentSpec.model_fields:
        fix = f"`{name}` belongs to the top level of the file."
    elif name in fields:
        fix = "It is a field of another kind: write `kind` as well."
    else:
        fix = known(name, fields)
    return locate(path, layers).problem(path, "unknown field", fix, key=True)


def locate(path: FieldPath, layers: Sequence[Layer]) -> Layer:
    """The layer that the value at ``path`` came from, or that comes nearest to it: the last such."""
    deepest = max(layer.depth(path) for layer in layers)
    return [layer for layer in layers if layer.depth(path) == deepest][-1 if deepest else 0]


def _locate_any(paths: Sequence[FieldPath], layers: Sequence[Layer]) -> tuple[Layer, FieldPath]:
    """The last layer that sets one of ``paths``: what was written last made them disagree."""
    set_by = [(layer, path) for layer in reversed(layers) for path in paths if layer.depth(path) == len(path)]
    return set_by[0] if set_by else (locate(paths[0], layers), paths[0])


def _expectation(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What should have been written."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    for limit, words in _LIMITS.items():
        if limit in context:
            return f"must be {words} {str(context[limit]).removesuffix('.0')}"
    if kind == "too_short":
        least = context["min_length"]
        return "must have at least one entry" if least == 1 else f"must have at least {least} entries"
    if kind == "too_long":
        return f"must have at most {context['max_length']} entries"
    expected = _EXPECTED.get(kind) or error["msg"].replace("Input should", "must")
    return f"{expected} or null" if type(None) in get_args(annotation(model, error["loc"])) else expected


_LIMITS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_EXPECTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must be some text",
    "dict_type": "must be `key: value` lines",
    "model_type": "must be `key: value` lines",
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list, `[…]` or lines that begin with `-`"),
}


def nearest(name: str, candidates: Iterable[str]) -> str:
    """The one of ``candidates`` that ``name`` was probably meant to be, or nothing."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(candidates, key=len)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    near = near or [lower for lower in by_lower if len(name) > 2 and lower.startswith(name.lower())]
    return by_lower[near[0]] if near else ""


def known(name: str, candidates: Iterable[str]) -> str:
    """Advice for a ``name`` that is not one of ``candidates``."""
    candidates = list(candidates)
    if near := nearest(name, candidates):
        return f"Did you mean `{near}`?"
    more = ", …" if len(candidates) > MOST_NAMES else "."
    return f"There are {', '.join(map(cut, candidates[:MOST_NAMES]))}{more}"


def _fields(model: type[BaseModel], path: FieldPath) -> tuple[str, ...]:
    """Names of the fields at ``path`` of ``model``."""
    inner = annotation(model, path)
    return tuple(dict.fromkeys(name for kind in _models(inner) for name in kind.model_fields))


def annotation(model: type[BaseModel], path: FieldPath) -> Any:
    """Type of the field at ``path``; entries of a list have the type of that list's first entry."""
    kind: Any = model
    for step in path:
        if isinstance(step, int):
            kind = get_args(kind)[0]
            continue
        found = [model.model_fields[step] for model in _models(kind) if step in model.model_fields]
        if not found:
            return None
        kind = found[0].annotation
    return kind


def _models(kind: Any) -> list[type[BaseModel]]:
    """The models that a type is, or is a union of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [model for inner in get_args(kind) for model in _models(inner)]


def dotted(path: FieldPath) -> str:
    """``("claims", 0, "metric")`` as ``claims[0].metric``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{cut(step, 64)}" for step in path)
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """A value of YAML as a message names it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{cut(value, 40)}'"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return cut(str(value), 40)
