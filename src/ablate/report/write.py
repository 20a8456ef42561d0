"""Write a report: figures and markdown, each aside and then renamed."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.report.facts import gather
from ablate.report.figures import FIGURES, draw
from ablate.report.markdown import render

if TYPE_CHECKING:
    from ablate.records import ExperimentRecord


def write_report(record: ExperimentRecord, out: Path, *, now: datetime | None = None) -> Path:
    """Write ``<out>/<name>.md`` and its figures ``<out>/<name>/*.png``; gives the markdown's path.

    Two reports of the same record differ in the line "Generated …" only. ``now`` is the time in that
    line, by default the present one in UTC. A reader never sees half a file; the markdown is replaced
    last. Figures of an earlier report that this one does not have are removed.
    """
    facts = gather(record)
    page, folder = out / f"{record.name}.md", out / record.name
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{record.name}-") as aside:
        figures = draw(facts, Path(aside))
        paths = {name: f"{record.name}/{file}" for name, file in figures.items()}
        text = render(facts, paths, now or datetime.now(UTC))
        (Path(aside) / page.name).write_text(text, encoding="utf-8")
        if figures:
            folder.mkdir(exist_ok=True)
        for file in figures.values():
            (Path(aside) / file).replace(folder / file)
        (Path(aside) / page.name).replace(page)
    for name in FIGURES.keys() - figures.keys():
        (folder / f"{name}.png").unlink(missing_ok=True)
    return page
