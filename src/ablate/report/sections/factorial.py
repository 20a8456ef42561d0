"""Main effects and interactions of a factorial design; the figures show its first metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from statistics import fmean
from typing import TYPE_CHECKING, Any

from matplotlib import figure

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text, bold
from ablate.report.drawing import COLOURS, INK, MARKERS, SOFT, draw_upright
from ablate.report.section import Section
from ablate.report.words import NONE, listed
from ablate.stats import Effect, Interval, PairedDifference, effects, mean_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.metrics import Metric
    from ablate.report.results import Results

COLUMNS = 3
DODGE = 0.07
"""Distance between lines, so that their intervals do not hide each other; a level is 1 wide."""

Cell = tuple[tuple[str, str], ...]
"""(factor, level) of one or more factors."""


@dataclass(frozen=True)
class FactorialMetric:
    """One metric of a factorial design."""

    metric: Metric
    effects: Mapping[Cell, Effect]
    """Main effects, then interactions."""
    means: Mapping[Cell, float]
    """Mean of one level, or of two levels together, over all other factors and seeds."""
    steps: Mapping[Cell, PairedDifference]
    """Of the same: its difference to the first level of its first factor, the other level unchanged."""


@dataclass(frozen=True)
class Factorial:
    """A factorial design, and what each level does."""

    factors: Mapping[str, tuple[str, ...]]
    """Factor → levels, the reference first."""
    metrics: tuple[FactorialMetric, ...]
    """Those that every combination of levels has, in one space, with a seed in common."""
    left_out: tuple[Metric, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of factors."""
        return tuple(combinations(self.factors, 2))

    def cells(self, factors: int) -> list[Cell]:
        """What has an effect: levels of one factor, or of two."""
        return [cell for cell in self.metrics[0].effects if len(cell) == factors] if self.metrics else []


class FactorialEffects(Section):
    """What each level does, on average over all other factors."""

    name = "factorial"

    def blocks(self, results: Results) -> list[Block]:
        """Empty for another design."""
        found = design(results)
        if found is None:
            return []
        blocks: list[Block] = [Heading("Main effects and interactions")]
        if found.cells(1):
            blocks += [
                main_effects_table(found),
                Text(
                    "What a level does against the first level of its factor, on average over all other "
                    "factors; differences within seeds, with 95 % intervals, bold where that leaves out zero."
                ),
            ]
            if found.cells(2):
                blocks += [
                    interactions_table(found),
                    Text(
                        "How much the effect of one factor changes when the other is switched from its first "
                        "level: (both − second alone) − (first alone − neither), on average over all other "
                        "factors. Where an interaction leaves out zero, read a main effect as an average "
                        "only."
                    ),
                ]
            blocks += _figures(found)
        if found.left_out:
            labels = listed([metric.label for metric in found.left_out])
            blocks.append(Text(f"Without effects, since a combination of levels lacks it: {labels}."))
        return blocks


def _figures(found: Factorial) -> list[Figure]:
    main_effects = Figure(
        "main-effects",
        "Mean of each level of each factor",
        "Mean of each level over all other factors. The interval (95 %) is that of the difference to the "
        "first level, within seeds: where it crosses the dotted line, the level is not told apart from the "
        "first.",
        partial(draw_main_effects, found),
    )
    interactions = Figure(
        "interactions",
        "Two factors at a time, a line for each level of the second",
        "Lines that are not parallel are an interaction. The interval (95 %) is that of the difference to "
        "the line's first point, within seeds.",
        partial(draw_interactions, found),
    )
    return [main_effects, interactions] if found.pairs else [main_effects]


def main_effects_table(found: Factorial) -> Table:
    """A row a level, against the first of its factor."""
    return _table(found, 1, "main effect")


def interactions_table(found: Factorial) -> Table:
    """A row a pair of levels."""
    return _table(found, 2, "interaction")


def _table(found: Factorial, factors: int, title: str) -> Table:
    rows = [
        [label(found, cell), *(_effect(entry, cell) for entry in found.metrics)]
        for cell in found.cells(factors)
    ]
    return Table([title, *(entry.metric.title for entry in found.metrics)], rows)


def label(found: Factorial, cell: Cell) -> str:
    """``ema: early − off``, or ``lpips: on × ema: early``."""
    if len(cell) > 1:
        return " × ".join(f"{factor}: {level}" for factor, level in cell)
    ((factor, level),) = cell
    return f"{factor}: {level} − {found.factors[factor][0]}"


def _effect(entry: FactorialMetric, cell: Cell) -> str:
    if cell not in entry.effects:
        return NONE
    difference = entry.effects[cell].difference
    places = numbers.decimals_of(effect.difference for effect in entry.effects.values())
    text = numbers.difference(difference, places)
    return bold(text) if difference.excludes_zero else text


def design(results: Results) -> Factorial | None:
    """None where the design is another, or nothing was measured."""
    factors = results.record.spec.get("factors") or {}
    if not factors or not results.metrics:
        return None
    levels = {factor: tuple(overrides) for factor, overrides in factors.items()}
    found = {metric.key: _metric(metric, levels) for metric in results.metrics}
    return Factorial(
        factors=levels,
        metrics=tuple(entry for entry in found.values() if entry),
        left_out=tuple(metric for metric in results.metrics if found[metric.key] is None),
    )


def _metric(metric: Metric, factors: Mapping[str, tuple[str, ...]]) -> FactorialMetric | None:
    values = {
        levels: metric.values.get(".".join(map("-".join, zip(factors, levels, strict=True))), {})
        for levels in product(*factors.values())
    }
    seeds = sorted(set.intersection(*(set(seeds) for seeds in values.values())))
    if not seeds or metric.mixed_spaces:
        return None

    def by_seed(cell: Cell) -> list[float]:
        """Mean of a cell over all other factors, for each seed."""
        chosen = [
            of_variant
            for levels, of_variant in values.items()
            if set(cell) <= set(zip(factors, levels, strict=True))
        ]
        return [fmean(of_variant[seed] for of_variant in chosen) for seed in seeds]

    def step(cell: Cell) -> PairedDifference:
        (factor, _), *rest = cell
        reference = by_seed(((factor, factors[factor][0]), *rest))
        return mean_difference([ours - theirs for ours, theirs in zip(by_seed(cell), reference, strict=True)])

    cells = [cell for number in (1, 2) for cell in _cells(factors, number)]
    return FactorialMetric(
        metric=metric,
        effects={tuple(zip(e.factors, e.levels, strict=True)): e for e in effects(values, factors)},
        means={cell: fmean(by_seed(cell)) for cell in cells},
        steps={cell: step(cell) for cell in cells if cell[0][1] != factors[cell[0][0]][0]},
    )


def _cells(factors: Mapping[str, tuple[str, ...]], number: int) -> list[Cell]:
    """All choices of ``number`` factors with a level each."""
    return [
        tuple(zip(names, levels, strict=True))
        for names in combinations(factors, number)
        for levels in product(*(factors[name] for name in names))
    ]


def draw_main_effects(design: Factorial) -> figure.Figure:
    """A panel a factor: the mean of each of its levels."""
    entry = design.metrics[0]
    plot, panels = _panels(
        entry, len(design.factors), width=1.1 + 0.55 * max(map(len, design.factors.values()))
    )
    for axes, (factor, levels) in zip(panels, design.factors.items(), strict=False):
        cells: list[Cell] = [((factor, level),) for level in levels]
        axes.axhline(entry.means[cells[0]], color=SOFT, linewidth=0.7, linestyle=":", zorder=1)
        _line(axes, entry, cells, 0.0, INK, "o")
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_title(factor, pad=8)
    return plot


def draw_interactions(design: Factorial) -> figure.Figure:
    """A panel a pair of factors: a line for each level of the second."""
    entry = design.metrics[0]
    plot, panels = _panels(entry, len(design.pairs), width=2.2 + 0.5 * max(map(len, design.factors.values())))
    for axes, (first, second) in zip(panels, design.pairs, strict=False):
        levels, lines = design.factors[first], design.factors[second]
        for number, line in enumerate(lines):
            cells: list[Cell] = [((first, level), (second, line)) for level in levels]
            shift = DODGE * (number - (len(lines) - 1) / 2)
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            _line(axes, entry, cells, shift, colour, marker, line)
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_xlabel(first)
        axes.legend(
            title=second, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8, title_fontsize=8.5
        )
    return plot


def _panels(entry: FactorialMetric, count: int, width: float) -> tuple[figure.Figure, Sequence[Any]]:
    """Panels in rows of three that share the metric's axis."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    plot = figure.Figure(figsize=(0.8 + width * columns, 0.3 + 2.4 * rows), layout="constrained")
    panels = list(plot.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    plot.supylabel(entry.metric.title, fontsize=8.5)
    return plot, panels


def _line(
    axes: Any,
    entry: FactorialMetric,
    cells: Sequence[Cell],
    shift: float,
    colour: str,
    marker: str,
    label: str = "",
) -> None:
    """Means joined by a line, each with the interval of its difference to the first."""
    places = [number + shift for number in range(len(cells))]
    means = [entry.means[cell] for cell in cells]
    axes.plot(places, means, color=colour, linewidth=1.0, marker=marker, markersize=4, label=label)
    for x, cell in zip(places, cells, strict=True):
        step = entry.steps.get(cell)
        low, high = (step.low, step.high) if step else (math.nan, math.nan)
        interval = Interval(entry.means[cell], means[0] + low, means[0] + high, step.n if step else 1)
        draw_upright(axes, interval, x, colour, marker)
    axes.set_xlim(-0.4, len(cells) - 0.6)
