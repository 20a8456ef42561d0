"""The index of a folder of reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from synthetic import written

from ablate.report.index import read_report, write_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("blank_figures")


def test_the_index_is_as_the_golden_file_whatever_the_order_of_writing(
    make_record: MakeRecord,
    noise_record: ExperimentRecord,
    tmp_path: Path,
    golden: Callable[[str, str], None],
) -> None:
    records = [make_record(samples=False), noise_record]
    pages = []
    for number, order in enumerate((records, records[::-1])):
        for record in order:
            written(record, tmp_path / str(number), now=NOON)
        pages.append((tmp_path / str(number) / "README.md").read_text("utf-8"))
    assert pages[0] == pages[1]
    golden("report-index.md", pages[0])


def test_a_report_that_was_removed_leaves_the_index(noise_record: ExperimentRecord, tmp_path: Path) -> None:
    written(noise_record, tmp_path, now=NOON)
    written(replace(noise_record, name="other"), tmp_path, now=NOON)
    (tmp_path / "other.md").unlink()
    (tmp_path / "aside").mkdir()
    write_index(tmp_path, tmp_path / "aside")
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "noises.md" in text
    assert "other.md" not in text


def test_a_report_on_an_experiment_called_readme_is_not_the_index(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    """Where file names do not tell upper from lower case, ``readme.md`` would be it."""
    record = replace(make_record(variants=["none"], seeds=[0], samples=False), name="readme")
    page = written(record, tmp_path)
    assert page.name == "readme-report.md"
    index = (tmp_path / "README.md").read_text("utf-8")
    assert "[readme](readme-report.md)" in index
    assert len({path.name.lower() for path in tmp_path.glob("*.md")}) == 2


def test_a_claim_is_read_from_its_page_as_it_was_written(record: ExperimentRecord, tmp_path: Path) -> None:
    claim = {**record.spec["claims"][0], "text": "a | b is\n better than <c> | d"}
    runs = [replace(run, samples=None) for run in record.runs]
    page = written(replace(record, runs=runs, spec={**record.spec, "claims": [claim]}), tmp_path)
    report = read_report(page)
    assert report is not None
    ((text, tested, verdict),) = report.claims
    assert (text, verdict) == ("a | b is better than &lt;c> | d", "supported")
    assert tested == f"FID (sprites-clip): {claim['variant']} {claim['direction']} than {claim['against']}"
    assert "a \\| b is better than &lt;c> \\| d" in (tmp_path / "README.md").read_text("utf-8")


def test_a_readme_that_is_no_index_stays_as_it_is(noise_record: ExperimentRecord, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project\n")
    written(noise_record, tmp_path, now=NOON)
    assert (tmp_path / "README.md").read_text() == "# My project\n"


def test_other_pages_in_the_folder_are_no_reports(noise_record: ExperimentRecord, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# notes\n\nNothing here was measured.\n")
    page = written(noise_record, tmp_path, now=NOON)
    (tmp_path / "copy.md").write_text(page.read_text("utf-8"))
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "notes" not in text
    assert text.count("(noises.md)") == 1
    assert "copy" not in text


def test_a_folder_without_a_page_gets_no_index(noise_record: ExperimentRecord, tmp_path: Path) -> None:
    written(noise_record, tmp_path, format="csv")
    assert not (tmp_path / "README.md").exists()
