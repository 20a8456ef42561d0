"""The synthetic experiments as fixtures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest
import synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.records import ExperimentRecord


class MakeRecord(Protocol):
    def __call__(
        self, *, variants: Sequence[str] = ..., seeds: Sequence[int] = ..., samples: bool = ...
    ) -> ExperimentRecord: ...


@pytest.fixture(autouse=True)
def _cheap_collection(cheap_collection: None) -> None:
    """Each report collects garbage, for its verdicts."""


@pytest.fixture
def make_record(tmp_path: Path) -> MakeRecord:
    """Builds the record of ``variants`` × ``seeds``; all runs finished, with tiny sample images."""
    return partial(synthetic.study, tmp_path)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> ExperimentRecord:
    """Five variants × eight seeds. Its sample images are those of all tests."""
    return synthetic.study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def coarse_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have few pixels, for tests that count none."""
    monkeypatch.setattr("ablate.report.drawing.DPI", 50)


@pytest.fixture
def factorial_record() -> ExperimentRecord:
    """LPIPS × EMA × guidance, four seeds."""
    return synthetic.factorial()


@pytest.fixture
def scheduler_record() -> ExperimentRecord:
    """Eight ways of sampling, four seeds."""
    return synthetic.schedulers()


@pytest.fixture
def noise_record() -> ExperimentRecord:
    """Three noises × four seeds, without an audit."""
    return synthetic.noises()


@pytest.fixture
def search_record(tmp_path: Path) -> ExperimentRecord:
    """Twenty trials with one objective; some were pruned, one has failed."""
    return synthetic.search(tmp_path)
