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


@pytest.mark.parametrize(
    "arguments", [("status",), ("show", "tiny"), ("compare", "tiny/late", "tiny/plain")], ids=lambda a: a[0]
)
def test_all_that_is_printed_is_one_document(
    ablate: Ablate, finished: Path, arguments: tuple[str, ...]
) -> None:
    assert isinstance(json.loads(ablate(*arguments, "--json", folder=finished).out), dict)
