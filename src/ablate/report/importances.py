"""Which fields of a search mattered, by two of Optuna's evaluators, with how sure that is."""

from __future__ import annotations

import math
import random
import warnings
from statistics import fmean, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from ablate.report.search import Searched, Trial

FEWEST = 8
"""Trials below which nothing is said of what matters."""
DRAWS = 50
"""Of the bootstrap of PED-ANOVA."""
BEST = 0.25
"""Share of the trials that counts as the good ones, for PED-ANOVA."""
TREES = 64
"""Of fANOVA's forest."""


class Share(NamedTuple):
    """A share from 0 to 1, with a 90 % interval."""

    value: float
    low: float
    high: float


def ped_anova(searched: Searched, objective: str) -> dict[str, Share]:
    """Field → its share of what decides whether a trial is among the best quarter.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023), with its form for fields that do not always exist. The
    interval is a bootstrap over trials. {} where there are too few of them.
    """
    trials, rng = searched.complete, random.Random(0)
    if len(trials) < FEWEST:
        return {}
    draws = [_ped_anova(searched, rng.choices(trials, k=len(trials)), objective) for _ in range(DRAWS)]
    return {
        name: _share(value, [draw.get(name, 0.0) for draw in draws])
        for name, value in _ped_anova(searched, trials, objective).items()
    }


def fanova(searched: Searched, objective: str) -> dict[str, Share]:
    """Field → its share of the objective's variance over the whole space that it explains by itself.

    fANOVA (Hutter, Hoos & Leyton-Brown 2014). Only of fields that exist in every trial; {} where there are
    too few trials. The value is the mean over trees, each grown on a bootstrap sample of the trials; the
    interval holds nine of ten trees.
    """
    from optuna.importance import FanovaImportanceEvaluator

    if len(searched.complete) < FEWEST:
        return {}
    study = _study(searched, searched.complete, objective, in_logarithms=True)
    trees = []
    for seed in range(TREES):  # one by one, because Optuna gives the mean over a forest and no more
        try:
            trees.append(FanovaImportanceEvaluator(n_trees=1, seed=seed).evaluate(study))
        except RuntimeError:
            continue  # a sample in which all trials are equally good
    if len(trees) < 2:
        return {}
    shares = {name: [float(tree[name]) for tree in trees] for name in trees[0]}
    return {name: _share(fmean(values), values) for name, values in shares.items()}


def _share(value: float, draws: Sequence[float]) -> Share:
    twentieths = quantiles(draws, n=20, method="inclusive")
    return Share(value, twentieths[0], twentieths[-1])


def _ped_anova(searched: Searched, trials: Sequence[Trial], objective: str) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = _study(searched, trials, objective)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
            return dict(get_param_importances(study, evaluator=evaluator))
        except (ValueError, ZeroDivisionError, RuntimeError):
            return {}  # a draw in which all trials are alike


def _study(
    searched: Searched, trials: Sequence[Trial], objective: str, *, in_logarithms: bool = False
) -> optuna.Study:
    """A study in memory with one objective, of which less is better.

    Args:
        in_logarithms: fields that are searched on a logarithmic scale are logarithms here: fANOVA would take
            each value of a range for as likely as any other.
    """
    import optuna
    from optuna.distributions import FloatDistribution
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for trial in trials:
        params = dict(trial.params)
        distributions = {name: _distribution(searched.spec, name) for name in params}
        for name, domain in distributions.items() if in_logarithms else ():
            if getattr(domain, "log", False):
                params[name] = math.log(params[name])
                distributions[name] = FloatDistribution(math.log(domain.low), math.log(domain.high))
        value = searched.better(objective, trial.values[objective])
        study.add_trial(create_trial(value=value, params=params, distributions=distributions))
    return study


def _distribution(spec: Mapping[str, Any], name: str) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if name in spec["factors"]:
        return CategoricalDistribution(list(spec["factors"][name]))
    field = spec["fields"][name]
    if field["options"] is not None:
        return CategoricalDistribution(field["options"])
    low, high, log, step = (field[key] for key in ("low", "high", "log", "step"))
    if all(isinstance(number, int) for number in (low, high, step or 0)):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=step)
