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
    import pandas as pd

    from ablate.records import ExperimentRecord

RUNS = "runs.csv"


def write_report(record: ExperimentRecord, out: Path, *, now: datetime | None = None) -> Path:
    """Write ``<out>/<name>.md``, its figures ``<out>/<name>/*.png`` and the figures of each run,
    ``<out>/<name>/runs.csv``; gives the markdown's path.

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
        run_table(record).to_csv(Path(aside) / RUNS, index=False)
        folder.mkdir(exist_ok=True)
        for file in (*figures.values(), RUNS):
            (Path(aside) / file).replace(folder / file)
        (Path(aside) / page.name).replace(page)
    for name in FIGURES.keys() - figures.keys():
        (folder / f"{name}.png").unlink(missing_ok=True)
    return page


def run_table(record: ExperimentRecord) -> pd.DataFrame:
    """One row a run: variant, seed, MLflow run, status, and all its final figures."""
    import pandas as pd

    rows = [
        {"variant": run.variant, "seed": run.seed, "run_id": run.run_id, "status": run.status}
        | dict(sorted(run.metrics.items()))
        for run in record.runs
    ]
    return pd.DataFrame(rows)
