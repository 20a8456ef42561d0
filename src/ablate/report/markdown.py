"""Facts in words and tables: everything the template prints is made here, as strings."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
import yaml

from ablate.records import METRICS
from ablate.report import numbers
from ablate.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ablate.report.facts import ClaimFacts, CostFacts, Facts, MetricFacts
    from ablate.stats import PairedDifference

NONE = "–"
"""An empty cell of a table."""

Rows = list[list[str]]
"""A table: its head, then its rows, cell by cell."""


def render(facts: Facts, figures: Mapping[str, str], now: datetime) -> str:
    """The report's markdown. ``figures``: figure's name → its path relative to the report.

    Only the line "Generated …" depends on ``now``.
    """
    template = files("ablate.report").joinpath("report.md.j2").read_text("utf-8")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"table": table, "line": line, "plural": plural}
    record = facts.record
    return environment.from_string(template).render(
        facts=facts,
        record=record,
        figures={name: quote(path) for name, path in figures.items()},
        generated=f"{now:%Y-%m-%d %H:%M} {now:%Z}".strip(),
        commit=str(record.provenance.get("commit", "")),
        profile=record.spec.get("profile", ""),
        headlines=headlines(facts),
        warnings=warnings(facts),
        variants=variants_table(facts),
        results=results_table(facts),
        claims=[claim_lines(facts, claim) for claim in facts.claims],
        accuracies=accuracy_table(facts),
        chance_unknown=any(accuracy.chance is None for accuracy in facts.accuracies),
        cost=cost_table(facts.cost),
        shared=numbers.percent(facts.cost.shared, 0),
        gaps=gaps_table(facts),
        runs=runs_table(facts),
        counts=counts(facts),
        spec_yaml=as_yaml(record.spec),
        config_yaml=as_yaml(record.configs[facts.baseline]) if facts.baseline in record.configs else "",
    )


def headlines(facts: Facts) -> list[str]:
    """A sentence for each variant: its first metric with numbers, the others in words."""
    return [sentence for variant in facts.others if (sentence := _headline(facts, variant))]


def _headline(facts: Facts, variant: str) -> str:
    measured = [metric for metric in facts.metrics if variant in metric.differences]
    if not measured:
        return ""
    first, *rest = measured
    difference = first.differences[variant]
    gains = first.gains(variant, facts.baseline).values()
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    amount = numbers.difference(difference, numbers.decimals(first))
    reading, seeds = judgement(first, difference), plural(difference.n, "seed")
    sentence = f"**{variant} − {facts.baseline}**: {first.label} {amount}, {reading}"
    if difference.n > 1 and better + worse:
        more = "better" if better >= worse else "worse"
        sentence += f" ({'' if more == reading else f'{more} '}in {max(better, worse)} of {seeds})"
    others: dict[str, list[str]] = {}
    for metric in rest:
        others.setdefault(judgement(metric, metric.differences[variant]), []).append(METRICS[metric.key])
    return "; ".join([sentence, *(f"{', '.join(keys)} {words}" for words, keys in others.items())]) + "."


def judgement(metric: MetricFacts, difference: PairedDifference) -> str:
    """Where the 95 % interval lies: ``better``, ``worse``, or on both sides of zero."""
    if difference.low == difference.high == 0:
        return "equal in every seed"
    if difference.n > 1 and not difference.excludes_zero:
        return "not told apart"
    word = "better" if (difference.mean < 0) == metric.lower_is_better and difference.mean else "worse"
    if difference.n > 1:
        return word
    return f"{word} in the one seed" if difference.mean else "equal in the one seed"


def warnings(facts: Facts) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = []
    if facts.gaps:
        found.append(f"Runs that failed, are missing or lack a metric: {len(facts.gaps)}, listed below.")
    most = max((len(values) for metric in facts.metrics for values in metric.values.values()), default=0)
    if most == 1:
        found.append("One seed: there are no intervals, and no difference can be told from chance.")
    if facts.images.below_dimension:
        found.append(
            "Fewer images than the feature space has dimensions: the covariance that FID fits does not "
            "have full rank. Read KID first."
        )
    if len(facts.images.generated) > 1 or len(facts.images.real) > 1:
        found.append(
            "Runs were measured with different numbers of images; FID's bias depends on it, so FID "
            "cannot be compared between them."
        )
    mixed = [metric.label for metric in facts.metrics if metric.mixed_spaces]
    if mixed:
        found.append(
            f"Variants were measured in different spaces: {', '.join(mixed)}. "
            f"Differences are given within one space only."
        )
    return found


def variants_table(facts: Facts) -> Rows:
    """A row a variant, a column a field that differs; bold where it is not the baseline's."""
    rows = [["variant", *(f"`{name}`" for name in facts.changes)]]
    for variant in facts.variants:
        cells = []
        for values in facts.changes.values():
            text = _value(values[variant]) if variant in values else NONE
            base = _value(values[facts.baseline]) if facts.baseline in values else NONE
            cells.append(text if text in (base, NONE) else f"**{text}**")
        rows.append([_name(facts, variant), *cells])
    return rows


def results_table(facts: Facts) -> Rows:
    """Mean ± half-width of the 95 % interval; below it the paired difference to the baseline."""
    rows = [["variant", "seeds", *(f"{metric.label} {metric.arrow}" for metric in facts.metrics)]]
    places = {metric.key: numbers.decimals(metric) for metric in facts.metrics}
    for variant in facts.variants:
        seeds = {len(metric.values.get(variant, ())) for metric in facts.metrics}
        cells = []
        for metric in facts.metrics:
            if variant not in metric.intervals:
                cells.append(NONE)
                continue
            cell = numbers.mean(metric.intervals[variant], places[metric.key])
            if difference := metric.differences.get(variant):
                text = numbers.difference(difference, places[metric.key])
                cell += f"<br>**{text}**" if difference.excludes_zero else f"<br>{text}"
            cells.append(cell)
        rows.append([_name(facts, variant), "–".join(map(str, sorted(seeds))), *cells])
    return rows


def claim_lines(facts: Facts, claim: ClaimFacts) -> dict[str, str]:
    """A claim's sentence, what it says of the numbers, and what they are."""
    direction = {"higher": "higher", "lower": "lower", "equal": f"equal within ±{claim.margin}"}
    says = f"{claim.metric_label} of {claim.variant} is {direction[claim.direction]} "
    says += f"{'to' if claim.direction == 'equal' else 'than'} that of {claim.against}"
    if claim.margin is not None and claim.direction != "equal":
        says += f", by {claim.margin} or more"
    if claim.metric is None or claim.difference is None or claim.smallest_p is None:
        measured = "nothing: the two variants have no seed in common with this metric, in one space."
    else:
        difference = numbers.difference(claim.difference, numbers.decimals(claim.metric))
        measured = (
            f"{claim.variant} − {claim.against} = {difference} over {plural(claim.difference.n, 'seed')}; "
            f"sign-flip p = {numbers.p_value(claim.difference.p)} "
            f"(the smallest that {plural(claim.difference.n, 'seed')} can give: "
            f"{numbers.p_value(claim.smallest_p)})."
        )
    return {"text": line(claim.text), "source": line(claim.source), "says": says, "measured": measured}


def accuracy_table(facts: Facts) -> Rows:
    """A row a variant, a column an attribute, in percent; the last row is chance where it is known."""
    rows = [["variant", *(accuracy.attribute for accuracy in facts.accuracies)]]
    for variant in facts.variants:
        if any(variant in accuracy.intervals for accuracy in facts.accuracies):
            cells = (_percent_cell(accuracy.intervals.get(variant)) for accuracy in facts.accuracies)
            rows.append([_name(facts, variant), *cells])
    if any(accuracy.chance for accuracy in facts.accuracies):
        chances = (accuracy.chance for accuracy in facts.accuracies)
        rows.append(["*chance*", *(numbers.percent(c) if c else NONE for c in chances)])
    return rows


def _percent_cell(interval: Interval | None) -> str:
    if interval is None:
        return NONE
    hundredfold = Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high, interval.n)
    return numbers.mean(hundredfold, 1)


def cost_table(cost: CostFacts) -> Rows:
    """Epochs, steps and seconds: asked for, trained, saved by sharing."""
    rows = [["", "asked for", "trained", "saved by sharing"]]
    for name, asked, trained in (
        ("epochs", cost.epochs_asked, cost.epochs_trained),
        ("optimizer steps", cost.steps_asked, cost.steps_trained),
    ):
        rows.append([name, *(numbers.number(n, 0) for n in (asked, trained, asked - trained))])
    if cost.seconds_asked:
        saved = cost.seconds_asked - cost.seconds_trained
        times = (cost.seconds_asked, cost.seconds_trained, saved)
        rows.append(["training time", *map(numbers.duration, times)])
    if cost.sample_seconds:
        rows.append(["sampling time", NONE, numbers.duration(cost.sample_seconds), NONE])
    return rows


def gaps_table(facts: Facts) -> Rows:
    """Runs that failed, are missing, or lack metrics, with the reason."""
    rows = [["variant", "seed", "status", "reason", "MLflow run"]]
    for gap in facts.gaps:
        run = f"`{gap.run_id}`" if gap.run_id else NONE
        rows.append([gap.variant, str(gap.seed), gap.status, _shorten(line(gap.reason)), run])
    return rows


def runs_table(facts: Facts) -> Rows:
    """The MLflow run of each variant and seed."""
    rows = [["variant", "seed", "status", "MLflow run"]]
    for variant in facts.variants:
        for seed in facts.seeds:
            if run := facts.runs.get((variant, seed)):
                rows.append([variant, str(seed), run.status, f"`{run.run_id}`"])
    return rows


def counts(facts: Facts) -> dict[str, str]:
    """Numbers of images and dimensions in words; several numbers where runs differ."""

    def words(values: Sequence[int]) -> str:
        return " or ".join(numbers.number(value, 0) for value in values)

    images = facts.images
    return {
        "generated": words(images.generated),
        "real": words(images.real),
        "dimension": words(images.dimension),
    }


def table(rows: Rows) -> str:
    """Markdown of a table; the first row is the head. Numbers are centred, names are not."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = [":--", *[":-:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def line(text: str) -> str:
    """``text`` on one line, with nothing that markdown would take for a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def as_yaml(value: Mapping[str, Any]) -> str:
    """``value`` as YAML in its own order; tuples become lists."""
    plain = json.loads(json.dumps(value, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``6 seeds``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _name(facts: Facts, variant: str) -> str:
    return f"**{variant}** (baseline)" if variant == facts.baseline else variant


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _shorten(text: str, length: int = 300) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
