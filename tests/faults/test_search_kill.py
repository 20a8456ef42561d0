"""A search whose command is killed again and again: no trial is lost, doubled or left open."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from harm import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from tests.faults.conftest import Warm

LATE: dict[str, Any] = {
    "factors": {"kl": {"off": {}, "on": {"losses": {"kl": {"weight": 0.1, "start": 1}}}}},
    "fields": {
        "losses.kl.weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"kl": "on"}},
        "sample.guidance": {"low": 1, "high": 4},
    },
    "objectives": ["fid"],
    "trials": 6,
    "round": 2,
    "confirm": {"best": 1, "seeds": [5], "path": True},
}
PRUNED: dict[str, Any] = {
    "fields": {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    "objectives": ["fid"],
    "trials": 6,
    "round": 3,
    "pruner": {"kind": "successive-halving", "marks": [1, 2], "reduction": 2},
}
KILLS = 20
"""Of each kind of search, at least."""


@pytest.mark.faults
@pytest.mark.parametrize("search", [pytest.param(LATE, id="confirmed"), pytest.param(PRUNED, id="pruned")])
def test_a_search_that_is_killed_at_random_moments_is_the_undisturbed_one(
    warm: Warm,
    make_workplace: Callable[..., Path],
    read_record: Callable[[Path], ExperimentRecord],
    tmp_path: Path,
    search: dict[str, Any],
) -> None:
    def outcome(folder: Path) -> dict[str, Any]:
        record = read_record(folder)
        assert record.search
        runs = {
            (run.variant, run.seed): (run.status, run.reason, run.links, figures(run.metrics))
            for run in record.runs
        }
        assert len(runs) == len(record.runs)
        return {
            "runs": runs,
            "search": record.search,
            "studies": rows(folder / "optuna.db", "select state, count(*) from trials group by state"),
            "report": (folder / "reports" / "tiny.md").is_file(),
        }

    def workplace() -> Path:
        (folder := tmp_path / f"search-{len(list(tmp_path.iterdir()))}").mkdir()
        fields = {"variants": None, "baseline": None, "claims": None, "search": search, "seeds": [0]}
        return make_workplace(folder, **fields)

    def to_the_end(folder: Path) -> None:
        process = warm.start(folder, "run", "tiny.yaml", "--no-audit")
        assert process.wait() == 0, process.printed()
        assert "Traceback" not in process.printed(), process.printed()

    began = time.monotonic()
    to_the_end(undisturbed := workplace())
    longest = (time.monotonic() - began) / 2
    right = outcome(undisturbed)
    draw, kills, folders = random.Random(1), 0, 0
    while kills < KILLS:
        folder, folders = workplace(), folders + 1
        for _ in range(draw.randint(3, 8)):
            process = warm.start(folder, "run", "tiny.yaml", "--no-audit")
            time.sleep(draw.uniform(0, longest))
            process.send(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        to_the_end(folder)
        assert outcome(folder) == right
    print(f"{kills} kills in {folders} searches")


def figures(metrics: dict[str, float]) -> dict[str, float]:
    """Without those that are times."""
    return {name: value for name, value in metrics.items() if "second" not in name}
