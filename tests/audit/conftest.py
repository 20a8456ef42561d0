"""What the tests of the audit share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ablate.audit.probe import Moment, Probe, probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.stages.keys import RunKeys
    from ablate.store import Store


@pytest.fixture(scope="module")
def look() -> Callable[..., Probe]:
    """``probe``, which looks once at what several tests ask about; only for code without planted faults."""
    taken: dict[tuple[str, int, Moment], Probe] = {}
    parts: dict[Any, Any] = {}

    def look(keys: RunKeys, moment: Moment, store: Store, _: object) -> Probe:
        question = (keys.config.model_dump_json(), keys.seed, moment)
        if question not in taken:
            taken[question] = probe(keys, moment, store, parts)
        return taken[question]

    return look
