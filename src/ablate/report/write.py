"""Write a report: every file aside first, and then moved into place."""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from filelock import FileLock

from ablate.report.drawn import Drawn, digests, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ablate.records import ExperimentRecord
    from ablate.vocabulary import Vocabulary


DRAWING = ".drawing-"
"""How folders begin in which a report is drawn."""


def write_report(
    record: ExperimentRecord,
    vocabulary: Vocabulary,
    out: Path,
    *,
    format: str = "markdown",
    now: datetime | None = None,
) -> Path:
    """Write a report into the folder ``out``, in a format of ``FORMATS``; gives the path to show.

    ``README.md`` in the folder is the index of its markdown reports. Two reports of the same record
    differ in the time of writing only; ``now`` is that time, by default the present one in UTC. A reader
    never sees half a file; the page is replaced last. Figures that the page showed before and does not
    show now are removed. A report that would become the same is left as it is.
    """
    memory, source = memory_of(out, record.name, format), source_of(record, vocabulary, format, now)
    drawn = Drawn.read(memory)
    if not (drawn and drawn.source == source and drawn.is_whole(out)):
        drawn = _draw(record, vocabulary, out, format, now, source)
        drawn.write(memory)
    return out / drawn.page


def memory_of(out: Path, name: str, format: str) -> Path:
    """The hidden file that remembers what a report was drawn from, and which files it has."""
    return out / f".{name}.{format}.json"


def _draw(
    record: ExperimentRecord,
    vocabulary: Vocabulary,
    out: Path,
    format: str,
    now: datetime | None,
    source: str,
) -> Drawn:
    # Here, because importing what draws takes longer than finding that nothing has to be drawn.
    from ablate.report.formats import FORMATS
    from ablate.report.index import write_index
    from ablate.report.results import gather

    results = gather(record, vocabulary, now)
    out.mkdir(parents=True, exist_ok=True)
    with _aside(out) as aside:
        before = _shown(out, record.name)
        (aside / record.name).mkdir()
        shown = FORMATS[format](results, aside)
        files = _move(aside, out)
        for figure in before - _shown(out, record.name):
            figure.unlink(missing_ok=True)
        write_index(out, aside)
        return Drawn(source, str(shown), digests(out, files))


def update_index(out: Path) -> None:
    """Write the folder's index again, after reports have come or gone."""
    from ablate.report.index import write_index

    with _aside(out) as aside:
        write_index(out, aside)


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """An empty folder in ``out``, for one process at a time. Clears away what killed ones have left."""
    with FileLock(out / ".drawing.lock"):
        for left in out.glob(f"{DRAWING}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=DRAWING) as folder:
            yield Path(folder)


def _shown(out: Path, name: str) -> set[Path]:
    """The figures that the markdown page shows as it is now."""
    from ablate.report.formats.markdown import page_of

    page = out / page_of(name)
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return {out / name / file for file in re.findall(rf"\]\({re.escape(quote(name))}/([\w-]+\.png)\)", text)}


def _move(folder: Path, out: Path) -> list[str]:
    """Move all files, those in subfolders first: a page is replaced when all that it shows is there."""
    files = sorted(
        (path.relative_to(folder) for path in folder.rglob("*") if path.is_file()),
        key=lambda file: (-len(file.parts), file),
    )
    for file in files:
        (out / file).parent.mkdir(exist_ok=True)
        (folder / file).replace(out / file)
    return [file.as_posix() for file in files]
