"""What a report leaves on the disk: pages, figures and tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from filelock import SoftFileLease
from synthetic import gathered, written

from ablate.locks import LEASE
from ablate.report.formats.latex import escape
from ablate.report.write import _aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("blank_figures")


def test_report_and_figures_lie_where_they_are_linked_and_nothing_else_does(
    record: ExperimentRecord, tmp_path: Path
) -> None:
    out = tmp_path / "reports"
    page = written(record, out)
    assert page == out / "synthetic.md"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    figures = {f"synthetic/{name}.png" for name in ("metrics", "differences", "samples", "losses")}
    memory, lock = ".synthetic.markdown.json", ".drawing.lock"
    assert files == {"README.md", lock, memory, "synthetic.md", "synthetic/runs.csv", *figures}
    assert all(f"]({figure})" in page.read_text("utf-8") for figure in figures)


def test_where_machines_share_the_folder_reports_are_drawn_under_a_lease(nfs: Path) -> None:
    with _aside(nfs):
        assert SoftFileLease(nfs / ".drawing.lock", lease_duration=LEASE).owner
    assert not any(nfs.iterdir())


def test_a_figure_that_is_no_longer_drawn_is_removed(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(variants=["none"], seeds=[0])
    written(record, tmp_path / "out")
    written(replace(record, runs=[replace(run, samples=None) for run in record.runs]), tmp_path / "out")
    assert not (tmp_path / "out" / "synthetic" / "samples.png").exists()
    assert (tmp_path / "out" / "synthetic" / "metrics.png").exists()


def test_a_picture_that_the_report_did_not_make_stays(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(variants=["none"], seeds=[0], samples=False)
    written(record, tmp_path / "out")
    mine = tmp_path / "out" / "synthetic" / "mine.png"
    mine.write_bytes(b"mine")
    written(replace(record, runs=[]), tmp_path / "out")
    assert mine.exists()
    assert not (tmp_path / "out" / "synthetic" / "metrics.png").exists()


def test_an_error_while_drawing_leaves_the_old_report_whole(
    make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_record(variants=["none"], seeds=[0])
    page = written(record, tmp_path / "out")
    before = page.read_bytes()

    def broken(*_: object) -> None:
        raise RuntimeError("disk is full")

    monkeypatch.setattr("ablate.report.formats.markdown.render", broken)
    with pytest.raises(RuntimeError, match="disk is full"):
        written(replace(record, runs=[]), tmp_path / "out")
    assert page.read_bytes() == before
    files = {".drawing.lock", ".synthetic.markdown.json", "README.md", "synthetic.md", "synthetic"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The figures that were drawn."""
    drawn: list[str] = []

    def png(draw: object) -> bytes:
        drawn.append(str(draw))
        return b"figure"

    monkeypatch.setattr("ablate.report.formats.markdown.png", png)
    return drawn


def test_a_report_that_would_become_the_same_is_not_drawn_again(
    make_record: MakeRecord, tmp_path: Path, drawings: list[str]
) -> None:
    record, out = make_record(variants=["none"], seeds=[0]), tmp_path / "out"
    page = written(record, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    count = len(drawings)
    assert count
    assert written(record, out) == page
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert len(drawings) == count


def test_what_a_killed_command_was_drawing_is_cleared_away_where_nothing_has_to_be_drawn(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record = make_record(variants=["none"], seeds=[0])
    written(record, tmp_path)
    (tmp_path / ".drawing-left").mkdir()
    written(record, tmp_path)
    assert not list(tmp_path.glob(".drawing-*"))


def test_a_report_is_drawn_again_if_anything_has_changed(
    make_record: MakeRecord, tmp_path: Path, drawings: list[str]
) -> None:
    record, out = make_record(variants=["none"], seeds=[0]), tmp_path / "out"
    page = written(record, out)

    def draws(changed: ExperimentRecord = record, now: datetime | None = None) -> bool:
        before = len(drawings)
        written(changed, out, now=now)
        return len(drawings) > before

    assert not draws()
    page.write_text("edited", encoding="utf-8")
    assert draws() and page.read_text("utf-8") != "edited"
    (out / "synthetic" / "metrics.png").unlink()
    assert draws() and (out / "synthetic" / "metrics.png").exists()
    (out / ".synthetic.markdown.json").write_text("{")
    assert draws()
    assert draws(now=NOON)
    assert draws(replace(record, provenance={**record.provenance, "commit": "another"}))
    samples = record.runs[0].samples
    assert samples and draws() and not draws()
    next(samples.iterdir()).write_bytes(b"another")
    assert draws() and not draws()


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_of_runs_holds_the_figures_unrounded(record: ExperimentRecord, tmp_path: Path) -> None:
    written(record, tmp_path, format="csv")
    table = pd.read_csv(tmp_path / "synthetic" / "runs.csv")
    assert list(table["run_id"]) == [run.run_id for run in record.runs]
    assert list(table["fid"]) == pytest.approx([run.metrics["fid"] for run in record.runs], rel=1e-12)


def test_the_table_of_results_has_a_row_for_each_variant_and_metric(
    record: ExperimentRecord, tmp_path: Path
) -> None:
    folder = written(record, tmp_path, format="csv")
    assert folder == tmp_path / "synthetic"
    table = pd.read_csv(folder / "results.csv").set_index(["metric", "variant"])
    assert len(table) == 6 * 5
    fid = gathered(record).metrics[0]
    row = table.loc[("fid", "from-start")]
    interval, difference = fid.intervals["from-start"], fid.differences["from-start"]
    assert row["n"] == 8
    assert row["mean"] == pytest.approx(interval.mean, rel=1e-7)
    assert row["difference_low"] == pytest.approx(difference.low, rel=1e-7)
    assert row["p"] == pytest.approx(difference.p)
    assert pd.isna(table.loc[("fid", "none"), "difference"])


def test_the_table_of_claims_is_as_the_golden_file(
    record: ExperimentRecord, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    golden("report-claims.csv", (written(record, tmp_path, format="csv") / "claims.csv").read_text())


# ── LaTeX ────────────────────────────────────────────────────────────────────────────────────────


def test_the_latex_document_is_as_the_golden_file(
    record: ExperimentRecord, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    page = written(record, tmp_path, format="latex", now=NOON)
    assert page == tmp_path / "synthetic.tex"
    golden("report.tex", page.read_text("utf-8"))


def test_the_latex_document_says_when_claims_are_judged_and_what_must_be_known_before(
    record: ExperimentRecord, tmp_path: Path
) -> None:
    planned = replace(record, findings=None, spec={**record.spec, "looks": [4, 8]})
    text = written(planned, tmp_path, format="latex").read_text("utf-8")
    assert "The claims are judged at 2 planned looks, after 4 and 8 seeds" in text
    assert r"\noindent \textbf{Note.} This experiment ran without an audit." in text


def test_every_character_of_a_claim_is_shown_as_it_is(record: ExperimentRecord, tmp_path: Path) -> None:
    claim = {**record.spec["claims"][0], "text": r"50 % of \{a_b} & c#d ~ $x^2$ [1] <2>"}
    spec = {**record.spec, "claims": [claim]}
    text = written(replace(record, spec=spec), tmp_path, format="latex").read_text("utf-8")
    assert (
        r"50 \% of \textbackslash{}\{a\_b\} \& c\#d \textasciitilde{} \$x\textasciicircum{}2\$ {[}1] "
        r"\textless{}2\textgreater{}"
    ) in text
    assert escape("−0.3 ± 1\u202f000 ↓") == (
        r"\ensuremath{-}0.3 \ensuremath{\pm} 1\,000 \ensuremath{\downarrow}"
    )


def test_letters_that_latex_s_fonts_lack_are_shown_by_their_number() -> None:
    assert escape("é ő „ σ ≈ 猫 … ‘x’") == (
        r"é ő \texttt{U+201E} \texttt{U+03C3} \texttt{U+2248} \texttt{U+732B} … ‘x’"
    )


def test_tables_without_rows_have_a_head(record: ExperimentRecord, tmp_path: Path) -> None:
    empty = replace(record, runs=[], spec={**record.spec, "claims": []})
    folder = written(empty, tmp_path, format="csv")
    for name in ("claims.csv", "runs.csv"):
        table = pd.read_csv(folder / name)
        assert len(table) == 0 and len(table.columns)


@pytest.mark.parametrize("form", ["latex", "csv", "html"])
def test_an_experiment_without_a_run_or_a_claim_has_tables_too(
    record: ExperimentRecord, tmp_path: Path, form: str
) -> None:
    empty = replace(record, runs=[], spec={**record.spec, "claims": []})
    assert written(empty, tmp_path, format=form).exists()
