"""Write a report: figures and text, each aside and then moved into place."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.report import latex, markdown, tables
from ablate.report.facts import Facts, gather
from ablate.report.figures import FIGURES, draw
from ablate.report.index import SUMMARY, page_of, summary, write_index

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.records import ExperimentRecord

DIGITS = "%.8g"
"""How computed figures are written to CSV; those of runs are written in full."""


def write_report(
    record: ExperimentRecord, out: Path, *, format: str = "markdown", now: datetime | None = None
) -> Path:
    """Write a report into the folder ``out``; gives the path to show.

    - ``markdown``: ``<name>.md``, figures and ``runs.csv`` in ``<name>/``, and the index of all reports
      in the folder, ``README.md``.
    - ``latex``: ``<name>.tex``, a document of tables.
    - ``csv``: ``results.csv``, ``claims.csv`` and ``runs.csv`` in ``<name>/``.

    Two reports of the same record differ in the time of writing only; ``now`` is that time, by default
    the present one in UTC. A reader never sees half a file; the page is replaced last. Figures of an
    earlier report that this one does not have are removed.
    """
    facts = gather(record)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{record.name}-") as aside:
        (Path(aside) / record.name).mkdir()
        shown = FORMATS[format](facts, Path(aside), now or datetime.now(UTC))
        moved = _move(Path(aside), out)
    if format == "markdown":
        for figure in FIGURES:
            if (file := Path(record.name, f"{figure}.png")) not in moved:
                (out / file).unlink(missing_ok=True)
        write_index(out)
    return out / shown


def _markdown(facts: Facts, folder: Path, now: datetime) -> str:
    name = facts.record.name
    figures = draw(facts, folder / name)
    text = markdown.render(facts, {figure: f"{name}/{file}" for figure, file in figures.items()}, now)
    (folder / page_of(name)).write_text(text, encoding="utf-8")
    tables.run_table(facts.record).to_csv(folder / name / "runs.csv", index=False)
    (folder / name / SUMMARY).write_text(json.dumps(summary(facts, now), indent=1), encoding="utf-8")
    return page_of(name)


def _latex(facts: Facts, folder: Path, now: datetime) -> str:
    name = facts.record.name
    (folder / f"{name}.tex").write_text(latex.render(facts, now), encoding="utf-8")
    return f"{name}.tex"


def _csv(facts: Facts, folder: Path, now: datetime) -> str:
    target = folder / facts.record.name
    tables.run_table(facts.record).to_csv(target / "runs.csv", index=False)
    tables.result_table(facts).to_csv(target / "results.csv", index=False, float_format=DIGITS)
    tables.claim_table(facts).to_csv(target / "claims.csv", index=False, float_format=DIGITS)
    return facts.record.name


FORMATS: dict[str, Callable[[Facts, Path, datetime], str]] = {
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}
"""What writes a report into a folder, and gives the path in it to show."""


def _move(folder: Path, out: Path) -> set[Path]:
    """Move all files, those in subfolders first: a page is replaced when all that it shows is there."""
    files = sorted(
        (path.relative_to(folder) for path in folder.rglob("*") if path.is_file()),
        key=lambda file: (-len(file.parts), file),
    )
    for file in files:
        (out / file).parent.mkdir(exist_ok=True)
        (folder / file).replace(out / file)
    return set(files)
