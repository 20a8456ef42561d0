"""The index of a folder of reports: made from what each report left of itself, whenever it was written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ablate.report import numbers
from ablate.report.markdown.text import NONE, line, plural, table
from ablate.stats import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ablate.report.facts import Facts

INDEX = "README.md"
SUMMARY = "summary.json"


def page_of(name: str) -> str:
    """The file of an experiment's report. ``readme`` would be the index where upper case is lower case."""
    return f"{name}-report.md" if f"{name}.md".lower() == INDEX.lower() else f"{name}.md"


def summary(facts: Facts, now: datetime) -> dict[str, Any]:
    """What the index says of a report."""
    return {
        "name": facts.record.name,
        "question": facts.record.spec["question"],
        "profile": facts.record.spec.get("profile", ""),
        "generated": f"{now:%Y-%m-%d}",
        "variants": len(facts.variants),
        "seeds": len(facts.seeds),
        "finished": facts.finished,
        "steps_asked": facts.sharing.steps_asked,
        "steps_trained": facts.sharing.steps_trained,
        "claims": [
            {"text": claim.text, "verdict": str(claim.verdict), "must": claim.must} for claim in facts.claims
        ],
    }


def write_index(out: Path) -> Path:
    """Write ``<out>/README.md`` over all reports in the folder, by name; gives its path."""
    found = [json.loads(file.read_text("utf-8")) for file in sorted(out.glob(f"*/{SUMMARY}"))]
    reports = [report for report in found if (out / page_of(report["name"])).exists()]
    with tempfile.TemporaryDirectory(dir=out, prefix=".index-") as aside:
        (Path(aside) / INDEX).write_text(_page(reports), encoding="utf-8")
        (Path(aside) / INDEX).replace(out / INDEX)
    return out / INDEX


def _page(reports: Sequence[dict[str, Any]]) -> str:
    experiments = [
        ["experiment", "question", "profile", "runs", "verdicts", "steps trained of asked", "date"]
    ]
    claims = [["claim", "experiment", "verdict"]]
    for report in reports:
        link = f"[{report['name']}]({quote(page_of(report['name']))})"
        steps = (numbers.number(report[key], 0) for key in ("steps_trained", "steps_asked"))
        experiments.append(
            [
                link,
                line(report["question"]),
                report["profile"],
                f"{plural(report['variants'], 'variant')} × {plural(report['seeds'], 'seed')}",
                _counts([claim["verdict"] for claim in report["claims"]]),
                " of ".join(steps),
                report["generated"],
            ]
        )
        for claim in report["claims"]:
            must = " *(must be supported)*" if claim["must"] else ""
            claims.append([line(claim["text"]) + must, link, f"**{claim['verdict']}**"])
    parts = ["# Reports", table(experiments, 3)]
    if len(claims) > 1:
        parts += ["## Verdicts", table(claims, 3), "*Inconclusive*: neither shown nor refuted."]
    return "\n\n".join(parts) + "\n"


def _counts(verdicts: Sequence[str]) -> str:
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts]
    return ", ".join(counts) or NONE
