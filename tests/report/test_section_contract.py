"""What every section promises, whatever the record: blocks, and nothing else."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import synthetic
from synthetic import gathered

import ablate.report
from ablate.report.blocks import Block, Fold, Heading, Table, Text, figures
from ablate.report.formats import html, markdown
from ablate.report.results import gather
from ablate.report.section import Section
from ablate.report.sections import SECTIONS, page
from ablate.testing import SectionContract
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ablate.records import ExperimentRecord
    from ablate.report.results import Results

KINDS = get_args(Block)


def study(folder: Path) -> ExperimentRecord:
    return synthetic.study(folder, samples=False)


def bare(folder: Path) -> ExperimentRecord:
    """Nothing but a question and a baseline."""
    spec = {"question": "?", "baseline": "none", "variants": {}, "seeds": []}
    empty = replace(study(folder), spec=spec, configs={}, runs=[], provenance={}, findings=None)
    return replace(empty, verified=None)


RECORDS: dict[str, Callable[[Path], ExperimentRecord]] = {
    "a study": study,
    "a study without a run": lambda folder: replace(study(folder), runs=[]),
    "one run": lambda folder: synthetic.study(folder, variants=["none"], seeds=[0], samples=True),
    "failed runs": lambda folder: replace(
        study(folder), runs=[replace(run, status="FAILED", metrics={}) for run in study(folder).runs]
    ),
    "a factorial design": lambda _: synthetic.factorial(),
    "a factorial design without a run": lambda _: replace(synthetic.factorial(), runs=[]),
    "schedulers": lambda _: synthetic.schedulers(),
    "noises": lambda _: synthetic.noises(),
    "a search": lambda _: synthetic.search(),
    "a search for two objectives": lambda folder: synthetic.search(folder, ["fid", "seconds_per_image"]),
    "a search without a run": lambda _: replace(synthetic.search(), runs=[]),
    "nothing": bare,
}


def every(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from every(block.blocks)


@pytest.mark.parametrize("record", RECORDS)
def test_every_section_gives_blocks_and_a_table_has_cells_for_its_head(record: str, tmp_path: Path) -> None:
    results = gathered(RECORDS[record](tmp_path))
    for name, section in SECTIONS.items():
        assert section.name == name
        blocks = section.blocks(results)
        assert isinstance(blocks, list)
        assert all(isinstance(block, KINDS) for block in every(blocks)), name
        tables = [block for block in every(blocks) if isinstance(block, Table)]
        assert all(len(row) == len(table.head or row) for table in tables for row in table.rows), name


@pytest.mark.parametrize("record", RECORDS)
def test_a_page_has_each_figure_and_each_heading_once(record: str, tmp_path: Path) -> None:
    blocks = page(gathered(RECORDS[record](tmp_path)))
    names = [figure.name for figure in figures(blocks)]
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    assert len(names) == len(set(names))
    assert len(headings) == len(set(headings))


def test_without_a_run_no_section_has_a_figure(tmp_path: Path) -> None:
    assert list(figures(page(gathered(bare(tmp_path))))) == []


class TestSections(SectionContract):
    @pytest.fixture(params=SECTIONS.values(), ids=list(SECTIONS))
    def section(self, request: pytest.FixtureRequest) -> Section:
        return request.param


class Weather(Section):
    name = "weather"

    def blocks(self, results: Results) -> list[Block]:
        return [Heading("Weather"), Text(f"Dry, for {len(results.seeds)} seeds.")]


class Storm(Section):
    name = "storm"

    def blocks(self, results: Results) -> list[Block]:
        raise ZeroDivisionError("wind / 0")


def test_a_section_of_a_plug_in_stands_before_the_gaps_and_the_provenance(tmp_path: Path) -> None:
    results = gather(bare(tmp_path), replace(OWN, sections={"weather": Weather()}))
    text = markdown.render(page(results), "x")
    assert "## Weather\n\nDry, for 0 seeds.\n\n## Where the numbers come from" in text
    assert '<h2 id="weather">Weather</h2>' in html.render(page(results), "x")


def test_a_section_of_a_plug_in_that_fails_costs_no_other_section(tmp_path: Path) -> None:
    record = bare(tmp_path)
    results = gather(record, replace(OWN, sections={"storm": Storm(), "weather": Weather()}))
    text = markdown.render(page(results), "x")
    assert "> **Note.** Section `storm` failed at `storm`: ZeroDivisionError: wind / 0" in text
    assert "## Weather" in text


# ── the files of the report ──────────────────────────────────────────────────────────────────────


def imported(file: Path, root: Path) -> Iterator[Path]:
    """The files of the report that ``file`` imports, for types only too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ablate.report"):
            folder = root.joinpath(*str(node.module).split(".")[2:])
            for name in node.names:
                places = (folder / f"{name.name}.py", folder.with_suffix(".py"), folder / "__init__.py")
                yield next(place for place in places if place.is_file())


def test_no_files_of_the_report_import_each_other_in_a_circle() -> None:
    root = Path(str(ablate.report.__file__)).parent
    left = {file: set(imported(file, root)) for file in root.rglob("*.py")}
    while free := [file for file, needs in left.items() if not needs & left.keys()]:
        for file in free:
            del left[file]
    assert not left
