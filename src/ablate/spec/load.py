"""An experiment's YAML → variants with complete configurations.

A variant's configuration is its profile, then the spec's ``config``, then ``--set``, then the
variant's own overrides; each is put onto the one before, mappings key by key. ``--set`` changes
what the variants share, so it never removes the difference between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ablate.errors import SpecError
from ablate.spec import yaml
from ablate.spec.config import EMBEDDED, Config, ExperimentSpec
from ablate.spec.merge import expand, merge
from ablate.spec.problems import Layer, Problem, explain, known, locate, refuse, shown
from ablate.spec.yaml import Document, FieldPath, cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

PROFILES = Path(__file__).parent / "profiles"
MOST_SEEDS = 1000

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Experiment:
    """A spec with everything looked up and put in."""

    name: str
    """The file's name without its ending."""
    spec: ExperimentSpec
    """As written, with the command line's profile, seeds and shared overrides put in."""
    variants: Mapping[str, Config]
    """Complete configurations, in the spec's order."""


def profile_names() -> list[str]:
    """Names of the profiles in the package."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


def load_profile(name: str) -> dict[str, Any]:
    """The complete configuration that a profile stands for, as plain data.

    Raises:
        SpecError: there is no such profile.
    """
    if name not in profile_names():
        raise SpecError(f"there is no profile {shown(name)}", fix=known(name, profile_names()))
    data: dict[str, Any] = yaml.read(PROFILES / f"{name}.yaml").data
    return expand(data)


def load_experiment(
    path: Path, *, profile: str | None = None, sets: Sequence[str] = (), seeds: Sequence[int] | None = None
) -> Experiment:
    """Read a spec and resolve its variants.

    Args:
        path: the YAML file.
        profile: used instead of the spec's own.
        sets: shared overrides, ``a.b.c=value`` each, the value in YAML; later ones win.
        seeds: used instead of the spec's own.

    Raises:
        SpecError: the file cannot be read, or something in it or in an override is wrong. All
            problems are in one error, each with the place where it was written.
    """
    document = yaml.read(path)
    layers = [Layer(document, document.data)]
    if profile is not None:
        layers.append(Layer(Document(f"--profile {cut(profile)}", None), {"profile": profile}))
    if seeds is not None:
        listed = cut(",".join(map(str, seeds)))
        layers.append(Layer(Document(f"--seeds {listed}", None), {"seeds": list(seeds)}))
    set_layers = [_parse_set(text) for text in sets]

    written = _put_together(layers)
    spec, errors = _validate(ExperimentSpec, written)
    problems = [*explain(errors, ExperimentSpec, layers), *_wrong_names(written, layers)]
    variants, more = _resolve(written, document, set_layers)
    refuse([*problems, *more], str(path))

    assert spec is not None  # without problems there is a spec
    shared = _put_together([Layer(document, expand(spec.config)), *set_layers])
    return Experiment(path.stem, spec.model_copy(update={"config": shared}), variants)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds as written on the command line: ``0,1,2`` or ``0-5``, or both mixed.

    Raises:
        SpecError: something else is written.
    """
    where, fix = f"--seeds {cut(text)}", "Write 0,1,2 or 0-5."
    seeds: list[int] = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        # Ten digits hold every seed; more would only make a range that fills the memory.
        if len(ends) > 2 or not all(end.isdecimal() and len(end) <= 10 for end in ends):
            raise SpecError("not a list of seeds", where=where, fix=fix)
        first, last = int(ends[0]), int(ends[-1])
        if not first <= last < first + MOST_SEEDS:
            raise SpecError(f"{part.strip()} is not a range of 1 to {MOST_SEEDS} seeds", where=where, fix=fix)
        seeds.extend(range(first, last + 1))
    return tuple(seeds)


def _parse_set(text: str) -> Layer:
    """``a.b.c=value`` as overrides."""
    where = f"--set {cut(text, 80)}"
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise SpecError("not an override", where=where, fix="Write --set field.inner=value.")
    if keys[0] == "config":
        raise SpecError("`config` is what --set writes to", where=where, fix="Leave out `config.`.")
    if not value.strip():
        # An unset shell variable would otherwise switch something off.
        raise SpecError("there is no value", where=where, fix="For nothing, write null.")
    data = yaml.parse_value(value, where)
    for key in reversed(keys):
        data = {key: data}
    return Layer(Document(where, data), expand(data))


def _put_together(layers: Iterable[Layer]) -> dict[str, Any]:
    data: dict[str, Any] = reduce(merge, (layer.data for layer in layers), {})
    return data


def _validate(model: type[M], data: dict[str, Any]) -> tuple[M | None, list[ErrorDetails]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _resolve(
    written: dict[str, Any], document: Document, sets: Sequence[Layer]
) -> tuple[dict[str, Config], list[Problem]]:
    """Each variant's configuration. Works on data as written, so that all problems show at once."""
    profile, config = written.get("profile", EMBEDDED), written.get("config", {})
    if profile not in profile_names() or not isinstance(config, dict):
        return {}, []  # said already
    shared = [
        Layer(Document(f"profile {profile}", None), load_profile(profile)),
        Layer(document, expand(config), ("config",)),
        *sets,
    ]
    _, shared_errors = _validate(Config, _put_together(shared))
    shared_faults = [(error["loc"], error["msg"]) for error in shared_errors]

    variants: dict[str, Config] = {}
    problems: list[Problem] = []
    overrides = written.get("variants")
    for name, own in overrides.items() if isinstance(overrides, dict) else ():
        if not isinstance(own, dict):
            continue  # said already
        layers = [*shared, Layer(document, expand(own), ("variants", name))]
        resolved, errors = _validate(Config, _put_together(layers))
        inherited = [error for error in errors if (error["loc"], error["msg"]) in shared_faults]
        problems += explain(inherited, Config, shared)
        problems += explain([error for error in errors if error not in inherited], Config, layers)
        if resolved:
            variants[name] = resolved
    return variants, problems


def _wrong_names(written: dict[str, Any], layers: Sequence[Layer]) -> Iterator[Problem]:
    """Names of things that do not exist, and things that are there twice."""

    def problem(path: FieldPath, what: str, fix: str = "") -> Problem:
        return locate(path, layers).problem(path, what, fix)

    profile = written.get("profile", EMBEDDED)
    if isinstance(profile, str) and profile not in profile_names():
        fix = known(profile, profile_names())
        yield problem(("profile",), f"there is no profile {shown(profile)}", fix)

    seeds = written.get("seeds")
    seen: set[int] = set()
    for index, seed in enumerate(seeds if isinstance(seeds, list) else ()):
        if type(seed) is int and seed in seen:
            yield problem(("seeds", index), f"seed {seed} is there twice")
        elif type(seed) is int:
            seen.add(seed)

    variants = written.get("variants")
    if not isinstance(variants, dict) or not variants:
        return
    named: list[tuple[FieldPath, Any]] = [(("baseline",), written.get("baseline"))]
    claims = written.get("claims")
    for index, claim in enumerate(claims if isinstance(claims, list) else ()):
        if isinstance(claim, dict):
            sides = claim.get("variant"), claim.get("against")
            named += zip([("claims", index, "variant"), ("claims", index, "against")], sides, strict=True)
            if isinstance(sides[0], str) and sides[0] == sides[1]:
                yield problem(("claims", index, "against"), "the claim compares a variant with itself")
    for path, name in named:
        if isinstance(name, str) and name not in variants:
            yield problem(path, f"there is no variant {shown(name)}", known(name, variants))
