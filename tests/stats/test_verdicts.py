"""Verdicts: what each kind of claim means, the correction, and what is said beside the verdict."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.stats import (
    Direction,
    Judgement,
    Question,
    Verdict,
    bca_interval,
    detectable_effect,
    judge,
    mean_difference,
    seeds_needed,
    sign_flip_p,
)
from ablate.stats.verdicts import Evidence, conclude, tost_p

CLEAR = (0.9, 1.1, 1.0, 1.2, 0.8, 1.05, 0.95, 1.0)
"""Eight differences around 1."""

numbers = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
margins = st.floats(0.1, 50).map(lambda x: round(x, 3))
samples = st.lists(numbers, min_size=2, max_size=7).map(tuple)


def alone(differences: tuple[float, ...], direction: Direction, margin: float = 0.0) -> Judgement:
    (judgement,) = judge([Question(differences, direction, margin)])
    return judgement


@pytest.mark.parametrize(
    ("direction", "margin", "verdict"),
    [
        ("higher", 0.0, Verdict.SUPPORTED),
        ("lower", 0.0, Verdict.REFUTED),
        ("higher", 0.5, Verdict.SUPPORTED),
        ("higher", 1.0, Verdict.INCONCLUSIVE),  # is 1 at least 1? Not told apart
        ("higher", 1.5, Verdict.REFUTED),
        ("lower", 0.5, Verdict.REFUTED),
        ("equal", 2.0, Verdict.SUPPORTED),
        ("equal", 1.05, Verdict.INCONCLUSIVE),
        ("equal", 0.5, Verdict.REFUTED),
    ],
)
def test_what_a_clear_difference_of_1_says(direction: Direction, margin: float, verdict: Verdict) -> None:
    assert alone(CLEAR, direction, margin).verdict is verdict


@settings(max_examples=40)  # of four judgements each
@given(samples, margins)
def test_claims_are_mirrored_with_the_differences(d: tuple[float, ...], margin: float) -> None:
    mirrored = tuple(-x for x in d)
    for one, other in (
        (alone(d, "higher", margin), alone(mirrored, "lower", margin)),
        (alone(d, "equal", margin), alone(mirrored, "equal", margin)),
    ):
        assert (one.verdict, one.test) == (other.verdict, other.test)
        assert one.p == pytest.approx(other.p)


@settings(max_examples=50)
@given(samples)
def test_what_supports_higher_refutes_lower(d: tuple[float, ...]) -> None:
    opposite = {Verdict.SUPPORTED: Verdict.REFUTED, Verdict.REFUTED: Verdict.SUPPORTED}
    higher, lower = alone(d, "higher"), alone(d, "lower")
    assert lower.verdict is opposite.get(higher.verdict, Verdict.INCONCLUSIVE)
    assert lower.p == higher.p == sign_flip_p(d)


@settings(max_examples=50)
@given(samples, margins)
def test_no_two_claims_that_exclude_each_other_are_both_supported(
    d: tuple[float, ...], margin: float
) -> None:
    questions = [Question(d, "higher", margin), Question(d, "lower", margin), Question(d, "equal", margin)]
    supported = [judgement.verdict is Verdict.SUPPORTED for judgement in judge(questions, alpha=0.4)]
    assert sum(supported) <= 1


def test_directions_are_tested_by_flipping_signs_around_the_margin() -> None:
    d = (0.3, 1.7, 0.9, 1.1, -0.2, 1.4)
    assert alone(d, "higher", 0.25).p == sign_flip_p([x - 0.25 for x in d])
    assert alone(d, "lower", 0.25).p == sign_flip_p([x + 0.25 for x in d])
    assert alone(d, "higher").p == mean_difference(d).p
    assert alone(d, "lower").test == "sign-flip"


def test_equal_is_supported_by_two_one_sided_t_tests() -> None:
    from scipy import stats

    d = (0.3, -0.2, 0.1, 0.25, -0.15, 0.05)
    below = stats.ttest_1samp(d, -0.4, alternative="greater").pvalue
    above = stats.ttest_1samp(d, 0.4, alternative="less").pvalue
    judgement = alone(d, "equal", 0.4)
    assert judgement.p == pytest.approx(max(below, above))
    assert (judgement.test, judgement.verdict) == ("TOST", Verdict.SUPPORTED)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_equal_is_refuted_by_flipping_signs_around_the_margin_that_the_mean_is_beyond(sign: float) -> None:
    d = tuple(sign * x for x in (0.8, 1.7, 0.9, 1.1, 0.6, 1.4))
    judgement = alone(d, "equal", 0.7)
    assert judgement.p == sign_flip_p([abs(x) - 0.7 for x in d]) == 6 / 64
    assert (judgement.test, judgement.verdict) == ("sign-flip", Verdict.INCONCLUSIVE)
    assert alone(d, "equal", 0.5).verdict is Verdict.REFUTED


class TestCorrection:
    def test_it_is_holms(self) -> None:
        # Holm 1979 by hand: 4 · 0.01, 3 · 0.02 carried over to 2 · 0.025, then 0.5.
        evidence = [Evidence(p, "sign-flip", Verdict.SUPPORTED) for p in (0.5, 0.01, 0.025, 0.02)]
        corrected = [p for p, _ in conclude(evidence, 0.05)]
        assert corrected == pytest.approx([0.5, 0.04, 0.06, 0.06])

    def test_a_corrected_p_of_exactly_alpha_decides(self) -> None:
        evidence = [Evidence(p, "sign-flip", Verdict.REFUTED) for p in (1 / 32, 1.0)]
        assert conclude(evidence, 1 / 16) == [(1 / 16, Verdict.REFUTED), (1.0, Verdict.INCONCLUSIVE)]

    def test_six_seeds_decide_one_claim_and_eight_decide_four(self) -> None:
        six, eight = Question(CLEAR[:6], "higher"), Question(CLEAR, "higher")
        assert [j.verdict for j in judge([six])] == [Verdict.SUPPORTED]
        assert [j.verdict for j in judge([six] * 4)] == [Verdict.INCONCLUSIVE] * 4
        assert [j.verdict for j in judge([eight] * 4)] == [Verdict.SUPPORTED] * 4

    def test_a_question_that_cannot_be_answered_still_counts(self) -> None:
        clear = Question(CLEAR[:6], "higher")
        unanswered = Question((), "lower")
        first, *rest = judge([clear, unanswered, unanswered])
        assert (first.p, first.p_corrected) == (1 / 32, 3 / 32)
        assert first.verdict is Verdict.INCONCLUSIVE
        assert all((j.verdict, j.p, j.p_corrected) == (Verdict.INCONCLUSIVE, 1, 1) for j in rest)

    @settings(deadline=None, max_examples=30)
    @given(st.lists(samples, min_size=1, max_size=5), st.data())
    def test_the_order_of_questions_does_not_matter(
        self, many: list[tuple[float, ...]], data: st.DataObject
    ) -> None:
        questions = [Question(d, "higher") for d in many]
        order = data.draw(st.permutations(range(len(questions))))
        judged = judge(questions)
        again = judge([questions[i] for i in order])
        assert [j.p_corrected for j in again] == [judged[i].p_corrected for i in order]
        assert all(j.p <= j.p_corrected <= 1 for j in judged)

    def test_no_questions_have_no_judgements(self) -> None:
        assert judge([]) == []

    @pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
    def test_alpha_outside_0_and_1_is_refused(self, alpha: float) -> None:
        with pytest.raises(ValueError, match="alpha"):
            judge([Question(CLEAR, "higher")], alpha)


class TestFewOrEqualDifferences:
    @pytest.mark.parametrize(("direction", "test"), [("higher", "sign-flip"), ("equal", "TOST")])
    @pytest.mark.parametrize("differences", [(), (3.0,)])
    def test_fewer_than_two_differences_are_inconclusive(
        self, differences: tuple[float, ...], direction: Direction, test: str
    ) -> None:
        judgement = alone(differences, direction, 1.0)
        assert (judgement.verdict, judgement.p, judgement.test) == (Verdict.INCONCLUSIVE, 1.0, test)
        assert math.isnan(judgement.detectable)
        assert judgement.seeds_needed is None

    def test_no_differences_are_not_described_and_one_has_no_bounds(self) -> None:
        none, one = alone((), "higher"), alone((3.0,), "higher")
        assert none.difference is None
        assert none.bca is None
        assert one.difference is not None
        assert one.bca is not None
        assert one.difference.mean == one.bca.mean == 3
        assert math.isnan(one.difference.low)
        assert math.isnan(one.bca.low)

    @pytest.mark.parametrize("direction", ["higher", "lower"])
    def test_no_difference_at_all_says_nothing_about_a_direction(self, direction: Direction) -> None:
        judgement = alone((0.0,) * 8, direction)
        assert (judgement.verdict, judgement.p) == (Verdict.INCONCLUSIVE, 1.0)
        assert judgement.seeds_needed is None

    @pytest.mark.parametrize("value", [0.0, 0.1, -0.7])
    def test_the_same_difference_in_each_seed_within_the_margin_is_equal(self, value: float) -> None:
        judgement = alone((value,) * 6, "equal", 1.0)
        assert (judgement.verdict, judgement.p, judgement.test) == (Verdict.SUPPORTED, 0.0, "TOST")

    @pytest.mark.parametrize("value", [1.0, -1.0])
    def test_the_same_difference_in_each_seed_on_the_margin_is_undecided(self, value: float) -> None:
        judgement = alone((value,) * 6, "equal", 1.0)
        assert (judgement.verdict, judgement.p) == (Verdict.INCONCLUSIVE, 1.0)

    def test_the_same_difference_in_each_seed_beyond_the_margin_is_not_equal(self) -> None:
        judgement = alone((0.3,) * 6, "equal", 0.2)
        assert (judgement.verdict, judgement.p, judgement.test) == (Verdict.REFUTED, 1 / 32, "sign-flip")

    def test_the_same_difference_in_each_seed_has_a_direction(self) -> None:
        assert alone((0.1,) * 6, "higher").verdict is Verdict.SUPPORTED

    @settings(deadline=None)
    @given(st.floats(-10, 10), st.integers(0, 6), st.sampled_from(["higher", "lower", "equal"]))
    def test_differences_that_do_not_vary_give_no_warning(
        self, value: float, n: int, direction: Direction
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            judgement = alone((value,) * n, direction, 1.0)
        assert 0 <= judgement.p <= judgement.p_corrected <= 1
        assert math.isnan(judgement.detectable)

    def test_p_0_is_for_differences_that_do_not_vary_and_not_for_those_that_nearly_do(self) -> None:
        assert tost_p(np.array([0.2, 0.2]), 0.5) == 0
        assert tost_p(np.array([0.2, 0.25]), 0.5) > 0.01


class TestDescription:
    def test_it_is_of_the_differences_whatever_the_margin(self) -> None:
        judgement = alone(CLEAR, "higher", 0.5)
        assert judgement.difference == mean_difference(CLEAR)
        assert judgement.bca == bca_interval(CLEAR)

    def test_detectable_counts_all_claims(self) -> None:
        judgement, _ = judge([Question(CLEAR, "higher"), Question((), "higher")], alpha=0.1)
        sd = float(np.std(CLEAR, ddof=1))
        assert judgement.detectable == detectable_effect(sd, 8, claims=2, alpha=0.1)

    @pytest.mark.parametrize(
        ("direction", "margin", "distance"),
        [
            ("higher", 0.0, 1.0),
            ("lower", 0.0, 1.0),
            ("higher", 0.9, 0.1),
            ("lower", 0.9, 1.9),
            ("equal", 0.9, 0.1),
            ("equal", 1.2, 0.2),
        ],
    )
    def test_seeds_needed_counts_from_the_margin(
        self, direction: Direction, margin: float, distance: float
    ) -> None:
        sd = float(np.std(CLEAR, ddof=1))
        within = bool(direction == "equal" and margin > np.mean(CLEAR))
        test: Literal["TOST", "sign-flip"] = "TOST" if within else "sign-flip"
        expected = seeds_needed(distance, sd, claims=1, alpha=0.05, test=test)
        assert expected is not None
        assert alone(CLEAR, direction, margin).seeds_needed == expected

    def test_seeds_needed_is_unknown_where_the_mean_is_zero(self) -> None:
        assert alone((1.0, -1.0, 2.0, -2.0), "higher").seeds_needed is None


class TestQuestion:
    @pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
    def test_a_margin_below_zero_is_refused(self, margin: float) -> None:
        with pytest.raises(ValueError, match="zero or more"):
            Question(CLEAR, "higher", margin)

    def test_equal_without_a_margin_is_refused(self) -> None:
        with pytest.raises(ValueError, match="margin above zero"):
            Question(CLEAR, "equal")

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_differences_that_are_not_finite_are_refused(self, bad: float) -> None:
        with pytest.raises(ValueError, match="finite"):
            Question((1.0, bad), "higher")
