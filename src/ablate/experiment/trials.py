"""What a search proposes as variants of its experiment: the experiment grows by them.

The spec as written stays what it is: a search that has made a hundred trials has the identity that it had
before the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ablate.experiment.config import Config, config_model
from ablate.experiment.problems import Layer, explain, put_together, validate
from ablate.experiment.space import Space
from ablate.experiment.spec import Claim
from ablate.experiment.yaml import Document
from ablate.factors import acting
from ablate.fields import epoch_of
from ablate.records import CONFIRMATION, PATH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.experiment.load import Experiment
    from ablate.experiment.space import Params


@dataclass(frozen=True)
class Proposal:
    """A point of a search's space that becomes a variant."""

    name: str
    params: Params
    kind: Literal["trial", "path"] = "trial"
    """``trial``: of the sampler. ``path``: between the baseline and the best trial, to explain it."""
    round: int = 0
    """In which round it was proposed."""
    reason: str = ""
    """Why it cannot be a variant, if it cannot."""


def trial_name(number: int) -> str:
    """The variant of a trial: ``trial-0007``."""
    return f"trial-{number:04}"


def trials_left(experiment: Experiment) -> int:
    """How many trials a search may still make, by their number and by the steps it has trained."""
    search = experiment.spec.search
    assert search
    most = search.trials
    if search.sampler == "brute-force":
        most = min(most, Space(search).count() or most)
    trained = sum(steps for name, steps in experiment.trained.items() if name not in (CONFIRMATION, PATH))
    if search.budget is not None and trained >= search.budget:
        return 0
    return max(0, most - len(experiment.trials))


def resolve(experiment: Experiment, params: Params) -> tuple[Config | None, str]:
    """The configuration at a point of the search's space, merged and validated as that of any variant; or
    why there is none."""
    assert experiment.spec.search
    overrides = Space(experiment.spec.search).overrides(params)
    layers = [*experiment.layers[experiment.spec.baseline], Layer(Document("search", None), overrides)]
    model = config_model(experiment.vocabulary)
    config, errors = validate(model, put_together(layers))
    return config, "; ".join(problem.what for problem in explain(errors, model, layers))


def grown(
    experiment: Experiment,
    proposals: Sequence[Proposal],
    confirmed: Sequence[str] = (),
    trained: Mapping[str, int] | None = None,
) -> Experiment:
    """The experiment with these proposals as variants, and claims on those that are confirmed."""
    search, baseline = experiment.spec.search, experiment.spec.baseline
    assert search
    known = {proposal.name: proposal for proposal in experiment.proposals}
    space, configs = Space(search), {baseline: experiment.variants[baseline]}
    overrides: dict[str, dict[str, Any]] = {baseline: {}}
    resolved = []
    for proposal in proposals:
        reason = proposal.reason
        config = experiment.variants.get(proposal.name) if proposal == known.get(proposal.name) else None
        if config is None and not reason:
            config, reason = resolve(experiment, proposal.params)
        if config is not None:
            configs[proposal.name] = config
            overrides[proposal.name] = space.overrides(proposal.params)
        resolved.append(replace(proposal, reason=reason))
    claims = tuple(
        _claim(experiment, name, objective) for name in confirmed for objective in search.objectives
    )
    spec = experiment.spec.model_copy(update={"variants": overrides, "claims": claims})
    return replace(
        experiment,
        spec=spec,
        variants=configs,
        proposals=tuple(resolved),
        confirmed=tuple(confirmed),
        trained=dict(trained or experiment.trained),
    )


def probed(experiment: Experiment) -> Experiment:
    """The baseline and, as variants, each end of the search's space that is another configuration: what is
    tried and asked before the search. A field that does nothing at its ends is found."""
    search, baseline = experiment.spec.search, experiment.spec.baseline
    assert search and experiment.document
    space, model = Space(search), config_model(experiment.vocabulary)
    shared = experiment.layers[baseline]
    variants, layers = {baseline: experiment.variants[baseline]}, {baseline: shared}
    for probe in space.probes():
        overrides = space.overrides(probe.params)
        own = [*shared, Layer(Document(experiment.document.where(probe.path), None), overrides)]
        config, _ = validate(model, put_together(own))
        if config and config not in variants.values():
            variants[probe.name], layers[probe.name] = config, own
    return replace(experiment, variants=variants, layers=layers)


def branch_points(experiment: Experiment) -> set[int]:
    """The epochs at which a later trial may leave a training: states that a search keeps."""
    search = experiment.spec.search
    assert search
    points: set[int] = set()
    configs = probed(experiment).variants.values()
    longest = max(config.train.epochs for config in configs)
    for config in configs:
        epochs = config.train.epochs
        acts = [acting(config, epoch) for epoch in range(epochs)]
        points |= {epoch for epoch in range(1, epochs) if acts[epoch] != acts[epoch - 1]} | {epochs}
        if config.ema:
            points.add(epoch_of(config.ema.start, epochs))
    for name, domain in search.fields.items():
        if name.endswith(".start") and domain.options is None:
            points |= set(range(int(domain.low or 0), min(int(domain.high or 0), longest) + 1))
    return points - {0}


def _claim(experiment: Experiment, name: str, objective: str) -> Claim:
    """What a search says of one of its best trials."""
    figure = experiment.vocabulary.figures[objective]
    return Claim(
        text=f"{name}, found by the search, is better than {experiment.spec.baseline} in {figure.label}.",
        source="the search, before it was confirmed",
        variant=name,
        against=experiment.spec.baseline,
        metric=objective,
        direction="lower" if figure.lower_is_better else "higher",
    )
