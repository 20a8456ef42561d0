"""What is wrong with a search that can be known before it runs, with the place where it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from ablate.experiment.problems import Layer, annotation, explain, known, put_together, validate
from ablate.experiment.space import Space, faults_of_when
from ablate.experiment.yaml import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ablate.experiment.config import Config
    from ablate.experiment.problems import Problem
    from ablate.experiment.search import Search
    from ablate.experiment.space import Params
    from ablate.experiment.spec import ExperimentSpec
    from ablate.experiment.yaml import FieldPath


def with_fractions(search: Search | None, model: type[Config]) -> Search | None:
    """A search in which fractional fields have fractional ranges, also where whole numbers are written."""
    if search is None:
        return None
    fields = {
        name: domain.with_fractions() if _takes_fractions(model, name) else domain
        for name, domain in search.fields.items()
    }
    return search.model_copy(update={"fields": fields})


def _takes_fractions(model: type[Config], name: str) -> bool:
    def kinds(kind: Any) -> Iterator[Any]:
        yield kind
        for inner in get_args(kind):
            yield from kinds(inner)

    return float in kinds(annotation(model, tuple(name.split("."))))


def problems_of_search(
    spec: ExperimentSpec, document: Document, shared: Sequence[Layer], model: type[Config]
) -> Iterator[Problem]:
    """Conditions, trials and seeds that cannot be, and each end of the space that is not a configuration.

    Args:
        shared: the layers of the baseline.
    """
    search = with_fractions(spec.search, model)
    assert search

    def problem(path: FieldPath, what: str, fix: str = "") -> Problem:
        return Layer(document, document.data).problem(path, what, fix)

    if spec.claims:
        fix = "With `confirm`, the search makes a claim of each of its best trials."
        yield problem(("claims",), "a search has no claims that are written before it", fix)
    if faults := list(faults_of_when(search.fields, search)):
        yield from (problem(*fault) for fault in faults)
        return
    space = Space(search)
    if search.sampler == "brute-force" and space.count() is None:
        what = "brute-force needs fields with options, whole numbers or steps, and at most 10000 combinations"
        yield problem(("search", "sampler"), what)
    if search.confirm:
        for number, seed in enumerate(search.confirm.seeds):
            if seed in (*spec.seeds, *search.confirm.seeds[:number]):
                what = "is not fresh: the search has it, or it is there twice"
                yield problem(("search", "confirm", "seeds", number), f"seed {seed} {what}")

    yield from (problem(*fault) for fault in _faults_of_pruner(spec, search, shared, model))

    points = list(_ends(space))
    for number, params in enumerate(search.enqueue):
        path: FieldPath = ("search", "enqueue", number)
        if fault := _cannot_be(params, space):
            name, what, fix = fault
            yield problem((*path, name), what, fix)
        else:
            points.append((path, params))
    yield from _no_configurations(points, space, document, shared, model)


def _faults_of_pruner(
    spec: ExperimentSpec, search: Search, shared: Sequence[Layer], model: type[Config]
) -> Iterator[tuple[FieldPath, str]]:
    """(Path, what is wrong) of a pruner that would never end a trial."""
    pruner = search.pruner
    if pruner is None:
        return
    config, _ = validate(model, put_together(shared))
    if config and pruner.marks and "train.epochs" not in search.fields:
        for number, mark in enumerate(pruner.marks):
            if mark >= config.train.epochs:
                what = f"is not a mark on the way: trials have {config.train.epochs} epochs"
                yield ("search", "pruner", "marks", number), what
    if config and not pruner.by_seeds and not pruner.marks_of(config.train.epochs, spec.seeds):
        yield ("search", "pruner"), f"there is no mark on the way of {config.train.epochs} epochs"
    if pruner.by_seeds and 0.5 ** (len(spec.seeds) - 1) >= pruner.p:
        needed = next(n for n in range(2, 1000) if 0.5 ** (n - 1) < pruner.p)
        seeds = f"{len(spec.seeds)} seeds, of which the last comes too late,"
        yield ("search", "pruner"), f"{seeds} give no p below {pruner.p:g}: {needed} could"


def _ends(space: Space) -> Iterator[tuple[FieldPath, Params]]:
    for probe in space.probes():
        yield probe.path, probe.params


def _cannot_be(params: Params, space: Space) -> tuple[str, str, str] | None:
    """(Name, what is wrong, what to do) of the first value that no point of a space has."""
    for name, value in params.items():
        if name not in space.names:
            return name, f"there is no field or factor '{name}' in this search", known(name, space.names)
        if not space.holds(name, value):
            return name, f"{name} cannot be {value!r} in this search", ""
        if not space.exists(name, params):
            return name, f"{name} does not exist with these values: see its `when`", ""
    return None


def _no_configurations(
    points: Sequence[tuple[FieldPath, Params]],
    space: Space,
    document: Document,
    shared: Sequence[Layer],
    model: type[Config],
) -> Iterator[Problem]:
    """What is wrong with the configurations at some points, each mistake once."""
    said: set[str] = set()
    for path, params in points:
        layers = [*shared, Layer(Document(document.where(path), None), space.overrides(params))]
        _, errors = validate(model, put_together(layers))
        for found in explain(errors, model, layers):
            if found.what not in said:
                said.add(found.what)
                yield found
