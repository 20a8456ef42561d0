"""Main effects and interactions of a factorial design; the figures show its first metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import INK, SOFT, draw_interval, line_look, panel_grid
from ablate.report.section import Section
from ablate.report.words import listed
from ablate.stats import Effect, Interval, effects, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure as Drawing

    from ablate.report.metrics import Metric
    from ablate.report.results import Results

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
    values: Mapping[Cell, Sequence[float]]
    """A level of every factor → a value for each seed that all combinations have."""

    def by_seed(self, cell: Cell) -> list[float]:
        """One level, or two together: the mean over all other factors, for each seed."""
        chosen = [values for levels, values in self.values.items() if set(cell) <= set(levels)]
        return [fmean(of_seed) for of_seed in zip(*chosen, strict=True)]


@dataclass(frozen=True)
class Factorial:
    """A factorial design, and what each level does."""

    factors: Mapping[str, tuple[str, ...]]
    """Factor → levels, the reference first."""
    metrics: tuple[FactorialMetric, ...]
    """Those that every combination of levels has, in one space, with a seed in common."""
    left_out: tuple[Metric, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of factors."""
        return list(combinations(self.factors, 2))

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
                effects_table(found, "main effect", found.cells(1)),
                Text(
                    "What a level does against the first level of its factor, on average over all other "
                    "factors; differences within seeds, with 95 % intervals, bold where that leaves out zero."
                ),
            ]
        if found.cells(2):
            blocks += [
                effects_table(found, "interaction", found.cells(2)),
                Text(
                    "How much the effect of one factor changes when the other is switched from its first "
                    "level: (both − second alone) − (first alone − neither), on average over all other "
                    "factors. Where an interaction leaves out zero, read a main effect as an average only."
                ),
            ]
        if found.cells(1):
            blocks += _figures(found)
        if found.left_out:
            labels = listed([metric.label for metric in found.left_out])
            why = "a combination of levels lacks it, or was measured in another space"
            blocks.append(Text(f"Without effects, since {why}: {labels}."))
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


def effects_table(found: Factorial, title: str, cells: Sequence[Cell]) -> Table:
    """A row a level, against the first of its factor, or a row a pair of levels."""
    rows = [[label(found, cell), *(_effect(entry, cell) for entry in found.metrics)] for cell in cells]
    return Table([title, *(entry.metric.title for entry in found.metrics)], rows)


def label(found: Factorial, cell: Cell) -> str:
    """``ema: early − off``, or ``lpips: on × ema: early``."""
    if len(cell) > 1:
        return " × ".join(f"{factor}: {level}" for factor, level in cell)
    ((factor, level),) = cell
    return f"{factor}: {level} − {found.factors[factor][0]}"


def _effect(entry: FactorialMetric, cell: Cell) -> str:
    places = numbers.decimals_of(effect.difference for effect in entry.effects.values())
    return numbers.marked(entry.effects[cell].difference, places)


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
    combined = [tuple(zip(factors, levels, strict=True)) for levels in product(*factors.values())]
    values = {cell: metric.values.get(".".join(map("-".join, cell)), {}) for cell in combined}
    seeds = sorted(set.intersection(*map(set, values.values())))
    if not seeds or metric.mixed_spaces:
        return None
    found = effects({tuple(level for _, level in cell): values[cell] for cell in values}, factors)
    return FactorialMetric(
        metric=metric,
        effects={tuple(zip(effect.factors, effect.levels, strict=True)): effect for effect in found},
        values={cell: [by_seed[seed] for seed in seeds] for cell, by_seed in values.items()},
    )


def draw_main_effects(design: Factorial) -> Drawing:
    """A panel a factor: the mean of each of its levels."""
    entry, width = design.metrics[0], 1.1 + 0.55 * max(map(len, design.factors.values()))
    plot, panels = _panels(entry, len(design.factors), width)
    for axes, (factor, levels) in zip(panels, design.factors.items(), strict=True):
        cells: list[Cell] = [((factor, level),) for level in levels]
        axes.axhline(fmean(entry.by_seed(cells[0])), color=SOFT, linewidth=0.7, linestyle=":", zorder=1)
        _line(axes, entry, cells, 0.0, INK, "o")
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_title(factor, pad=8)
    return plot


def draw_interactions(design: Factorial) -> Drawing:
    """A panel a pair of factors: a line for each level of the second."""
    entry, width = design.metrics[0], 2.2 + 0.5 * max(map(len, design.factors.values()))
    plot, panels = _panels(entry, len(design.pairs), width)
    for axes, (first, second) in zip(panels, design.pairs, strict=True):
        levels, lines = design.factors[first], design.factors[second]
        for number, line in enumerate(lines):
            cells: list[Cell] = [((first, level), (second, line)) for level in levels]
            shift = DODGE * (number - (len(lines) - 1) / 2)
            _line(axes, entry, cells, shift, *line_look(number), line)
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_xlabel(first)
        axes.legend(
            title=second, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8, title_fontsize=8.5
        )
    return plot


def _panels(entry: FactorialMetric, count: int, width: float) -> tuple[Drawing, list[Any]]:
    """Panels in rows of three that share the metric's axis."""
    plot, panels = panel_grid(count, 3, (width, 2.4), (0.8, 0.3), sharey=True)
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
    by_seed = [entry.by_seed(cell) for cell in cells]
    places = [number + shift for number in range(len(cells))]
    means = [fmean(values) for values in by_seed]
    axes.plot(places, means, color=colour, linewidth=1.0, marker=marker, markersize=4, label=label)
    for x, mean, values in zip(places, means, by_seed, strict=True):
        step = mean_interval([ours - theirs for ours, theirs in zip(values, by_seed[0], strict=True)])
        interval = Interval(mean, means[0] + step.low, means[0] + step.high, step.n)
        draw_interval(axes, interval, x, colour, marker, upright=True)
    axes.set_xlim(-0.4, len(cells) - 0.6)
