"""``--json``: one document on standard output and nothing else, with the exit codes of the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ablate


def test_data_check_lists_every_place(ablate: Ablate, data_folder: Path) -> None:
    done = ablate("data", "check", str(data_folder), "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert found["trainable"] and found["training_images"] > 0
    assert {"level", "what", "places", "fix"} == set(found["remarks"][0])


def test_data_check_exits_with_2_where_nobody_can_train(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metadata.jsonl").write_text('{"file_name": "gone.png", "text": "A bat."}\n')
    done = ablate("data", "check", str(tmp_path / "data"), "--json")
    assert done.code == 2
    assert not json.loads(done.out)["trainable"]


def test_doctor_of_a_store_says_what_is_damaged(ablate: Ablate, tmp_path: Path) -> None:
    entry = tmp_path / "workplace" / ".ablate" / "sample" / ("0" * 32)
    entry.mkdir(parents=True)
    (entry / "entry.3.json").write_text("broken")
    done = ablate("doctor", "--store", "--json")
    answers: list[dict[str, Any]] = json.loads(done.out)
    assert done.code == 1
    assert any(answer["state"] == "wrong" for answer in answers)


def test_a_plan_says_what_would_run_and_why(ablate: Ablate, finished: Path) -> None:
    plan = json.loads(ablate("plan", "tiny.yaml", "--seeds", "0,1,2", "--json", folder=finished).out)
    assert [run["measured"] for run in plan["runs"] if run["variant"] == "late"] == [True, True, False]
    # Of the third seed: epoch 0 for both, then two epochs for each.
    assert sum(part["epochs_to_train"] for part in plan["segments"] if part["seed"] == 2) == 5
    assert plan["steps"] == {"asked": 36, "unique": 30, "to_train": 10}
    assert plan["variants"]["late"]["ema"] == {"decay": 0.9, "start": 1}
    assert "train" in plan["reasons"] and len(plan["warnings"]) == 1
    assert plan["cost"]["hours"] > 0 and plan["cost"]["workers"][0]["workers"] == 1
    done = json.loads(ablate("plan", "tiny.yaml", "--json", folder=finished).out)
    assert done["cost"] is None and done["reasons"] == {}


def test_an_audit_says_what_acts_and_exits_as_without(ablate: Ablate, finished: Path) -> None:
    done = ablate("audit", "tiny.yaml", "--json", folder=finished)
    acts = {finding["about"]: finding["act"] for finding in json.loads(done.out)}
    assert done.code == 0
    assert (acts["losses.lpips"], acts["ema"]) == ("active", "passive")


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("gc",), ("rm", "tiny"), ("show", "tiny"), ("compare", "tiny/late", "tiny/plain")],
    ids=lambda a: a[0],
)
def test_all_that_is_printed_is_one_document(
    ablate: Ablate, finished: Path, arguments: tuple[str, ...]
) -> None:
    assert isinstance(json.loads(ablate(*arguments, "--json", folder=finished).out), dict)
