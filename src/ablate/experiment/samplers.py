"""Who proposes the trials of a search: Optuna's samplers by the names that a spec has for them.

Each is made anew for each trial, from a seed and the size of a round. Optuna is imported when one is made.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.samplers import BaseSampler


def tpe(seed: int, size: int) -> BaseSampler:
    """Tree of Parzen estimators (Watanabe 2023): fields together, conditional ones in groups, and trials that
    are under way count as bad ones, so that a round spreads out."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def gp(seed: int, size: int) -> BaseSampler:
    """A Gaussian process and expected improvement."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed)


def nsga_ii(seed: int, size: int) -> BaseSampler:
    """Evolution by non-dominated sorting (Deb et al. 2002); a round is a generation."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=max(size, 2))


def nsga_iii(seed: int, size: int) -> BaseSampler:
    """Evolution with reference points (Deb & Jain 2014); a round is a generation."""
    from optuna.samplers import NSGAIIISampler

    return NSGAIIISampler(seed=seed, population_size=max(size, 2))


def cma_es(seed: int, size: int) -> BaseSampler:
    """Covariance matrix adaptation (Hansen 2016) of the numbers; choices are drawn at random."""
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def qmc(seed: int, size: int) -> BaseSampler:
    """A scrambled Sobol sequence: evenly spread, whatever the results are."""
    from optuna.samplers import QMCSampler

    return QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def random(seed: int, size: int) -> BaseSampler:
    """At random, whatever the results are."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def brute_force(seed: int, size: int) -> BaseSampler:
    """Every combination once, in a random order."""
    from optuna.samplers import BruteForceSampler

    return BruteForceSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": tpe,
    "gp": gp,
    "nsga-ii": nsga_ii,
    "nsga-iii": nsga_iii,
    "cma-es": cma_es,
    "qmc": qmc,
    "random": random,
    "brute-force": brute_force,
}
ONE_SEQUENCE = ("qmc",)
"""Samplers whose proposals are one sequence: all of their trials have the same seed."""
ONE_OBJECTIVE = ("cma-es",)
"""Samplers that cannot search for several objectives."""
WITH_CANDIDATES = ("tpe", "gp", "random")
"""Samplers whose proposals depend on their seed and the trials so far alone, so that several can be drawn."""
PACKAGES = {"cma-es": "cmaes"}
"""Samplers → the package that Optuna wants for them beside itself."""


def require(sampler: str) -> None:
    """Raises UserError if the package that a sampler needs is not installed."""
    package = PACKAGES.get(sampler)
    if package and find_spec(package) is None:
        what = f"the sampler {sampler} needs the package {package}"
        raise UserError(what, where="search.sampler", fix=f"pip install {package}")
