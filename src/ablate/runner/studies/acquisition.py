"""What a proposal of a search would cost: the epochs that no trial so far has trained.

A pure function of what is recorded: the store is not asked, so a search that was killed, or whose store is
lost, prefers what it would have preferred.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.experiment.trials import resolve
from ablate.stages.keys import RunKeys

if TYPE_CHECKING:
    from collections.abc import Collection

    from ablate.experiment.space import Params
    from ablate.plan import Plan


class Costs:
    """The costs of proposals, one after the other: what is taken is there for the next."""

    def __init__(self, plan: Plan, trained: Collection[str]) -> None:
        """``trained``: the variants whose chains have been trained, as far as they go."""
        self._experiment = plan.experiment
        self._first = plan.runs[0]
        self._links = {link for run in plan.runs if run.variant in trained for link in run.keys.chain[1:]}

    def of(self, params: Params) -> float:
        """Epochs with the first seed; infinite where there can be no such configuration."""
        chain = self._chain(params)
        return math.inf if chain is None else len(set(chain) - self._links)

    def take(self, params: Params) -> None:
        """This one will be trained."""
        self._links |= set(self._chain(params) or ())

    def _chain(self, params: Params) -> tuple[str, ...] | None:
        config, _ = resolve(self._experiment, params)
        keys = config and RunKeys(config, self._first.seed, self._first.keys.contents)
        return keys.chain[1:] if keys else None
