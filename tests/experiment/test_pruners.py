"""Pruners of a search: where trials are judged."""

from __future__ import annotations

from typing import Any

import pytest

from ablate.experiment.pruners import PRUNERS, Pruner


@pytest.mark.parametrize(
    ("written", "epochs", "marks"),
    [
        ("hyperband", 300, [1, 4, 11, 33, 100]),
        ("successive-halving", 7, [1, 2]),
        ({"kind": "hyperband", "reduction": 2}, 7, [1, 2, 4]),
        ({"kind": "hyperband", "marks": [4, 6]}, 7, [4, 6]),
    ],
)
def test_halving_judges_at_shares_of_the_epochs_or_where_it_is_told(
    written: Any, epochs: int, marks: list[int]
) -> None:
    found = Pruner.model_validate(written).marks_of(epochs, (3, 4))
    assert [mark.epoch for mark in found] == [mark.step for mark in found] == marks
    assert {mark.seeds for mark in found} == {(3, 4)}


def test_wilcoxon_judges_after_each_seed_but_the_last() -> None:
    marks = Pruner.model_validate("wilcoxon").marks_of(7, (3, 4, 5))
    assert [(mark.step, mark.epoch, mark.seeds) for mark in marks] == [(1, None, (3,)), (2, None, (4,))]


@pytest.mark.parametrize("kind", PRUNERS)
def test_each_is_a_pruner_of_optuna(kind: str) -> None:
    pruner = Pruner.model_validate(kind)
    assert type(pruner.made(4)).__module__.startswith("optuna.pruners")
