"""How numbers are written: two digits of the uncertainty, a true minus sign."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from ablate.report.blocks import bold
from ablate.text import duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.stats import Interval, PairedDifference

NONE = "–"
"""An empty cell of a table."""

MOST_DECIMALS = 6


def decimals_of(intervals: Iterable[Interval]) -> int:
    """Decimals that show the median half-width with two digits, or without one (a single seed) the largest
    value with four."""
    listed = list(intervals)
    half_widths = [interval.half_width for interval in listed if interval.half_width > 0]
    largest = max((abs(interval.mean) for interval in listed), default=0)
    value, digits = (median(half_widths), 2) if half_widths else (largest, 4)
    return min(max(digits - 1 - math.floor(math.log10(value)), 0), MOST_DECIMALS) if value else 1


def number(value: float, places: int, *, sign: bool = False) -> str:
    """``value`` with ``places`` decimals; ``sign`` writes the plus sign too, and keeps the minus of a small
    number: on which side of zero a bound lies is what matters most of it."""
    # Adding 0.0 turns the −0.0 of a rounded small negative number into 0.0.
    text = f"{value:+,.{places}f}" if sign else f"{round(value, places) + 0.0:,.{places}f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")


def mean(interval: Interval | None, places: int) -> str:
    """``81.2 ± 1.4``; without the ± where there is one seed."""
    if interval is None:
        return NONE
    text = number(interval.mean, places)
    return text if math.isnan(interval.half_width) else f"{text} ± {number(interval.half_width, places)}"


def difference(interval: Interval | None, places: int) -> str:
    """``+12.3 [+8.1, +16.5]``; without the brackets where there is one seed; ``0`` where all are equal."""
    if interval is None:
        return NONE
    if interval.low == interval.high == 0:
        return "0"
    text = number(interval.mean, places, sign=True)
    return text if math.isnan(interval.low) else f"{text} {bounds(interval, places)}"


def marked(interval: PairedDifference, places: int) -> str:
    """The difference, bold where its interval leaves out zero."""
    text = difference(interval, places)
    return bold(text) if interval.excludes_zero else text


def bounds(interval: Interval, places: int, *, sign: bool = True) -> str:
    """``[+8.1, +16.5]``."""
    return f"[{number(interval.low, places, sign=sign)}, {number(interval.high, places, sign=sign)}]"


def ratio(interval: Interval | None) -> str:
    """``×2.45 [2.31, 2.60]``; without the brackets where there is one seed."""
    if interval is None:
        return NONE
    # 0.98 ± 0.0001 would otherwise look like no interval at all.
    places = max(2, decimals_of([interval]))
    text = f"×{number(interval.mean, places)}"
    return text if math.isnan(interval.low) else f"{text} {bounds(interval, places, sign=False)}"


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
