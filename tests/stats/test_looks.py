"""Claims judged at several looks: what each may spend, which verdict stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.stats import Look, Question, Verdict, judge, judge_at_looks, spend

CLEAR = (1.0, 1.1, 0.9, 1.2, 0.8, 1.0)
"""Differences that six seeds decide at 0.05."""


def test_a_look_spends_alpha_in_proportion_to_the_seeds_that_it_adds() -> None:
    assert spend((6, 9, 12), 0.06) == (
        Look(6, pytest.approx(0.03)),
        Look(9, pytest.approx(0.015)),
        Look(12, pytest.approx(0.015)),
    )
    assert spend((8,), 0.05) == (Look(8, 0.05),)


@given(st.lists(st.integers(1, 1000), min_size=1, unique=True).map(sorted), st.floats(0.001, 0.999))
def test_all_looks_together_spend_alpha(counts: list[int], alpha: float) -> None:
    assert sum(look.alpha for look in spend(counts, alpha)) == pytest.approx(alpha)


@pytest.mark.parametrize("counts", [(), (0, 3), (6, 6), (9, 6)])
def test_looks_that_do_not_rise_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="that rise"):
        spend(counts, 0.05)


@pytest.mark.parametrize(
    ("level", "verdict", "stands"),
    [
        pytest.param(0.04, Verdict.SUPPORTED, 0, id="a verdict of an earlier look stays"),
        pytest.param(0.03, Verdict.INCONCLUSIVE, 1, id="what no look decides is described by the last one"),
    ],
)
def test_the_first_look_that_decides_stands_or_else_the_last(
    level: float, verdict: Verdict, stands: int
) -> None:
    looks = (Look(6, level), Look(8, 0.01))
    questions = [Question(CLEAR, "higher")], [Question((*CLEAR, -9.0, -9.0), "higher")]
    ((judgement, look),) = judge_at_looks(questions, looks)
    assert (judgement.verdict, look) == (verdict, looks[stands])
    assert judgement == judge(questions[stands], look.alpha)[0]
