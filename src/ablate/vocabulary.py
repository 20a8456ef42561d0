"""What an experiment can name: the package's own dicts, and the rows that plug-in files add to them.

A plug-in has dicts of the same names, with rows of the same classes:

    LOSSES = {"edges": Edges}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ablate.errors import SpecError
from ablate.factors import AUGMENTATIONS, LOSSES, OBSERVERS, WEIGHTINGS
from ablate.factors.augmentation import Augmentation
from ablate.factors.base import Loss
from ablate.factors.observer import Observer
from ablate.factors.weighting import Weighting
from ablate.fields import Model
from ablate.metrics import COSTS, METRICS
from ablate.metrics.base import Metric
from ablate.metrics.spaces import SPACES
from ablate.metrics.spaces.base import FeatureSpace
from ablate.plugins import DICTS
from ablate.records import BESIDE_METRICS, CURVES, LABELS
from ablate.report.section import Section
from ablate.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ablate.metrics.base import Figure
    from ablate.plugins import Plugin


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The names that a spec may use, and what they stand for."""

    losses: Mapping[str, type[Loss]]
    weightings: Mapping[str, type[Weighting]]
    augmentations: Mapping[str, type[Augmentation]]
    observers: Mapping[str, type[Observer]]
    metrics: Mapping[str, Metric]
    spaces: Mapping[str, type[FeatureSpace]]
    sections: Mapping[str, Section]
    """Those of plug-ins. The package's own are in ``ablate.report.sections``, which draws."""
    plugins: tuple[Plugin, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return vocabulary_of, (self.plugins,)  # one object in each process

    @property
    def figures(self) -> Mapping[str, Figure]:
        """What claims and published results can be about: metrics and costs."""
        return {**self.metrics, **COSTS}


OWN = Vocabulary(LOSSES, WEIGHTINGS, AUGMENTATIONS, OBSERVERS, METRICS, SPACES, {})
"""The package's own."""


@cache
def vocabulary_of(plugins: tuple[Plugin, ...]) -> Vocabulary:
    """The package's vocabulary and what ``plugins`` add to it, in their order; ``OWN`` without any.

    Raises:
        SpecError: a plug-in cannot be loaded, adds nothing, adds something of the wrong kind, or a name
            that exists.
    """
    vocabulary = OWN
    for plugin in plugins:
        if twin := next((other for other in vocabulary.plugins if other.name == plugin.name), None):
            raise SpecError(f"{twin.path} has the same file name", where=plugin.path, fix="Rename one.")
        vocabulary = _extended(vocabulary, plugin)
    return vocabulary


class _Kind(NamedTuple):
    """What the rows of a dict are."""

    base: type
    named_by: str
    """The attribute that repeats a row's name; "" where there is none."""
    instances: bool = False
    """Whether rows are objects, not classes."""


_KINDS = {
    "LOSSES": _Kind(Loss, "name"),
    "WEIGHTINGS": _Kind(Weighting, "kind"),
    "AUGMENTATIONS": _Kind(Augmentation, "kind"),
    "OBSERVERS": _Kind(Observer, "kind"),
    "METRICS": _Kind(Metric, "key", instances=True),
    "SPACES": _Kind(FeatureSpace, ""),
    "SECTIONS": _Kind(Section, "name", instances=True),
}
"""What each of ``plugins.DICTS`` holds."""


def _extended(vocabulary: Vocabulary, plugin: Plugin) -> Vocabulary:
    module = plugin.module()
    added = {name: getattr(module, name) for name in _KINDS if getattr(module, name, None)}
    if not added:
        raise SpecError(
            "the plug-in adds nothing", where=plugin.path, fix=f"Give it one of {', '.join(DICTS)}."
        )
    changes: dict[str, Any] = {"plugins": (*vocabulary.plugins, plugin)}
    for title, rows in added.items():
        if not isinstance(rows, dict):
            raise SpecError(f"{title} must be a dict of names", where=plugin.path)
        known = getattr(vocabulary, title.lower())
        for name, row in rows.items():
            _check(title, name, row, plugin)
            if name in known or name in _taken(title):
                what = f"{title}[{name!r}]: the name exists already"
                raise SpecError(what, where=plugin.path, fix="Choose another, or a spec could mean either.")
            if title == "METRICS":
                _refuse_recorded(name, plugin)
        changes[title.lower()] = {**known, **rows}
    return replace(vocabulary, **changes)


def _check(title: str, name: object, row: Any, plugin: Plugin) -> None:
    """Refuses a row that its dict cannot hold."""
    kind, says = _KINDS[title], f"{title}[{name!r}]"
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]{0,63}", name) or hasattr(Model, name):
        fix = "Use small letters, digits and _, and no name of a method of pydantic's models."
        raise SpecError(f"{says}: not a name", where=plugin.path, fix=fix)
    base = kind.base
    fits = isinstance(row, base) if kind.instances else isinstance(row, type) and issubclass(row, base)
    if not fits:
        what = "an object of a class" if kind.instances else "a class"
        fix = f"{base.__name__} is in {base.__module__}."
        raise SpecError(f"{says} must be {what} derived from {base.__name__}", where=plugin.path, fix=fix)
    if lacking := sorted(getattr(row, "__abstractmethods__", ())):
        raise SpecError(f"{says} lacks {', '.join(lacking)}", where=plugin.path)
    _refuse_unusable(says, row, plugin)
    if kind.named_by and (own := _own_name(row, kind.named_by)) != name:
        fix = f"Give it `{kind.named_by}` {name!r}."
        raise SpecError(f"{says} calls itself {own!r}", where=plugin.path, fix=fix)


def _refuse_recorded(metric: str, plugin: Plugin) -> None:
    """Refuses the name of a metric under which the record of a run has something else."""
    if metric in BESIDE_METRICS:
        what = f"METRICS[{metric!r}]: the record of a run has something else of this name"
    elif begins := next((beginning for beginning in (*CURVES, LABELS) if metric.startswith(beginning)), ""):
        what = f"METRICS[{metric!r}]: names that begin with {begins} are not those of metrics"
    else:
        return
    raise SpecError(what, where=plugin.path, fix="Choose another name, or one of the two would be lost.")


def _refuse_unusable(says: str, row: Any, plugin: Plugin) -> None:
    """Refuses a row that would only fail when it is used, which may be after the training."""
    if isinstance(row, Metric):
        if not isinstance(getattr(row, "label", None), str) or not row.label.strip():
            raise SpecError(f"{says} lacks a label", where=plugin.path, fix="Give it a `label`, for tables.")
        if not isinstance(getattr(row, "lower_is_better", None), bool):
            what = f"{says} does not say what is better"
            raise SpecError(what, where=plugin.path, fix="Set `lower_is_better` to True or False.")
    if not (isinstance(row, type) and issubclass(row, Model)):
        return
    try:
        row.model_rebuild()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        fix = "Fields have plain types, imported at the top and not below `if TYPE_CHECKING:`."
        what = f"{says}: the type of a field cannot be read: {first_line(error)}"
        raise SpecError(what, where=plugin.path, fix=fix) from error
    if issubclass(row, Observer):  # equal ones are kept once
        for name, field in row.model_fields.items():
            if {list, dict, set} & {*_types_in(field.annotation)}:
                what = f"{says}: an observer's field cannot be a list, a dict or a set, as `{name}` is"
                raise SpecError(what, where=plugin.path, fix="Write tuple[…, ...].")


def _types_in(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield get_origin(annotation) or annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def _own_name(row: Any, attribute: str) -> object:
    if attribute == "kind":
        return row.model_fields["kind"].get_default()
    return getattr(row, attribute, None)


def _taken(title: str) -> Iterable[str]:
    """Names that a dict of plug-ins cannot use, beside those in the vocabulary."""
    if title == "METRICS":
        return COSTS
    if title == "SECTIONS":
        from ablate.report.sections import SECTIONS

        return SECTIONS
    return ()
