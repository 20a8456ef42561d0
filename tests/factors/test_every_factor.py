"""What every factor keeps: it says where it is, when it begins, what it adds to a key, how it goes out."""

from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablate import fingerprint
from ablate.audit.compare import replaced
from ablate.factors import (
    AUGMENTATIONS,
    CHOICES,
    LOSSES,
    OBSERVERS,
    WEIGHTINGS,
    acting,
    switched_on,
)
from ablate.factors.lpips import Lpips
from ablate.parts import PARTS
from ablate.records import LAYERS
from ablate.stages.trained import SOURCES

if TYPE_CHECKING:
    from ablate.factors.base import Factor
    from tests.conftest import MakeConfig, MakeKeys

EVERYTHING: dict[str, Any] = {
    "train": {"epochs": 4, "gradient_clip": 1.0},
    "losses": {"lpips": {"weight": 0.1, "start": 1}, "kl": {"weight": 0.01, "start": "50%"}},
    "lr_schedule": {"kind": "cosine", "warmup": 0.1},
    "weighting": {"kind": "min_snr", "start": 1},
    "augmentation": {"kind": "flip", "start": 3},
    "ema": {"decay": 0.9, "start": 2},
}
"""A configuration with each factor, most of them late."""
BEGINS = {"lpips": 1, "kl": 2, "weighting": 1, "augmentation": 3, "ema": 2}
FACTORS: dict[str, type[Factor]] = {**CHOICES, **LOSSES}

factors = pytest.mark.parametrize("kind", FACTORS.values(), ids=list(FACTORS))


@factors
def test_a_factor_is_listed_by_its_name_and_says_where_a_spec_has_it(
    kind: type[Factor], make_config: MakeConfig
) -> None:
    assert FACTORS[kind.name] is kind
    place: Any = make_config(EVERYTHING)
    for name in kind.field.split(".") if kind.field else ():
        place = getattr(place, name)
    assert place
    assert kind.title.startswith("the ") or kind.title == "clipping"
    assert kind.enters in LAYERS
    assert set(kind.parts) <= set(PARTS)
    assert set(kind.reasons) <= set(LAYERS)


@factors
def test_a_factor_that_is_taken_out_is_off(kind: type[Factor], make_config: MakeConfig) -> None:
    config = make_config(EVERYTHING)
    assert kind.of(config)
    if (off := kind.off()) is not None:
        assert kind.of(replaced(config, off)) is None
        assert kind.name not in switched_on(replaced(config, off))


@factors
def test_a_factor_begins_in_its_first_epoch(kind: type[Factor], make_config: MakeConfig) -> None:
    config = make_config(EVERYTHING)
    factor = kind.of(config)
    assert factor
    first = BEGINS.get(kind.name, 0)
    assert factor.first_epoch(4) == first
    epochs = [epoch for epoch in range(4) if kind.name in {f.name for f in acting(config, epoch)}]
    assert epochs == (list(range(first, 4)) if kind.name != "ema" else [])


@factors
def test_a_contribution_is_plain_data_without_the_onset(kind: type[Factor], make_config: MakeConfig) -> None:
    factor = kind.of(make_config(EVERYTHING))
    assert factor
    assert "start" not in factor.contribution()
    assert json.loads(json.dumps(factor.contribution())) == factor.contribution()


@factors
def test_the_key_holds_the_factor_s_own_file_and_those_of_its_parts(
    kind: type[Factor], make_config: MakeConfig
) -> None:
    factor = kind.of(make_config(EVERYTHING))
    digests = fingerprint.of_class(type(factor))
    assert f"factors/{type(factor).__module__.rsplit('.', 1)[1]}.py" in digests
    assert {name for name in digests if name.startswith("parts/")} == {f"parts/{p}.py" for p in kind.parts}


KINDS = [*LOSSES.values(), *WEIGHTINGS.values(), *AUGMENTATIONS.values(), *OBSERVERS.values()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_key_holds_every_file_of_factors_that_its_file_takes_something_from(kind: type[Factor]) -> None:
    tree = ast.parse(Path(inspect.getfile(kind)).read_text(encoding="utf-8"))
    taken = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    files = {f"factors/{name.rsplit('.', 1)[1]}.py" for name in taken if name.startswith("ablate.factors.")}
    assert files <= {*fingerprint.of_class(kind), *SOURCES}


def test_an_edited_factor_keeps_the_trunk_before_its_onset(
    make_keys: MakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_keys(EVERYTHING).chain
    of_class = fingerprint.of_class
    edited = {"factors/lpips.py": "other text"}
    monkeypatch.setattr(fingerprint, "of_class", lambda kind: edited if kind is Lpips else of_class(kind))
    after = make_keys(EVERYTHING).chain
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False, False, False]
    without = {**EVERYTHING, "losses": {"lpips": None, "kl": None}}
    monkeypatch.undo()
    plain = make_keys(without).chain
    monkeypatch.setattr(fingerprint, "of_class", lambda kind: edited if kind is Lpips else of_class(kind))
    assert make_keys(without).chain == plain
