"""An experiment's YAML → variants with complete configurations.

A variant's configuration is its profile, then the spec's ``config``, then ``--set``, then the
variant's own overrides (with a factorial those of its levels, with leave-one-out those of its parts);
each is put onto the one before, mappings key by key. ``--set`` changes what the variants share, so it
never removes the difference between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import SpecError
from ablate.experiment import yaml
from ablate.experiment.config import Config, config_model
from ablate.experiment.designs import BASELINE, DESIGNS, Design, DesignError, expand_design
from ablate.experiment.merge import expand
from ablate.experiment.options import as_ranges, options_given, parse_set
from ablate.experiment.problems import (
    Layer,
    Problem,
    explain,
    known,
    locate,
    nearest,
    put_together,
    refuse,
    shown,
    validate,
)
from ablate.experiment.search_problems import problems_of_search, with_fractions
from ablate.experiment.spec import DEFAULT_PROFILE, ExperimentSpec, spec_model
from ablate.experiment.yaml import Document, FieldPath
from ablate.plugins import Plugin
from ablate.text import cut
from ablate.vocabulary import OWN, Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ablate.experiment.pruners import Mark, Scored
    from ablate.experiment.trials import Proposal

PROFILES = Path(__file__).parent / "profiles"


@dataclass(frozen=True)
class Experiment:
    """A spec with everything looked up and put in."""

    name: str
    """The file's name without its ending."""
    spec: ExperimentSpec
    """As written, with the command line's profile, seeds and shared overrides put in, and with the
    design expanded: ``variants`` holds every variant and ``baseline`` is set."""
    variants: Mapping[str, Config]
    """Complete configurations, in the design's order."""
    vocabulary: Vocabulary = OWN
    """What it may name."""
    file: Path = Path()
    """Where it was read from."""
    options: tuple[str, ...] = ()
    """Of the command line, those that were put in: ``--seeds 0-11``."""
    layers: Mapping[str, Sequence[Layer]] = field(default_factory=dict, repr=False, compare=False)
    """Variant → what its configuration was put together from, the last on top: where fields were written."""
    document: Document | None = field(default=None, repr=False, compare=False)
    """The file's content, and where each part of it stands."""
    proposals: tuple[Proposal, ...] = ()
    """What a search has proposed so far; ``variants`` holds those that can be run."""
    confirmed: tuple[str, ...] = ()
    """The trials of a search that run again with fresh seeds."""
    trained: Mapping[str, int] = field(default_factory=dict)
    """Variant of a search, or stage after it → optimizer steps that nobody had trained before it."""
    scored: tuple[Scored, ...] = ()
    """The trials of a search at the marks of its pruner, in the order in which they were judged."""

    @property
    def trials(self) -> list[Proposal]:
        """What the sampler of a search has proposed."""
        return [proposal for proposal in self.proposals if proposal.kind == "trial"]

    @property
    def steps(self) -> list[Proposal]:
        """What was proposed on the way from the baseline to the best trial."""
        return [proposal for proposal in self.proposals if proposal.kind == "path"]

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Where the trials of a search are judged; () without a pruner."""
        pruner = self.spec.search and self.spec.search.pruner
        epochs = self.variants[self.spec.baseline].train.epochs
        return pruner.marks_of(epochs, self.spec.seeds) if pruner else ()

    @property
    def pruned(self) -> dict[str, Mark]:
        """Trial that was pruned → the mark at which it ended."""
        marks = {mark.step: mark for mark in self.marks}
        return {each.trial: marks[each.step] for each in self.scored if each.pruned}

    @property
    def runs(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of each run. What a search confirms and explains has seeds of its own; what was
        pruned after some seeds has no others."""
        explaining = {step.name for step in self.steps}
        ended = {name: mark.step for name, mark in self.pruned.items() if mark.epoch is None}
        for variant in self.variants:
            if variant not in explaining:
                yield from ((variant, seed) for seed in self.spec.seeds[: ended.get(variant)])
        confirm = self.spec.search and self.spec.search.confirm
        if confirm and self.confirmed:
            for variant in self.variants:
                if variant in (self.spec.baseline, *self.confirmed, *explaining):
                    yield from ((variant, seed) for seed in confirm.seeds)


def profile_names() -> list[str]:
    """Names of the profiles in the package."""
    return sorted(file.stem for file in PROFILES.glob("*.yaml"))


EXPERIMENT_NAME = r"\w[^/\\\x00-\x1f\x7f]{0,99}"
"""What a spec may be called, without its ending: it names the folders of artifacts and of the report."""


def load_profile(name: str) -> dict[str, Any]:
    """The complete configuration that a profile stands for, as plain data.

    Raises:
        SpecError: there is no such profile.
    """
    if name not in profile_names():
        raise SpecError(f"there is no profile {shown(name)}", fix=known(name, profile_names()))
    data: dict[str, Any] = yaml.read(PROFILES / f"{name}.yaml").data
    return expand(data)


def load_config(profile: str, sets: Sequence[str] = ()) -> Config:
    """The complete configuration of a profile by itself, for what is not about an experiment.

    Args:
        profile: its name.
        sets: overrides, ``a.b.c=value`` each, the value in YAML; later ones win.

    Raises:
        SpecError: there is no such profile, or an override is wrong.
    """
    layers = [Layer(Document(f"profile {profile}", None), load_profile(profile)), *map(parse_set, sets)]
    config, errors = validate(Config, put_together(layers))
    refuse(explain(errors, Config, layers), f"profile {profile}")
    assert config  # there is one without problems
    return config


def load_experiment(
    path: Path,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    plugins: Sequence[Path] = (),
) -> Experiment:
    """Read a spec and resolve its variants.

    Args:
        path: the YAML file.
        profile: used instead of the spec's own.
        sets: shared overrides, ``a.b.c=value`` each, the value in YAML; later ones win.
        seeds: used instead of the spec's own.
        plugins: files beside those that the spec names.

    Raises:
        SpecError: the file cannot be read, or something in it or in an override is wrong. All
            problems are in one error, each with the place where it was written.
    """
    if not re.fullmatch(EXPERIMENT_NAME, path.stem):
        fix = "Rename it: a letter or digit first, no control characters, at most 100 characters."
        raise SpecError(
            f"the file's name cannot name an experiment: {shown(path.stem)}", where=str(path), fix=fix
        )
    document = yaml.read(path)
    layers = [Layer(document, document.data)]
    if profile is not None:
        layers.append(Layer(Document(f"--profile {cut(profile)}", None), {"profile": profile}))
    if seeds is not None:
        listed = cut(",".join(map(str, seeds)))
        layers.append(Layer(Document(f"--seeds {listed}", None), {"seeds": list(seeds)}))
    set_layers = [parse_set(text) for text in sets]

    written = put_together(layers)
    vocabulary = _vocabulary(written, path.parent, plugins)
    model = spec_model(vocabulary)
    spec, errors = validate(model, written)
    design, faults = _design(written, layers)
    variants, resolved_from, more = _resolve(written, design, document, set_layers, config_model(vocabulary))
    problems = [
        *explain(errors, model, layers),
        *_wrong_names(written, layers),
        *faults,
        *more,
    ]
    if design:
        problems += _wrong_baseline(written, design, layers)
        problems += _unknown_variants(written, design, layers)
    if spec and spec.search and variants:
        problems += problems_of_search(spec, document, resolved_from[BASELINE], config_model(vocabulary))
    refuse(problems, str(path))

    assert spec and design  # there is both without problems
    resolved = {
        "search": with_fractions(spec.search, config_model(vocabulary)),
        "config": put_together([Layer(document, expand(spec.config)), *set_layers]),
        "variants": design.overrides(),
        "baseline": design.baseline or spec.baseline,
        "plugins": tuple(plugin.name for plugin in vocabulary.plugins),
    }
    options = options_given(profile, sets, None if seeds is None else as_ranges(seeds), plugins)
    return Experiment(
        name=path.stem,
        spec=spec.model_copy(update=resolved),
        variants=variants,
        vocabulary=vocabulary,
        file=path,
        options=tuple(options),
        layers=resolved_from,
        document=document,
    )


def read_design(path: Path) -> Document:
    """A spec that another one is made from. What does not fit there is said there, except for its list of
    plug-ins, whose paths have to be understood first.

    Raises:
        SpecError: the file cannot be read, or ``plugins`` is no list of files.
    """
    document = yaml.read(path)
    model = spec_model(OWN)
    _, errors = validate(model, document.data)
    of_plugins = [error for error in errors if error["loc"][:1] == ("plugins",)]
    refuse(explain(of_plugins, model, [Layer(document, document.data)]), str(path))
    return document


def _vocabulary(written: dict[str, Any], folder: Path, more: Sequence[Path]) -> Vocabulary:
    """The package's vocabulary and that of the plug-ins. Something else than a list of files is said later.

    Raises:
        SpecError: a plug-in cannot be read or loaded, or adds what it cannot.
    """
    named = [folder / name for name in _list(written, "plugins") if isinstance(name, str)]
    return vocabulary_of(tuple(dict.fromkeys(map(Plugin.read, [*named, *more]))))


def _design(written: dict[str, Any], layers: Sequence[Layer]) -> tuple[Design | None, list[Problem]]:
    """The design, or what is wrong with it. A misspelt ``factors`` is one mistake, not two."""
    try:
        return expand_design(written), []
    except DesignError as error:
        if not error.path and _misspelt(written) & set(DESIGNS):
            return None, []
        layer = locate(error.path, layers)
        return None, [layer.problem(error.path, str(error), error.fix, key=True)]


def _misspelt(written: dict[str, Any]) -> set[str]:
    """Fields of the spec that were probably meant by the unknown ones."""
    fields = ExperimentSpec.model_fields
    return {nearest(name, fields) for name in written if name not in fields}


def _resolve(
    written: dict[str, Any],
    design: Design | None,
    document: Document,
    sets: Sequence[Layer],
    model: type[Config],
) -> tuple[dict[str, Config], dict[str, list[Layer]], list[Problem]]:
    """Each variant's configuration, and its layers. Works on data as written, so that all problems show at
    once."""
    profile, config = written.get("profile", DEFAULT_PROFILE), written.get("config", {})
    if profile not in profile_names() or not isinstance(config, dict):
        return {}, {}, []  # said already
    shared = [
        Layer(Document(f"profile {profile}", None), load_profile(profile)),
        Layer(document, expand(config), ("config",)),
        *sets,
    ]
    _, shared_errors = validate(model, put_together(shared))
    shared_faults = [(error["loc"], error["msg"]) for error in shared_errors]

    variants: dict[str, Config] = {}
    layers_of: dict[str, list[Layer]] = {}
    problems: list[Problem] = []
    for name, pieces in design.variants.items() if design else ():
        if not all(isinstance(piece.overrides, dict) for piece in pieces):
            continue  # said already
        layers = [*shared, *(Layer(document, expand(piece.overrides), piece.path) for piece in pieces)]
        resolved, errors = validate(model, put_together(layers))
        inherited = [error for error in errors if (error["loc"], error["msg"]) in shared_faults]
        problems += explain(inherited, model, shared)
        problems += explain([error for error in errors if error not in inherited], model, layers)
        if resolved:
            variants[name], layers_of[name] = resolved, layers
    return variants, layers_of, problems


def _wrong_names(written: dict[str, Any], layers: Sequence[Layer]) -> Iterator[Problem]:
    """A profile that does not exist, and what is there twice."""

    def problem(path: FieldPath, what: str, fix: str = "") -> Problem:
        return locate(path, layers).problem(path, what, fix)

    profile = written.get("profile", DEFAULT_PROFILE)
    if isinstance(profile, str) and profile not in profile_names():
        fix = known(profile, profile_names())
        yield problem(("profile",), f"there is no profile {shown(profile)}", fix)

    seen: set[int] = set()
    for index, seed in enumerate(_list(written, "seeds")):
        if type(seed) is int and seed in seen:
            yield problem(("seeds", index), f"seed {seed} is there twice")
        elif type(seed) is int:
            seen.add(seed)

    for index, claim in enumerate(_list(written, "claims")):
        sides = (claim.get("variant"), claim.get("against")) if isinstance(claim, dict) else (None, None)
        if isinstance(sides[0], str) and sides[0] == sides[1]:
            yield problem(("claims", index, "against"), "the claim compares a variant with itself")


def _wrong_baseline(written: dict[str, Any], design: Design, layers: Sequence[Layer]) -> Iterator[Problem]:
    """A baseline that is not named, or one that is where the design has its own."""
    is_named = "baseline" in written or "baseline" in _misspelt(written)
    if not design.baseline and not is_named:
        fix = f"Name the variant that the others are compared with. {known('', design.variants)}"
        yield locate((), layers).problem((), "missing: baseline", fix, key=True)
    if design.baseline and "baseline" in written:
        what = f"with {design.kind} it is {design.baseline} and is not written"
        more = " To change it, put other levels first." if design.kind == "factors" else ""
        place = locate(("baseline",), layers)
        yield place.problem(("baseline",), what, f"Leave this line out.{more}", key=True)


def _unknown_variants(written: dict[str, Any], design: Design, layers: Sequence[Layer]) -> Iterator[Problem]:
    for path, name in _names_of_variants(written, design):
        if isinstance(name, str) and name not in design.variants:
            what, fix = f"there is no variant {shown(name)}", known(name, design.variants)
            # In ``expect`` the name is the key.
            yield locate(path, layers).problem(path, what, fix, key=path[0] == "expect")


def _names_of_variants(written: dict[str, Any], design: Design) -> Iterator[tuple[FieldPath, Any]]:
    """Each place that names a variant, and the name."""
    if not design.baseline:
        yield ("baseline",), written.get("baseline")
    expect = written.get("expect")
    for name in expect if isinstance(expect, dict) else ():
        yield ("expect", name), name
    for index, claim in enumerate(_list(written, "claims")):
        for side in ("variant", "against"):
            if isinstance(claim, dict):
                yield ("claims", index, side), claim.get(side)
    for index, result in enumerate(_list(written.get("published"), "results")):
        if isinstance(result, dict):
            yield ("published", "results", index, "variant"), result.get("variant")


def _list(written: Any, name: str) -> list[Any]:
    """The list below ``name``; an empty one where there is something else, which was said already."""
    found = written.get(name) if isinstance(written, dict) else None
    return found if isinstance(found, list) else []
