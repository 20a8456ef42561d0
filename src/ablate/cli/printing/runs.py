"""What ``ablate show`` and ``ablate compare`` print: recorded runs, and what differs between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column

from ablate.cli.printing import out, print_table, say
from ablate.looking.chosen import configuration
from ablate.looking.compare import A, B
from ablate.report import numbers
from ablate.text import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.looking.chosen import Chosen
    from ablate.looking.compare import Comparison, Difference, Pair
    from ablate.records import RunRecord

NONE = numbers.NONE
SHORT = 8
"""Characters of a run's id in a table: enough for ``ablate show``."""


def print_runs(chosen: Chosen) -> None:
    """One run with all that is known of it; several as a table, with what the variant overrides."""
    runs = chosen.runs
    out().print(f"[bold]{escape(str(chosen.record.spec['question']))}[/]\n")
    if len(runs) == 1:
        _print_run(chosen, runs[0])
        return
    metrics = chosen.results.metrics
    rows = [
        [
            escape(run.variant),
            str(run.seed),
            run.status,
            *(_cell(run, metric.key, metric.decimals) for metric in metrics),
            run.run_id[:SHORT],
        ]
        for run in runs
    ]
    titles = (metric.title for metric in metrics)
    print_table(["variant", "seed", "status", *titles, Column("run", no_wrap=True, min_width=SHORT)], rows)
    for run in runs:
        if run.reason:
            say(f"{run.variant} seed {run.seed} failed: {first_line(run.reason)}")


def _cell(run: RunRecord, key: str, decimals: int) -> str:
    return numbers.number(run.metrics[key], decimals) if key in run.metrics else NONE


def _print_run(chosen: Chosen, run: RunRecord) -> None:
    say(f"{chosen.record.name}, {run.variant}, seed {run.seed}: {run.status}")
    if run.reason:
        say(run.reason)
    say(f"MLflow: run {run.run_id} of experiment {chosen.record.experiment_id}")
    if run.samples:
        say(f"Samples: {run.samples}")
    labels = {metric.key: metric.title for metric in (*chosen.results.metrics, *chosen.results.costs)}
    measured = {name: value for name, value in run.metrics.items() if name in labels}
    rows = [[escape(labels[name]), f"{value:.6g}"] for name, value in measured.items()]
    rows += [[escape(name), f"{value:.6g}"] for name, value in run.metrics.items() if name not in labels]
    print_table(["result", "value"], rows)
    baseline = [one for one in chosen.results.finished if one.variant == chosen.results.baseline]
    theirs = configuration(baseline)
    rows = [
        [name, escape(value), escape(theirs.get(name, NONE)) if theirs.get(name) != value else ""]
        for name, value in sorted(configuration([run]).items())
    ]
    print_table(["field", "value", "in the baseline"], rows)


def print_comparison(found: Comparison) -> None:
    """Settings, versions, shared training and results; differences are A − B."""
    for side, chosen in ((A, found.a), (B, found.b)):
        ids = [run.run_id for run in chosen.runs]
        run = ids[0] if len(ids) == 1 else chosen.record.parent_run_id
        say(f"{side}: {chosen.title} (MLflow's run {run})")
    if found.versions:
        _print_differences("run with", found.versions)
    for pair in found.pairs:
        out().print(f"\n[bold]{escape(pair.title)}[/]")
        _print_pair(pair)
    for side, variants in zip((A, B), found.only, strict=True):
        if variants:
            say(f"Only in {side}: {', '.join(variants)}")


def _print_pair(pair: Pair) -> None:
    if pair.settings:
        _print_differences("field", pair.settings)
    else:
        say("The same configuration.")
    for seeds, words in _trainings(pair).items():
        say(f"Seed {', '.join(map(str, seeds))}: {words}.")
    rows = [
        [
            escape(metric.title),
            metric.mean(A),
            metric.mean(B),
            metric.difference(A),
            f"{metric.differences[A].p:.3g}" if A in metric.differences and len(pair.seeds) > 1 else NONE,
        ]
        for metric in pair.metrics
    ]
    if rows:
        print_table(["result", A, B, "A − B, paired by seed", "p"], rows)
    for note in pair.notes:
        say(note)


def _trainings(pair: Pair) -> Mapping[tuple[int, ...], str]:
    """Seeds → what training both sides share, in words."""
    by_words: dict[str, list[int]] = {}
    for seed, (same, ours, theirs) in pair.shared.items():
        if same == ours == theirs:
            words = "the same training, to the last bit"
        elif same:
            first = "the first epoch is" if same == 1 else f"the first {same} epochs are"
            words = f"{first} the same training, to the last bit"
        else:
            words = "no training in common"
        by_words.setdefault(words, []).append(seed)
    return {tuple(seeds): words for words, seeds in by_words.items()}


def _print_differences(head: str, found: Mapping[str, Difference]) -> None:
    rows = [[escape(name), *(escape(value) or NONE for value in both)] for name, both in found.items()]
    print_table([head, A, B], rows)
