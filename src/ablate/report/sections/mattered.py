"""What mattered in a search: the objectives against each field, and each field's share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import LogLocator, MaxNLocator

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text, code
from ablate.report.drawing import COLOURS, INK, log_if_wide, panel_grid
from ablate.report.importances import BEST, TREES, fanova, ped_anova
from ablate.report.numbers import NONE
from ablate.report.search import Searched, shown
from ablate.report.section import Section
from ablate.report.sections.search import objective_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure as Drawing

    from ablate.report.importances import Share
    from ablate.report.results import Results

LONGEST = 12
"""Characters of an option's name in a picture."""


class WhatMattered(Section):
    """Slices and importances."""

    name = "mattered"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where no trial of a search is complete."""
        searched = results.searched
        if searched is None or not searched.complete:
            return []
        labels = objective_labels(results, searched)
        slices = [
            Figure(
                f"search-slices-{key}",
                f"{label} against each field that was searched",
                f"Each trial, as searched: {label} against its value of a field. Trials without the field "
                "are left out. The later a trial, the darker. Ringed: the best one. Dashed: the baseline.",
                partial(draw_slices, searched, key, label),
            )
            for key, label in labels.items()
        ]
        return [Heading("What mattered in the search", level=3), *slices, *_importances(searched, labels)]


def _importances(searched: Searched, labels: Mapping[str, str]) -> list[Block]:
    columns = {
        f"{label}, {method}": shares(searched, key)
        for key, label in labels.items()
        for method, shares in (("PED-ANOVA", ped_anova), ("fANOVA", fanova))
    }
    names = [name for name in _fields(searched) if any(name in shares for shares in columns.values())]
    if not names:
        return []
    first = next(iter(columns.values()))
    names.sort(key=lambda name: first[name].value if name in first else 0, reverse=True)
    rows = [[code(name), *(_cell(shares.get(name)) for shares in columns.values())] for name in names]
    count = len(searched.complete)
    return [
        Table(["field", *columns], rows),
        Text(
            "Two answers, each with a 90 % interval. *PED-ANOVA* (Watanabe, Bansal & Hutter 2023): share of "
            f"what decides whether a trial is among the best {numbers.percent(BEST, 0)} %; the interval is a "
            f"bootstrap over the {count} trials. *fANOVA* (Hutter, Hoos & Leyton-Brown 2014): share of the "
            "variance over the whole space that a field explains by itself, in the mean over "
            f"{TREES} regression trees, each grown on a bootstrap sample of the trials; the interval holds "
            "nine of ten trees. What fANOVA's shares lack to 100 % lies in fields that act together. It "
            "knows only fields that exist in every trial; a dash stands for the others."
        ),
        Text(
            "The intervals say how much a share depends on which trials there happen to be. They do not "
            "promise to hold the true share: of few trials, a field without any effect gets a share, too, "
            "and a weak one may get too little. They know nothing of regions that the sampler left out."
        ),
    ]


def _cell(share: Share | None) -> str:
    if share is None:
        return NONE
    value, low, high = (numbers.percent(each, 0) for each in share)
    return f"{value} % [{low}, {high}]"


def _fields(searched: Searched) -> list[str]:
    """The factors and fields that some complete trial has."""
    return list(dict.fromkeys(name for trial in searched.complete for name in trial.params))


def draw_slices(searched: Searched, key: str, label: str) -> Drawing:
    """A panel a field: the objective over its values."""
    fields = _fields(searched)
    plot, panels = panel_grid(len(fields), 4, (1.9, 1.9), (0.4, 0.3), sharey=True)
    best = min(searched.complete, key=lambda trial: searched.better(key, trial.values[key]))
    newest = max(len(searched.trials) - 1, 1)
    order = {trial.name: number / newest for number, trial in enumerate(searched.trials)}
    for axes, name in zip(panels, fields, strict=True):
        trials = [trial for trial in searched.complete if name in trial.params]
        places = _places(axes, searched, name)
        for trial in trials:
            at = places(trial.params[name]), trial.values[key]
            axes.plot(*at, "o", color=COLOURS[0], markersize=4, alpha=0.25 + 0.7 * order[trial.name])
            if trial is best:
                axes.plot(*at, "o", color=INK, markerfacecolor="none", markersize=8)
        if key in searched.baseline:
            axes.axhline(searched.baseline[key], color=INK, linewidth=0.8, linestyle="--")
        axes.set_xlabel(name, color=INK)
    log_if_wide(panels[0], "y", [trial.values[key] for trial in searched.complete])
    plot.supylabel(label, fontsize=8.5)
    return plot


def _places(axes: Any, searched: Searched, name: str) -> Callable[[Any], float]:
    """Value of a field → its place on the x axis, which shows the whole domain."""
    domain = searched.spec["fields"].get(name, {})
    options = [*searched.spec["factors"][name]] if name in searched.spec["factors"] else domain["options"]
    if options is not None:
        labels = [text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in map(shown, options)]
        slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, labels)) > 4 else {}
        axes.set_xticks(range(len(options)), labels, fontsize=7, **slanted)
        axes.set_xlim(-0.5, len(options) - 0.5)
        return options.index
    low, high = domain["low"], domain["high"]
    if domain["log"]:
        axes.set_xscale("log")
        log_if_wide(axes, "x", [low, high])
        if high > 30 * low:
            axes.xaxis.set_major_locator(LogLocator())
        axes.set_xlim(low * (low / high) ** 0.06, high * (high / low) ** 0.06)
    else:
        axes.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=isinstance(low, int) and isinstance(high, int)))
    return float
