"""What the tests of statistics share."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def cheap_collection() -> Iterator[None]:
    """statsmodels' Holm collects garbage each time: 50 ms, unless what is there already is left out."""
    import statsmodels.stats.multitest  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
