"""Whose files lie where a report has its place. What ablate did not write is never replaced or removed."""

from __future__ import annotations

import re
import tempfile
from typing import TYPE_CHECKING, Literal

from ablate.errors import UserError
from ablate.report.memory import Drawn, digests, page_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TABLES = ("runs.csv", "results.csv", "claims.csv")
"""What ``<name>/`` holds beside figures."""


class Ours:
    """The files of one report that ablate has written, in all formats.

    They are remembered with their digests. Older versions remembered nothing: a page that reads as a report
    is one, with what it shows.
    """

    def __init__(self, out: Path, name: str) -> None:
        self._out = out
        self.figures: set[str] = set()
        """Figures as the markdown page has them now."""
        self._written: dict[str, set[str]] = {}
        for memory in memories(out, name):
            drawn = Drawn.read(memory)
            for file, digest in drawn.files.items() if drawn else ():
                self._written.setdefault(file, set()).add(digest)
        page = out / page_of(name)
        self._older: set[str] = set()
        if page.name not in self._written and page.is_file() and _is_report(page):
            shown = re.findall(r"\]\(([^)]+)/([\w-]+\.png)\)", page.read_text("utf-8", errors="replace"))
            self._older = {page.name, *(f"{name}/{figure}" for _, figure in shown)}
            self._older |= {f"{name}/{table}" for table in TABLES}
        known = {*self._written, *self._older}
        self.figures = {file for file in known if file.endswith(".png") and self.whose(file) == "ours"}

    def whose(self, file: str) -> Literal["nobody", "ours", "edited", "foreign"]:
        """Who has written what lies in the place of a file of the report."""
        path = self._out / file
        if not path.exists() and not path.is_symlink():
            return "nobody"
        now = digests(self._out, [file]).get(file)
        if file in self._written and now is not None:
            return "ours" if now in self._written[file] else "edited"
        return "ours" if file in self._older and now is not None else "foreign"


def _is_report(page: Path) -> bool:
    from ablate.report.index import read_report  # which takes a moment

    return read_report(page) is not None


def memories(out: Path, name: str) -> list[Path]:
    """The hidden files that remember a report, one for each format, and what a killed command was writing."""
    pattern = rf"\.{re.escape(name)}\.\w+\.json"
    return [f for f in (out.iterdir() if out.is_dir() else ()) if re.fullmatch(pattern, f.name)]


def make_way(out: Path, files: Iterable[str], ours: Ours) -> dict[Path, Path]:
    """Renames what somebody else has written, or edited, in the place of one of ``files``: place → where it
    is now. Nothing is lost."""
    moved = {}
    for file in files:
        if ours.whose(file) in ("edited", "foreign"):
            moved[out / file] = (out / file).rename(_kept(out / file))
    return moved


def _kept(path: Path) -> Path:
    """A free name beside a file."""
    number, kept = 1, path.with_name(f"{path.stem}.kept{path.suffix}")
    while kept.exists() or kept.is_symlink():
        number += 1
        kept = path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
    return kept


def check_place(out: Path, name: str, format: str) -> None:
    """Looks, before there is any work, whether a report can be written there.

    Raises:
        UserError: a file that ablate did not write is in its place, or nothing can be written there.
    """
    fix = "Move it away, or choose another folder with --reports."
    folder = out
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    for place in (folder, out / name):
        if place.exists() and not place.is_dir():
            raise UserError("is a file where a folder of reports is needed", where=str(place), fix=fix)
    ours = Ours(out, name)
    pages = {"markdown": page_of(name), "html": f"{name}.html", "latex": f"{name}.tex"}
    for file in (pages.get(format, f"{name}/results.csv"), f"{name}/runs.csv"):
        if ours.whose(file) == "foreign":
            what = "was not written by ablate, and the report would replace it"
            raise UserError(what, where=str(out / file), fix=fix)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".drawing-"):
            pass
    except OSError as error:
        what = f"no report can be written there ({error.strerror})"
        raise UserError(what, where=str(out), fix="Choose another folder with --reports.") from error
