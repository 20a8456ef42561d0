"""How numbers are written: two digits of the uncertainty, a true minus sign, no negative zero."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.report.metrics import Metric
    from ablate.stats import Interval

MOST_DECIMALS = 6


def decimals(metric: Metric) -> int:
    """Decimals for all values of a metric."""
    return decimals_of([*metric.intervals.values(), *metric.differences.values()])


def decimals_of(intervals: Iterable[Interval]) -> int:
    """Decimals that show the median half-width with two digits.

    Without intervals (one seed) the largest value is shown with four digits.
    """
    listed = list(intervals)
    half_widths = [interval.half_width for interval in listed if interval.half_width > 0]
    if half_widths:
        return _decimals(median(half_widths), digits=2)
    return _decimals(max((abs(interval.mean) for interval in listed), default=0), digits=4)


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return 1
    return min(max(digits - 1 - math.floor(math.log10(value)), 0), MOST_DECIMALS)


def number(value: float, places: int, *, sign: bool = False) -> str:
    """``value`` with ``places`` decimals; ``sign`` writes the plus sign too."""
    # Adding 0.0 turns the −0.0 of a rounded small negative number into 0.0.
    text = f"{round(value, places) + 0.0:{'+' if sign else ''},.{places}f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")


def mean(interval: Interval, places: int) -> str:
    """``81.2 ± 1.4``; without the ± where there is one seed."""
    text = number(interval.mean, places)
    return text if math.isnan(interval.half_width) else f"{text} ± {number(interval.half_width, places)}"


def difference(interval: Interval, places: int) -> str:
    """``+12.3 [+8.1, +16.5]``; without the brackets where there is one seed; ``0`` where all are equal."""
    if interval.low == interval.high == 0:
        return "0"
    text = number(interval.mean, places, sign=True)
    return text if math.isnan(interval.low) else f"{text} {bounds(interval, places)}"


def bounds(interval: Interval, places: int) -> str:
    """``[+8.1, +16.5]``."""
    return f"[{', '.join(number(bound, places, sign=True) for bound in (interval.low, interval.high))}]"


def ratio(interval: Interval) -> str:
    """``×2.45 [2.31, 2.60]``; without the brackets where there is one seed."""
    # 0.98 ± 0.0001 would otherwise look like no interval at all.
    places = max(2, decimals_of([interval]))
    text = f"×{number(interval.mean, places)}"
    if math.isnan(interval.low):
        return text
    return f"{text} [{number(interval.low, places)}, {number(interval.high, places)}]"


def p_value(p: float) -> str:
    """Two digits, and ``< 0.0001`` below: ``0.031``."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def change(relative: float) -> str:
    """A relative change with two digits, ``1.3e-04``; ``0`` where nothing changes."""
    return f"{relative:.1e}" if relative else "0"


def percent(share: float, places: int = 1) -> str:
    """A share from 0 to 1 in percent, without the sign."""
    return number(100 * share, places)


def seconds(value: float, places: int) -> str:
    """A measured time: ``9.87 s`` with its decimals below a minute, ``12 min 30 s`` from there on."""
    return f"{number(value, places)} s" if value < 60 else duration(value)


def duration(seconds: float) -> str:
    """``48 s``, ``12 min 30 s``, ``3 h 05 min``: the two largest units."""
    total = round(seconds)
    if total < 60:
        return f"{seconds:.1f} s" if total < 10 else f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"
