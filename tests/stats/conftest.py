"""What the tests of statistics share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _cheap_collection(cheap_collection: None) -> None:
    """Each verdict collects garbage."""
