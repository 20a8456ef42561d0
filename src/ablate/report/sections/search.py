"""What a search has tried, what it cost, and what is left of its best trials with fresh seeds.

What mattered in it is the next section.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, pairwise
from statistics import fmean
from typing import TYPE_CHECKING
from urllib.parse import quote

from matplotlib.ticker import MaxNLocator

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Fold, Frame, Heading, Table, Text, code
from ablate.report.drawing import COLOURS, INK, log_if_wide, panel_grid
from ablate.report.numbers import NONE
from ablate.report.search import Searched, Trial, shown
from ablate.report.section import Section
from ablate.report.sections.samples import draw_grid, grid_of
from ablate.report.words import line, shorten
from ablate.stats import paired_difference
from ablate.text import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from ablate.report.results import Results

MOST = 10
"""Trials in the table of the best."""
ROWS = 6
"""Trials whose samples are shown."""


class TheSearch(Section):
    """History, best trials and their samples, cost; searched and confirmed values side by side."""

    name = "search"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where nothing was searched."""
        searched = results.searched
        if searched is None:
            return []
        labels = objective_labels(results, searched)
        blocks: list[Block] = [Heading("The search"), Text(_summary(searched))]
        if searched.complete:
            blocks += [*_best(searched, labels), *_samples(searched, labels, results.baseline)]
        blocks += [*_cost(searched), *_confirmed(results, searched, labels), *_path(searched, labels)]
        blocks += [*_pruned(searched, labels), *_failed(searched)]
        table = f"[trials.csv]({quote(results.record.name)}/trials.csv)"
        blocks.append(Text(f"Every trial with its values and its cost: {table}."))
        return blocks


def objective_labels(results: Results, searched: Searched) -> dict[str, str]:
    """Objective → its name, with the feature space where that is known."""
    found = {key: results.find(key) for key in searched.objectives}
    return {key: metric.label if metric else searched.objectives[key].label for key, metric in found.items()}


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


def _samples(searched: Searched, labels: dict[str, str], baseline: str) -> list[Block]:
    """The same prompts along the front, or for the best few."""
    several = len(labels) > 1
    trials = _along(searched.unbeaten) if several else searched.ranked[:ROWS]
    values = {baseline: searched.baseline, **{trial.name: trial.values for trial in trials}}
    rows = {
        name: "\n".join([name, *(f"{label} {of[key]:.4g}" for key, label in labels.items() if key in of)])
        for name, of in values.items()
    }
    grid = grid_of(searched.runs, rows)
    if not grid or not grid.files():
        return []
    which = f"The best {plural(len(trials), 'trial')}, as searched"
    if several:
        all_of_them = len(trials) == len(searched.unbeaten)
        some = "All" if all_of_them else f"{len(trials)} of {len(searched.unbeaten)}"
        which = f"{some} trials on the Pareto front, from the best in {next(iter(labels.values()))} on"
    return [
        Figure(
            "search-samples",
            "The same prompts " + ("along the Pareto front" if several else "for the best trials"),
            f"{which}; above them the baseline. In a column, the same prompt, with seed {grid.seed} of the "
            f"search. The prompts were drawn at random from {grid.prompt_count}.",
            partial(draw_grid, grid, baseline),
            [Frame(line(row), partial(draw_grid, grid, baseline, [row])) for row in grid.folders],
        )
    ]


def _along(front: list[Trial]) -> list[Trial]:
    """A few trials of a front: both ends, and others at equal distances."""
    if len(front) <= ROWS:
        return front
    return [front[round(number * (len(front) - 1) / (ROWS - 1))] for number in range(ROWS)]


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
            if not metric or not fresh or not searched.baseline or not by_name[name].values:
                continue  # a run of the search is missing by now
            gain = by_name[name].values[key] - searched.baseline[key]
            interval = paired_difference(metric.values[name], metric.values[results.baseline])
            lost = searched.better(key, interval.mean - gain)
            places = numbers.decimals_of([interval])
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
    first = searched.path[0][2][key]
    rows = [["baseline", NONE, f"{fmean(first.values()):.4g}" if first else NONE, NONE]]
    for (_, _, before), (_, change, after) in pairwise(searched.path):
        if not after[key] or not before[key].keys() & after[key].keys():
            continue
        step = paired_difference(after[key], before[key])
        cell = numbers.difference(step, numbers.decimals_of([step]))
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
    after = "seeds" if searched.by_seeds else "epochs"
    rows = [
        [
            trial.name,
            _point(trial),
            str(trial.round),
            str(trial.pruned),
            f"{trial.marks[trial.pruned]:.4g}",
            str(trial.trained),
        ]
        for trial in searched.pruned
    ]
    head = ["trial", "values", "round", f"{after} until then", f"{label} there", "steps trained"]
    return [
        Heading("What was pruned when", level=3),
        Figure(
            "search-pruned",
            f"{label} of each trial at the marks of the pruner",
            f"A line a trial, with {label} at each mark that it came to"
            + ("." if searched.by_seeds else ", and at its end.")
            + " A cross: it was pruned there.",
            partial(draw_marks, searched, label),
        ),
        Fold("Pruned trials", [Table(head, rows, words=2)]),
    ]


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


def draw_marks(searched: Searched, label: str) -> Drawing:
    """A line a trial: its objective at the marks of the pruner, and at its end where marks are epochs."""
    plot, (axes,) = panel_grid(1, 1, (4.6, 3.0), (0.3, 0.5))
    (key,) = searched.objectives
    ends = {} if searched.by_seeds else {run.variant: len(run.links) for run in searched.runs}
    seen = []
    for trial in searched.trials:
        points = dict(trial.marks)
        if trial.values and trial.name in ends:
            points[ends[trial.name]] = trial.values[key]
        steps = sorted(points)
        values = [points[step] for step in steps]
        colour = COLOURS[1] if trial.pruned else COLOURS[0]
        axes.plot(steps, values, "-o", color=colour, markersize=3, linewidth=0.8, alpha=0.6)
        if trial.pruned:
            axes.plot(steps[-1:], values[-1:], "x", color=colour, markersize=7)
        seen += values
    log_if_wide(axes, "y", seen)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("seed of the trial, in turn" if searched.by_seeds else "epochs")
    axes.set_ylabel(label)
    return plot
