"""A report never replaces what somebody else has written, and says what it does replace."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from synthetic import written

from ablate.errors import UserError
from ablate.experiment.load import load_experiment
from ablate.report import write
from ablate.report.memory import settings_of
from ablate.report.ownership import check_place
from ablate.report.write import about_to_replace, write_report
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord
    from tests.conftest import Ablate

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def record(make_record: MakeRecord) -> ExperimentRecord:
    return make_record(variants=["none"], seeds=[0], samples=False)


def again(record: ExperimentRecord, out: Path) -> list[str]:
    """Writes the report once more, of other results; gives what was said."""
    said: list[str] = []
    write_report(replace(record, provenance={"commit": "another"}), OWN, out, note=said.append)
    return said


@pytest.mark.parametrize("name", ["synthetic.md", "synthetic/runs.csv", "synthetic/metrics.png"])
def test_what_somebody_has_edited_is_kept_under_another_name(
    record: ExperimentRecord, tmp_path: Path, name: str
) -> None:
    written(record, tmp_path)
    (tmp_path / name).write_text("mine")
    said = again(record, tmp_path)
    kept = (tmp_path / name).with_name((tmp_path / name).stem + ".kept" + (tmp_path / name).suffix)
    assert kept.read_text() == "mine" and kept.name in said[0]
    assert (tmp_path / name).read_bytes() != b"mine"
    (tmp_path / name).write_text("mine too")
    again(record, tmp_path)
    assert kept.read_text() == "mine"
    assert kept.with_name(kept.stem + "-2" + kept.suffix).read_text() == "mine too"


@pytest.mark.parametrize("before", ["no report", "another report"])
def test_files_of_a_report_that_was_killed_on_the_way_to_their_place_are_known_as_its_own(
    record: ExperimentRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    def move_half(folder: Path, out: Path, files: list[str]) -> None:
        move(folder, out, files[: len(files) // 2 + 1])
        raise KeyboardInterrupt

    if before == "another report":
        again(record, tmp_path)
    move = write._move
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ablate.report.write._move", move_half)
        written(record, tmp_path)
    check_place(tmp_path, "synthetic", "markdown")
    assert again(record, tmp_path) == []
    assert not list(tmp_path.rglob("*.kept*"))


def test_a_picture_that_was_there_first_is_kept(record: ExperimentRecord, tmp_path: Path) -> None:
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "metrics.png").write_bytes(b"mine")
    written(record, tmp_path)
    assert (tmp_path / "synthetic" / "metrics.kept.png").read_bytes() == b"mine"


def test_a_report_of_an_older_version_is_replaced(record: ExperimentRecord, tmp_path: Path) -> None:
    written(record, tmp_path)
    (tmp_path / ".synthetic.markdown.json").unlink()
    check_place(tmp_path, "synthetic", "markdown")
    assert again(record, tmp_path) == []
    assert not list(tmp_path.rglob("*.kept*"))


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("markdown", "mine.md"),
        ("markdown", "mine/runs.csv"),
        ("html", "mine.html"),
        ("latex", "mine.tex"),
        ("csv", "mine/results.csv"),
        ("markdown", "mine"),
    ],
)
def test_a_file_of_somebody_else_in_the_place_of_a_page_is_refused(
    tmp_path: Path, format: str, name: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError) as error:
        check_place(tmp_path, "mine", format)
    assert error.value.where == str(tmp_path / name) and "--reports" in error.value.fix


def test_a_file_or_a_place_that_cannot_be_written_is_no_folder_of_reports(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "reports"):
        with pytest.raises(UserError):
            check_place(place, "mine", "markdown")


def test_an_index_with_a_line_of_somebody_else_stays(record: ExperimentRecord, tmp_path: Path) -> None:
    written(record, tmp_path)
    index = tmp_path / "README.md"
    edited = index.read_text() + "\nMine.\n"
    index.write_text(edited)
    written(replace(record, name="other"), tmp_path)
    assert index.read_text() == edited


def test_files_that_are_no_reports_end_nothing(record: ExperimentRecord, tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "README.md").mkdir()
    (tmp_path / "bytes.md").write_bytes(b"# \xff\xfe")
    (tmp_path / "lost.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "summary.json").write_text('{"a": 1}')
    (tmp_path / "summary.json").write_text("[")
    (tmp_path / ".synthetic.markdown.json").write_text("{")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json") if path.name == "summary.json"}
    written(record, tmp_path)
    assert (tmp_path / "synthetic.md").is_file() and (tmp_path / "README.md").is_dir()
    assert {path: path.read_bytes() for path in before} == before


def test_a_report_on_another_experiment_of_the_name_is_replaced_and_that_is_said(
    record: ExperimentRecord, tmp_path: Path
) -> None:
    written(record, tmp_path)
    other = replace(record, parent_run_id="another", spec={**record.spec, "seeds": [0, 1]})
    settings = settings_of(other.spec, other.configs)
    assert record.parent_run_id in about_to_replace(tmp_path, "synthetic", "markdown", settings)
    assert not about_to_replace(tmp_path, "synthetic", "markdown", settings_of(record.spec, record.configs))
    said: list[str] = []
    write_report(other, OWN, tmp_path, note=said.append)
    assert "is the report on another experiment of this name" in said[0]


# ── before the work ──────────────────────────────────────────────────────────────────────────────


def test_a_run_is_refused_before_its_work_where_its_report_would_replace_a_file(
    make_workplace: Callable[..., Path], ablate: Ablate, data_folder: Path, tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    (folder / "tiny.md").write_text("# mine\n")
    done = ablate("run", "tiny.yaml", "--reports", ".", folder=folder)
    assert done.code == 2 and "tiny.md: was not written by ablate" in done.err
    assert (folder / "tiny.md").read_text() == "# mine\n"
    (folder / "tiny.md").unlink()
    shutil.copytree(data_folder, folder / "tiny")
    done = ablate("run", "tiny.yaml", "--reports", ".", "--set", "data.path=tiny", folder=folder)
    assert done.code == 2 and "figures would be written into the data" in done.err
    assert load_experiment(folder / "tiny.yaml").file == folder / "tiny.yaml"
    assert not (folder / ".ablate" / "train").exists()
