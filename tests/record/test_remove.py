"""What is removed from MLflow stays removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers import postgres

from ablate.record.remove import remove_runs
from ablate.record.write import open_experiment

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.plan import Plan


def test_runs_that_were_removed_from_a_server_stay_away_when_the_experiment_is_run_again(
    plan: Plan, tmp_path: Path
) -> None:
    with postgres(tmp_path / "postgres") as server:
        uri = server.address("mlflow")
        writer = open_experiment(uri, "tiny")
        parent = writer.begin_parent(plan, "key", None).run_id
        run = plan.runs[0]
        writer.begin_child(parent, run, None)
        remove_runs(uri, "tiny", [*writer.below(parent), parent])
        assert writer.parents() == []
        again = open_experiment(uri, "tiny")
        assert again.parents() == [] and again.children(parent) == []
        assert again.begin_parent(plan, "key", None).run_id != parent
