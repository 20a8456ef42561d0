"""Main effects and interactions of a full factorial design, paired by seed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ablate.stats.paired import PairedDifference, mean_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Effect:
    """What ``levels`` of ``factors`` do against the first levels.

    One factor: a main effect. Two: their interaction. The difference has the unit of the values.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    difference: PairedDifference


def effects(
    values: Mapping[tuple[str, ...], Mapping[int, float]], factors: Mapping[str, Sequence[str]]
) -> list[Effect]:
    """All main effects and two-factor interactions of a full factorial design.

    ``factors`` maps each factor to its levels, the reference level first; ``values`` maps each
    combination of levels, in the order of the factors, to seed → value. Only seeds that all combinations
    have are used.

    A main effect is the mean over all combinations with the level − that with the first level. An
    interaction is ``(a₁b₁ − a₀b₁) − (a₁b₀ − a₀b₀)``, averaged over the other factors: how much the effect
    of one changes when the other is switched. (Box, Hunter and Hunter, "Statistics for Experimenters",
    2005, ch. 5, halve it.) Each is formed within a seed, then compared over seeds.

    Returns main effects first, then interactions, in the order of factors and levels.

    Raises:
        ValueError: combinations missing or unknown, no seed that all have, or a value that is not finite.
    """
    combinations = list(itertools.product(*factors.values()))
    if values.keys() != set(combinations):
        wrong = sorted(values.keys() ^ set(combinations))
        raise ValueError(f"a full factorial design has every combination of levels once; wrong: {wrong}")
    seeds = sorted(set.intersection(*(set(values[combination]) for combination in combinations)))
    if not seeds:
        raise ValueError("no seed has a value for every combination")

    # One axis a factor, then the seeds.
    shape = [len(levels) for levels in factors.values()]
    flat = [[values[combination][seed] for seed in seeds] for combination in combinations]
    grid = np.array(flat, dtype=np.float64).reshape(*shape, len(seeds))

    names, axes = list(factors), range(len(factors))
    found = []
    for chosen in [*itertools.combinations(axes, 1), *itertools.combinations(axes, 2)]:
        for levels in itertools.product(*(range(1, shape[axis]) for axis in chosen)):
            contrast = grid
            for axis, level in zip(chosen, levels, strict=True):
                contrast = _against_first(contrast, axis, level)
            a_seed = contrast.mean(axis=tuple(axes))
            chosen_names = tuple(names[axis] for axis in chosen)
            chosen_levels = tuple(
                factors[name][level] for name, level in zip(chosen_names, levels, strict=True)
            )
            found.append(Effect(chosen_names, chosen_levels, mean_difference(a_seed.tolist())))
    return found


def _against_first(grid: NDArray[np.float64], axis: int, level: int) -> NDArray[np.float64]:
    """The level − the first level of one axis, which stays with length 1."""
    return np.take(grid, [level], axis) - np.take(grid, [0], axis)
