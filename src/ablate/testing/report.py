"""Contract of report sections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ablate.records import ExperimentRecord, RunRecord
from ablate.report.blocks import Block, Fold, Table, figures
from ablate.report.drawing import png
from ablate.report.formats import html, markdown
from ablate.report.results import gather
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ablate.report.section import Section

CONFIG = {"train": {"epochs": 2, "batch": 16}, "ema": None, "sample": {"steps": 12, "seed": None}}
VARIANTS: dict[str, dict[str, Any]] = {"plain": {}, "it": {"ema": {"decay": 0.9}}}
METRICS = {"fid": 0.5, "kid": 0.01, "clip_i": 0.8, "clip_t": 0.3, "seconds_per_image": 0.1}


def study() -> ExperimentRecord:
    """Two variants with two seeds, as MLflow would give them back."""
    curves = {"loss": [(0, 0.5), (1, 0.4)], "epoch_seconds": [(0, 1.0), (1, 1.0)]}
    runs = [
        RunRecord(
            variant,
            seed,
            f"{variant}{seed}",
            "FINISHED",
            metrics={key: value + 0.01 * seed + 0.001 * (variant == "it") for key, value in METRICS.items()},
            history=curves,
            links=(f"{variant}{seed}0", f"{variant}{seed}1"),
            steps_per_epoch=2,
            feature_space="some features",
            evaluator="some evaluator",
        )
        for variant in VARIANTS
        for seed in (0, 1)
    ]
    spec = {"question": "Does it help?", "baseline": "plain", "variants": VARIANTS, "seeds": [0, 1]}
    configs = {variant: CONFIG | overrides for variant, overrides in VARIANTS.items()}
    return ExperimentRecord("study", spec, configs, "parent", "1", runs, {"commit": "0" * 40})


def records() -> dict[str, ExperimentRecord]:
    """Records that a section may meet, down to one without anything."""
    whole = study()
    failed = [replace(run, status="FAILED", reason="it failed", metrics={}) for run in whole.runs]
    bare = {"question": "?", "baseline": "plain", "variants": {}, "seeds": []}
    return {
        "a study": whole,
        "one run": replace(whole, runs=whole.runs[:1]),
        "failed runs": replace(whole, runs=failed),
        "no run": replace(whole, runs=[]),
        "nothing": replace(whole, spec=bare, configs={}, runs=[], provenance={}),
    }


def every(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks and those in folds."""
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from every(block.blocks)


class SectionContract:
    """For a fixture ``section``: an object of the class."""

    def test_it_gives_blocks_for_every_record_and_a_table_has_cells_for_its_head(
        self, section: Section
    ) -> None:
        for name, record in records().items():
            blocks = section.blocks(gather(record, OWN))
            assert isinstance(blocks, list), name
            assert all(isinstance(block, Block) for block in every(blocks)), name
            tables = [block for block in every(blocks) if isinstance(block, Table)]
            assert all(len(row) == len(table.head or row) for table in tables for row in table.rows), name

    def test_every_format_writes_it_and_its_figures_can_be_drawn(self, section: Section) -> None:
        blocks = section.blocks(gather(study(), OWN))
        if blocks:
            assert markdown.render(blocks, "study").strip()
            assert html.render(blocks, "study").strip()
        assert all(png(figure.draw) for figure in figures(blocks))

    def test_it_says_the_same_again(self, section: Section) -> None:
        results = gather(study(), OWN)
        first, second = (markdown.render(section.blocks(results), "study") for _ in range(2))
        assert first == second
