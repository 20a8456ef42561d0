"""Main effects and interactions of a full factorial design, paired by seed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.stats.paired import PairedDifference, mean_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Effect:
    """What ``levels`` of ``factors`` do against the first levels, in the unit of the values. One factor: a
    main effect; two: their interaction."""

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

    Returns main effects first, then interactions, in the order of factors and levels. Raises ValueError
    for combinations missing or unknown, no seed that all have, or a value that is not finite.
    """
    import numpy as np

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
            contrast, level_names = grid, []
            for axis, level in zip(chosen, levels, strict=True):
                # The level − the first level of this axis, which stays with length 1.
                contrast = np.take(contrast, [level], axis) - np.take(contrast, [0], axis)
                level_names.append(factors[names[axis]][level])
            difference = mean_difference(contrast.mean(axis=tuple(axes)).tolist())
            found.append(Effect(tuple(names[axis] for axis in chosen), tuple(level_names), difference))
    return found
