"""How numbers are written."""

from __future__ import annotations

import pytest

from ablate.report import numbers
from ablate.stats import Interval

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "places", "sign", "text"),
    [
        (12.345, 1, True, "+12.3"),
        (-0.04, 1, False, "0.0"),
        (-1.5, 1, False, "−1.5"),
        (13824, 0, False, "13\u202f824"),
        (0.0, 2, True, "+0.00"),
    ],
)
def test_number(value: float, places: int, sign: bool, text: str) -> None:
    assert numbers.number(value, places, sign=sign) == text


def test_intervals_are_left_out_where_there_is_none() -> None:
    assert numbers.mean(Interval(1.0, 0.5, 1.5, 6), 2) == "1.00 ± 0.50"
    assert numbers.mean(Interval(1.0, NAN, NAN, 1), 2) == "1.00"
    assert numbers.difference(Interval(1.0, -0.5, 2.5, 6), 1) == "+1.0 [−0.5, +2.5]"
    assert numbers.difference(Interval(1.0, NAN, NAN, 1), 1) == "+1.0"
    assert numbers.ratio(Interval(2.447, 2.31, 2.6, 6)) == "×2.45 [2.31, 2.60]"
    assert numbers.ratio(Interval(2.447, NAN, NAN, 1)) == "×2.447"


def test_a_difference_that_is_zero_in_every_seed_has_no_interval() -> None:
    assert numbers.difference(Interval(0.0, 0.0, 0.0, 6), 1) == "0"


def test_changes_have_two_digits_and_none_is_zero() -> None:
    assert [numbers.change(x) for x in (0.0, 0.00013, 1e-30)] == ["0", "1.3e-04", "1.0e-30"]


def test_measured_times_keep_their_decimals_below_a_minute() -> None:
    assert [numbers.seconds(x, 2) for x in (9.874, 59.9, 61.2)] == ["9.87 s", "59.90 s", "1 min 01 s"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (48.2, "48 s"), (750, "12 min 30 s"), (11_100, "3 h 05 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_p_value_has_two_digits() -> None:
    assert [numbers.p_value(p) for p in (1.0, 0.03125, 2**-15)] == ["1", "0.031", "< 0.0001"]
