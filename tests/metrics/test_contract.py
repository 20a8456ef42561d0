"""What every metric promises: of a set, of single images, or a cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ablate.metrics import COSTS, METRICS
from ablate.metrics.accuracy import accuracies
from ablate.testing import MetricContract
from ablate.testing.metrics import LABELS, Spaces, blurred, figure_of, perfect

if TYPE_CHECKING:
    from ablate.metrics.base import Figure, Metric

EVERY: dict[str, Metric] = METRICS | accuracies(LABELS)
FIGURES: dict[str, Figure] = METRICS | COSTS

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Matrix is singular"),
]


class TestMetrics(MetricContract):
    @pytest.fixture(params=EVERY.values(), ids=list(EVERY))
    def metric(self, request: pytest.FixtureRequest) -> Metric:
        return request.param

    def test_what_is_the_same_as_the_real_images_is_better_than_what_is_not(self, metric: Metric) -> None:
        best, worse = (figure_of(metric, measured) for measured in (perfect(), blurred(perfect(), 0.9)))
        assert (best < worse) if metric.lower_is_better else (best > worse)


@pytest.mark.parametrize("kind", [METRICS, COSTS, EVERY], ids=["metrics", "costs", "accuracies too"])
def test_each_key_is_that_of_its_figure(kind: dict[str, Figure]) -> None:
    assert list(kind) == [figure.key for figure in kind.values()]


def test_no_two_figures_share_a_key_or_a_label() -> None:
    assert len(FIGURES) == len(METRICS) + len(COSTS)
    assert len({figure.label for figure in FIGURES.values()}) == len(FIGURES)


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_it_has_a_label_a_direction_and_a_space_of_the_run_or_none(figure: Figure) -> None:
    assert figure.label.strip()
    assert isinstance(figure.lower_is_better, bool)
    assert figure.space(Spaces()) in {"some features", "some evaluator", None}


def test_only_costs_have_no_space() -> None:
    assert {key for key, figure in FIGURES.items() if figure.space(Spaces()) is None} == set(COSTS)
