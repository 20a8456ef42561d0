"""What a search has tried, what it cost, and what is left of its best trials with fresh seeds."""

from __future__ import annotations

from functools import partial
from itertools import accumulate, pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Fold, Heading, Table, Text, code
from ablate.report.drawing import COLOURS, INK, log_if_wide, panel_grid
from ablate.report.numbers import NONE
from ablate.report.search import Searched, Trial, importances, shown
from ablate.report.section import Section
from ablate.report.words import line, plural, shorten
from ablate.stats import paired_difference

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from ablate.report.results import Results

MOST = 10
"""Trials in the table of the best."""


class TheSearch(Section):
    """History, best trials, importances, cost; searched and confirmed values side by side."""

    name = "search"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where nothing was searched."""
        searched = results.searched
        if searched is None:
            return []
        labels = {key: _label(results, searched, key) for key in searched.objectives}
        blocks: list[Block] = [Heading("The search"), Text(_summary(searched))]
        if searched.complete:
            blocks += _best(searched, labels)
        blocks += [*_importances(searched, labels), *_cost(searched)]
        blocks += [*_confirmed(results, searched, labels), *_path(searched, labels)]
        blocks += [*_pruned(searched, labels), *_failed(searched)]
        return blocks


def _label(results: Results, searched: Searched, key: str) -> str:
    found = results.find(key)
    return found.label if found else searched.objectives[key].label


def _summary(searched: Searched) -> str:
    complete, rounds = searched.complete, len({trial.round for trial in searched.trials})
    lost = sum(bool(trial.values) and not trial.kept for trial in searched.trials)
    broken = f"; {lost} of them break a constraint" if lost else ""
    if searched.pruned:
        broken += f"; {len(searched.pruned)} of them were pruned by {code(searched.pruner)}"
    seeds = ", ".join(map(str, searched.seeds))
    return (
        f"{plural(len(searched.trials), 'trial')} by {code(searched.sampler)} in {plural(rounds, 'round')}, "
        f"each with seed {seeds}{broken}. **Searched values are too good**: the best of "
        f"{len(complete)} noisy values is partly luck. Tables and claims elsewhere on this page are about "
        + ("the confirmation with fresh seeds." if searched.fresh else "the baseline alone.")
    )


def _best(searched: Searched, labels: dict[str, str]) -> list[Block]:
    several = len(labels) > 1
    trials = searched.unbeaten if several else searched.ranked[:MOST]
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    rows = [
        [
            trial.name,
            *(shown(trial.params[name]) if name in trial.params else NONE for name in names),
            *(f"{trial.values[key]:.4g}" for key in labels),
            str(trial.trained),
        ]
        for trial in trials
    ]
    head = ["trial", *map(code, names), *(f"{label}, searched" for label in labels.values()), "steps trained"]
    what = (
        "Pareto front: no other trial is as good in all and better in one" if several else "The best trials"
    )
    blocks: list[Block] = [
        Heading("Best trials, as searched", level=3),
        Figure(
            "search-history",
            "Each trial, and the best so far",
            "Values with the seeds of the search, in the order of the trials. Line: the best so far. Dashed: "
            "the baseline with the same seeds.",
            partial(draw_history, searched, labels),
        ),
    ]
    if several:
        blocks.append(
            Figure(
                "search-front",
                "The objectives against each other",
                "Each trial in two objectives, searched values. Ringed and joined: the Pareto front.",
                partial(draw_front, searched, labels),
            )
        )
    return [*blocks, Table(head, rows, caption=f"{what}. A dash: the field does not exist there.")]


def _importances(searched: Searched, labels: dict[str, str]) -> list[Block]:
    found = {key: importances(searched, key) for key in labels}
    names = list(dict.fromkeys(name for shares in found.values() for name in shares))
    if not names:
        return []

    def cell(key: str, name: str) -> str:
        if name not in found[key]:
            return NONE
        share, low, high = (numbers.percent(value, 0) for value in found[key][name])
        return f"{share} % [{low}, {high}]"

    rows = [[code(name), *(cell(key, name) for key in labels)] for name in names]
    return [
        Heading("What mattered in the search", level=3),
        Table(["field", *labels.values()], rows),
        Text(
            "Share of what decides whether a trial is among the best quarter (PED-ANOVA), with a 90 % "
            f"bootstrap interval over {len(searched.complete)} trials. With few trials these are rough, and "
            "a sampler that favours a region hides what lies outside it."
        ),
    ]


def _cost(searched: Searched) -> list[Block]:
    rows = [
        [
            stage.name,
            str(stage.runs),
            str(stage.asked),
            str(stage.trained),
            f"{numbers.percent(stage.trained / stage.asked)} %",
        ]
        for stage in searched.stages
        if stage.asked
    ]
    head = ["stage", "runs", "steps asked for", "steps trained", "share"]
    return [
        Heading("What the search cost", level=3),
        Table(head, rows),
        Text(
            "Optimizer steps. *Asked for*: if each run were trained by itself, to its end. *Trained*: those "
            "that nobody had trained when the run was proposed; the first to need a trunk pays for it."
        ),
    ]


def _confirmed(results: Results, searched: Searched, labels: dict[str, str]) -> list[Block]:
    by_name = {trial.name: trial for trial in searched.trials}
    rows = []
    for name in searched.confirmed:
        for key, label in labels.items():
            metric = results.find(key)
            fresh = metric.paired(name, results.baseline) if metric else {}
            if not metric or not fresh or key not in searched.baseline:
                continue
            gain = by_name[name].values[key] - searched.baseline[key]
            interval = paired_difference(metric.values[name], metric.values[results.baseline])
            lost = searched.better(key, interval.mean - gain)
            places = metric.decimals
            rows.append(
                [
                    name,
                    label,
                    numbers.number(gain, places, sign=True),
                    numbers.difference(interval, places),
                    numbers.number(lost, places, sign=True),
                ]
            )
    if not rows:
        return []
    head = ["trial", "metric", "searched", "confirmed", "lost since the search"]
    return [
        Heading("Searched and confirmed", level=3),
        Table(head, rows, words=2),
        Text(
            "Differences to the baseline. *Searched*: with the seeds of the search, by which the trial was "
            "chosen. *Confirmed*: with fresh seeds, with a 95 % interval. *Lost*: the winner's curse, "
            "how much of the searched gain the fresh seeds do not show; negative where they show more."
        ),
    ]


def _path(searched: Searched, labels: dict[str, str]) -> list[Block]:
    if not searched.path:
        return []
    key, label = next(iter(labels.items()))
    rows = [["baseline", NONE, f"{fmean(searched.path[0][2][key].values()):.4g}", NONE]]
    for (_, _, before), (_, change, after) in pairwise(searched.path):
        if not after[key] or not before[key].keys() & after[key].keys():
            continue
        step = paired_difference(after[key], before[key])
        cell = f"{step.mean:+.3g}" + (f" [{step.low:+.3g}, {step.high:+.3g}]" if step.n > 1 else "")
        rows.append([f"+ {change}", str(len(after[key])), f"{fmean(after[key].values()):.4g}", cell])
    return [
        Heading("From the baseline to the best trial", level=3),
        Table(["change", "fresh seeds", label, "what it gives"], rows),
        Text(
            "Path ablation (Fawcett & Hoos 2016): one change after another, each time the one that gives "
            f"most in the mean of {label}. All with fresh seeds, but each step is the best of several "
            "on these, so early steps look a little too good."
        ),
    ]


def _pruned(searched: Searched, labels: dict[str, str]) -> list[Block]:
    if not searched.pruned:
        return []
    (label,) = labels.values()  # trials are pruned by one objective
    rows = [
        [trial.name, _point(trial), str(trial.pruned), f"{trial.score:.4g}", str(trial.trained)]
        for trial in searched.pruned
    ]
    after = "seeds" if searched.pruner == "wilcoxon" else "epochs"
    head = ["trial", "values", f"{after} until then", f"{label} there", "steps trained"]
    return [Fold("Pruned trials", [Table(head, rows, words=2)])]


def _failed(searched: Searched) -> list[Block]:
    failed = [trial for trial in searched.trials if trial.reason]
    if not failed:
        return []
    rows = [[trial.name, _point(trial), shorten(line(trial.reason))] for trial in failed]
    return [Fold("Trials without results", [Table(["trial", "values", "reason"], rows, words=3)])]


def _point(trial: Trial) -> str:
    return ", ".join(f"{name} = {shown(value)}" for name, value in trial.params.items())


def draw_history(searched: Searched, labels: dict[str, str]) -> Drawing:
    """A panel an objective: its value over trials, and the best so far."""
    plot, panels = panel_grid(len(labels), 2, (3.6, 2.4), (0.3, 0.5))
    trials = searched.complete
    at = [number for number, trial in enumerate(searched.trials) if trial in trials]
    for axes, (key, label) in zip(panels, labels.items(), strict=True):
        values = [trial.values[key] for trial in trials]
        best = accumulate(values, min if searched.objectives[key].lower_is_better else max)
        axes.plot(at, values, "o", color=COLOURS[0], markersize=4, alpha=0.7)
        axes.step(at, list(best), where="post", color=COLOURS[0], linewidth=1.4)
        if key in searched.baseline:
            axes.axhline(searched.baseline[key], color=INK, linewidth=0.8, linestyle="--")
        log_if_wide(axes, "y", values)
        axes.set_title(label, pad=8)
    plot.supxlabel("trial", fontsize=8.5)
    return plot


def draw_front(searched: Searched, labels: dict[str, str]) -> Drawing:
    """The first two objectives against each other."""
    plot, (axes,) = panel_grid(1, 1, (4.2, 3.0), (0.3, 0.5))
    (x, x_label), (y, y_label) = list(labels.items())[:2]
    trials, best = searched.complete, searched.unbeaten
    axes.plot([t.values[x] for t in trials], [t.values[y] for t in trials], "o", color=COLOURS[0], alpha=0.7)
    ringed = sorted((t.values[x], t.values[y]) for t in best)
    axes.plot(
        *zip(*ringed, strict=True), "-o", color=INK, markerfacecolor="none", markersize=9, linewidth=0.8
    )
    if x in searched.baseline and y in searched.baseline:
        axes.plot([searched.baseline[x]], [searched.baseline[y]], "x", color=INK)
    for axis, key in (("x", x), ("y", y)):
        log_if_wide(axes, axis, [trial.values[key] for trial in trials])
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return plot
