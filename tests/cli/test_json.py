"""``--json``: one document on standard output and nothing else, with the exit codes of the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import typer
from schemas import validate

from ablate.cli import app
from ablate.documents import DOCUMENTS, document_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@pytest.mark.parametrize("price", ["inf", "nan", "-1", "1e300"])
def test_a_price_that_no_machine_has_is_refused(ablate: Ablate, finished: Path, price: str) -> None:
    done = ablate("plan", "tiny.yaml", f"--price-per-hour={price}", "--json", folder=finished)
    assert done.code == 2 and not done.out
    assert "--price-per-hour" in done.err and "Traceback" not in done.err


def test_verify_refuses_a_wrong_tracking_address_before_it_trains(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    done = ablate("verify", "tiny.yaml", "--tracking-uri", "http://", folder=folder)
    assert done.code == 2 and "names no host" in done.err
    assert not (folder / ".ablate" / "prepare").exists()


# ── schemas ──────────────────────────────────────────────────────────────────────────────────────

CALLS: dict[str, tuple[str, ...]] = {
    "plan": ("plan", "tiny.yaml", "--seeds", "0,1,2", "--price-per-hour", "2"),
    "audit": ("audit", "tiny.yaml"),
    "verify": ("verify", "tiny.yaml"),
    "show": ("show", "tiny"),
    "compare": ("compare", "tiny/late", "tiny/plain"),
    "next": ("next", "tiny.yaml"),
    "status": ("status",),
    "gc": ("gc",),
    "rm": ("rm", "tiny"),
    "doctor": ("doctor", "--store"),
}
"""All but ``data check``, which needs a folder, and ``kit check``, which takes longest: see
``tests/kit/test_kit.py``."""


def commands_with_json() -> Iterator[str]:
    """Those that have the option, with their groups: ``data check``."""
    groups = [("", typer.main.get_command(app))]
    for name, command in groups:
        if any("--json" in parameter.opts for parameter in command.params):
            yield name
        inner = getattr(command, "commands", {})
        groups += [(f"{name} {word}".strip(), one) for word, one in inner.items()]


def parts_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in schema["$defs"].values() if "properties" in part]


def test_each_command_that_has_json_has_a_schema() -> None:
    assert {*CALLS, "data check", "kit check"} == set(DOCUMENTS) == set(commands_with_json())


@pytest.mark.parametrize("command", CALLS)
def test_what_is_printed_is_what_its_schema_says(
    ablate: Ablate, finished: Path, make_workplace: Callable[..., Path], tmp_path: Path, command: str
) -> None:
    # What verify finds would go into the record of the finished study, which tests share.
    folder = make_workplace(tmp_path) if command == "verify" else finished
    printed = json.loads(ablate(*CALLS[command], "--json", folder=folder).out)
    assert printed
    validate(printed, command)


def test_what_a_data_check_prints_is_what_its_schema_says(ablate: Ablate, data_folder: Path) -> None:
    printed = json.loads(ablate("data", "check", str(data_folder), "--json").out)
    assert printed["remarks"]
    validate(printed, "data check")


@pytest.mark.parametrize("command", DOCUMENTS)
def test_each_field_says_what_it_means(command: str) -> None:
    schema = document_schema(command)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert parts_of(schema)
    for part in parts_of(schema):
        assert part["description"]
        assert part["required"] == list(part["properties"])
        assert all(field.get("description") for field in part["properties"].values()), part["title"]


def test_the_schema_of_a_document_is_printed_by_the_command(ablate: Ablate) -> None:
    assert json.loads(ablate("schema", "--json-of", "data check").out) == document_schema("data check")


def test_a_command_without_json_has_no_schema(ablate: Ablate) -> None:
    done = ablate("schema", "--json-of", "run")
    assert done.code == 2
    assert "--json-of run" in done.err and "There are: plan, audit" in done.err
