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
    """A search whose ranges of fractional fields are so, also where their ends are written as whole numbers."""
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
    """Conditions, trials and seeds that cannot be, and each end of the space that is no configuration.

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

    said: set[str] = set()
    points: list[tuple[FieldPath, Params]] = [(probe.path, probe.params) for probe in space.probes()]
    for number, params in enumerate(search.enqueue):
        path: FieldPath = ("search", "enqueue", number)
        if unknown := [name for name in params if name not in space.names]:
            fix = known(unknown[0], space.names)
            yield problem((*path, unknown[0]), f"there is no field or factor '{unknown[0]}' in it", fix)
        elif wrong := [name for name, value in params.items() if not space.holds(name, value)]:
            yield problem((*path, wrong[0]), f"{wrong[0]} cannot be {params[wrong[0]]!r} in this search")
        elif all(space.exists(name, params) for name in params):
            points.append((path, dict(params)))
        else:
            lost = next(name for name in params if not space.exists(name, params))
            yield problem((*path, lost), f"{lost} does not exist there: see its `when`")
    for path, params in points:
        place = Document(document.where(path), None)
        layers = [*shared, Layer(place, space.overrides(params))]
        for found in _wrong(layers, model):
            if found.what not in said:
                said.add(found.what)
                yield found


def _wrong(layers: Sequence[Layer], model: type[Config]) -> Iterator[Problem]:
    _, errors = validate(model, put_together(layers))
    yield from explain(errors, model, layers)
