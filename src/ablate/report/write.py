"""Write a report: every file aside first, and then moved into place."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.locks import lock_at
from ablate.report.memory import Drawn, digests, settings_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write a report into the folder ``out``, in a format of ``FORMATS``; gives the path to show.

    ``README.md`` in the folder is the index of its markdown reports. Two reports of the same record
    differ in the time of writing only; ``now`` is that time, by default the present one in UTC. A reader
    never sees half a file; the page is replaced last. Figures that the page showed before and does not
    show now are removed. A report that would become the same is left as it is.

    What somebody else has written there, or edited, is never replaced: it gets another name, and ``note`` is
    told. It is also told when the report was on another experiment until now.
    """
    memory, source = memory_of(out, record.name, format), source_of(record, vocabulary, format, now)
    drawn = Drawn.read(memory)
    if not (drawn and drawn.source == source and drawn.is_whole(out)):
        if drawn and drawn.run not in ("", record.parent_run_id):
            note(_replaced(out, drawn))
        drawn = _draw(record, vocabulary, out, format, now, source, note)
    elif any(out.glob(f"{DRAWING}*")):
        with _aside(out):  # of a command that was killed when all was in its place
            pass
    return out / drawn.page


def about_to_replace(out: Path, name: str, format: str, settings: str) -> str:
    """Says that a report of other settings is in the place of one with these; "" if that is not so."""
    drawn = Drawn.read(memory_of(out, name, format))
    return _replaced(out, drawn) if drawn and drawn.settings not in ("", settings) else ""


def _replaced(out: Path, drawn: Drawn) -> str:
    return (
        f"{out / drawn.page} is the report on another experiment of this name: settings, data or "
        f"folder differ (MLflow's run {drawn.run}). It is replaced. To keep both, give the spec another name."
    )


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
    note: Callable[[str], None],
) -> Drawn:
    # Here, because importing what draws takes longer than finding that nothing has to be drawn.
    from ablate.report.formats import FORMATS
    from ablate.report.index import write_index
    from ablate.report.ownership import Ours, make_way
    from ablate.report.results import gather

    results = gather(record, vocabulary, now)
    out.mkdir(parents=True, exist_ok=True)
    with _aside(out) as aside:
        ours = Ours(out, record.name)
        (aside / record.name).mkdir()
        shown = FORMATS[format](results, aside)
        files = _files(aside)
        settings = settings_of(record.spec, record.configs)
        drawn = Drawn(source, str(shown), digests(aside, files), record.parent_run_id, settings)
        for place, kept in make_way(out, files, ours).items():
            note(f"{place} was not as ablate wrote it: it is kept as {kept.name}")
        # Remembered before they move: after a kill in between, the files are still known as ablate's.
        memory = memory_of(out, record.name, format)
        coming = memory_of(out, record.name, f"{format}_coming")
        drawn.write(coming)
        _move(aside, out, files)
        for figure in ours.figures - set(files) if format == "markdown" else ():
            (out / figure).unlink(missing_ok=True)
        write_index(out, aside)
        coming.replace(memory)
        return drawn


def update_index(out: Path) -> None:
    """Write the folder's index again, after reports have come or gone."""
    from ablate.report.index import write_index

    with _aside(out) as aside:
        write_index(out, aside)


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """An empty folder in ``out``, for one process at a time. Clears away what killed ones have left."""
    with lock_at(out / ".drawing.lock"):
        for left in out.glob(f"{DRAWING}*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=DRAWING) as folder:
            yield Path(folder)


def _files(folder: Path) -> list[str]:
    """All files, those in subfolders first: a page is replaced when all that it shows is there."""
    files = sorted(
        (path.relative_to(folder) for path in folder.rglob("*") if path.is_file()),
        key=lambda file: (-len(file.parts), file),
    )
    return [file.as_posix() for file in files]


def _move(folder: Path, out: Path, files: list[str]) -> None:
    for file in files:
        (out / file).parent.mkdir(exist_ok=True)
        (folder / file).replace(out / file)
