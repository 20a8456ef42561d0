"""The report's page: what each template is given."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2

from ablate.report import numbers
from ablate.report.markdown import (
    audit,
    claims,
    costs,
    factorial,
    frontier,
    published,
    results,
    runs,
    summary,
    variance,
)
from ablate.report.markdown.text import as_yaml, line, plural, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ablate.report.facts import Facts


def render(facts: Facts, figures: Mapping[str, str], now: datetime) -> str:
    """The report's markdown. ``figures``: figure's name → its path relative to the report.

    Only the line "Generated …" depends on ``now``.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ablate.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"table": table, "line": line, "plural": plural}
    record = facts.record
    return environment.get_template("report.md.j2").render(
        facts=facts,
        record=record,
        figures={name: quote(path) for name, path in figures.items()},
        generated=f"{now:%Y-%m-%d %H:%M} {now:%Z}".strip(),
        commit=str(record.provenance.get("commit", "")),
        profile=record.spec.get("profile", ""),
        alpha=f"{facts.alpha:g}",
        notes=summary.notes(facts),
        verdicts=claims.verdict_table(facts),
        claims=claims.details(facts),
        headlines=summary.headlines(facts),
        variants=results.variants_table(facts),
        findings=audit.findings_table(facts),
        changes=audit.changes_table(facts),
        results=results.results_table(facts),
        counts=results.counts(facts),
        accuracies=results.accuracy_table(facts),
        main_effects=factorial.main_effects_table(facts.factorial) if facts.factorial else [],
        interactions=factorial.interactions_table(facts.factorial) if facts.factorial else [],
        effects_left_out=factorial.left_out(facts.factorial) if facts.factorial else "",
        frontier=frontier.frontier_table(facts),
        published=published.published_table(facts),
        setting_here=published.setting_here(facts),
        ratios=published.ratio_lines(facts),
        variances=variance.variance_tables(facts),
        times=costs.times_table(facts),
        sharing=costs.sharing_table(facts.sharing),
        shared=numbers.percent(facts.sharing.shared, 0),
        verified=costs.verified(record.verified),
        gaps=runs.gaps_table(facts),
        runs=runs.runs_table(facts),
        spec_yaml=as_yaml(runs.spec_as_written(record.spec)),
        config_yaml=as_yaml(record.configs[facts.baseline]) if facts.baseline in record.configs else "",
    )
