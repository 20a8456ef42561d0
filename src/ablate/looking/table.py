"""Chosen runs as a pandas table: a row a run."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pandas as pd

from ablate.dotted import varied
from ablate.experiment.designs import combined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.looking.chosen import Chosen


def table(chosen: Chosen) -> pd.DataFrame:
    """Variant, seed, status and id of each run; its levels of a factorial; the fields in which variants
    differ; its final figures."""
    record = chosen.record
    factors, fields = levels(record.spec.get("factors") or {}), varied(record.configs)
    rows = [
        {"variant": run.variant, "seed": run.seed, "status": run.status, "run_id": run.run_id}
        | factors.get(run.variant, {})
        | fields.get(run.variant, {})
        | dict(sorted(run.metrics.items()))
        for run in chosen.runs
    ]
    return pd.DataFrame(rows, columns=None if rows else ["variant", "seed", "status", "run_id"])


def levels(factors: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Variant of a factorial → factor → its level."""
    cells = (dict(zip(factors, some, strict=True)) for some in product(*factors.values()))
    return {combined(cell.items()): cell for cell in cells}
