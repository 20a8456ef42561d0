"""A design stands for variants: one at a time, every combination of levels, a recipe less each part."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.experiment.designs import (
    DESIGNS,
    FULL,
    MOST_VARIANTS,
    Design,
    DesignError,
    describe,
    expand_design,
)
from ablate.experiment.load import Experiment, load_experiment

if TYPE_CHECKING:
    from pathlib import Path

ON, OFF = {"ema": {"decay": 0.9}}, {"ema": None}
LPIPS, KL = {"losses": {"lpips": {"weight": 0.1}}}, {"losses": {"kl": {"start": 2}}}


def expanded(written: dict[str, Any]) -> Design:
    design = expand_design(written)
    assert design
    return design


def load(folder: Path, design: str) -> Experiment:
    file = folder / "study.yaml"
    file.write_text(f"question: Why?\nseeds: [0]\n{design}", encoding="utf-8")
    return load_experiment(file)


# ── what each design stands for ──────────────────────────────────────────────────────────────────


def test_one_at_a_time_is_as_written() -> None:
    design = expanded({"baseline": "b", "variants": {"a": ON, "b": {}}})
    assert design.overrides() == {"a": ON, "b": {}}
    assert design.baseline == ""  # the spec names it


def test_a_factorial_has_every_combination_of_levels_and_the_first_levels_as_baseline() -> None:
    design = expanded({"factors": {"lpips": {"off": {}, "on": LPIPS}, "ema": {"off": {}, "on": ON}}})
    assert design.overrides() == {
        "lpips-off.ema-off": {},
        "lpips-off.ema-on": ON,
        "lpips-on.ema-off": LPIPS,
        "lpips-on.ema-on": LPIPS | ON,
    }
    assert design.baseline == "lpips-off.ema-off"


def test_leave_one_out_has_the_recipe_and_the_recipe_less_each_part() -> None:
    design = expanded({"leave_one_out": {"lpips": LPIPS, "kl": KL, "ema": ON}})
    both = {"losses": {"lpips": {"weight": 0.1}, "kl": {"start": 2}}}
    assert design.overrides() == {
        "full": both | ON,
        "no-lpips": KL | ON,
        "no-kl": LPIPS | ON,
        "no-ema": both,
    }
    assert design.baseline == "full"


def test_a_later_part_is_put_onto_an_earlier_one() -> None:
    design = expanded(
        {"leave_one_out": {"short": {"train": {"epochs": 2}}, "long": {"train": {"epochs": 9}}}}
    )
    epochs = {name: own["train"]["epochs"] for name, own in design.overrides().items()}
    assert epochs == {"full": 9, "no-short": 9, "no-long": 2}


def test_each_piece_knows_where_it_was_written() -> None:
    factorial = expanded({"factors": {"ema": {"off": OFF, "on": ON}, "kl": {"off": {}, "on": KL}}})
    assert [(piece.path, piece.overrides) for piece in factorial.variants["ema-on.kl-off"]] == [
        (("factors", "ema", "on"), ON),
        (("factors", "kl", "off"), {}),
    ]
    recipe = expanded({"leave_one_out": {"ema": ON, "kl": KL}})
    assert [piece.path for piece in recipe.variants["no-ema"]] == [("leave_one_out", "kl")]


# ── what is no design ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fields", [(), ("variants", "factors"), ("leave_one_out", "variants"), DESIGNS])
def test_an_experiment_has_one_design(fields: tuple[str, ...]) -> None:
    with pytest.raises(DesignError) as caught:
        expand_design({field: {"a": {}} for field in fields})
    assert all(field in str(caught.value) for field in fields)


def test_a_design_of_the_greatest_size_is_expanded_and_a_greater_one_is_not() -> None:
    eight = {f"f{n}": {"a": {}, "b": {}} for n in range(8)}
    assert len(expanded({"factors": eight}).variants) == MOST_VARIANTS == 256
    with pytest.raises(DesignError, match="512 variants"):
        expand_design({"factors": {**eight, "f8": {"a": {}, "b": {}}}})


def test_equal_variants_are_no_fault_of_the_design() -> None:
    assert len(expanded({"factors": {"a": {"x": ON, "y": ON}}}).variants) == 2


@pytest.mark.parametrize(
    "written",
    [
        {"variants": None},
        {"variants": ["a"]},
        {"factors": "a"},
        {"factors": {"a": None}},
        {"factors": {"a": {}}},
        {"factors": {"a": {"x": {}, "y/z": {}}}},
        {"leave_one_out": [1]},
        {"leave_one_out": {"a b": {}}},
    ],
)
def test_what_has_not_the_shape_of_a_design_is_left_to_the_models(written: dict[str, Any]) -> None:
    assert expand_design(written) is None


# ── what holds for every design ──────────────────────────────────────────────────────────────────

NAMES = st.text(st.sampled_from("abc01"), min_size=1, max_size=3)


def of_factor(factor: str, levels: list[str]) -> dict[str, Any]:
    """Levels that set a field of their factor's own, the first nothing."""
    return {level: {factor: {"level": level}} if number else {} for number, level in enumerate(levels)}


FACTORS = st.dictionaries(
    NAMES, st.lists(NAMES, min_size=2, max_size=4, unique=True), min_size=1, max_size=4
).map(lambda factors: {factor: of_factor(factor, levels) for factor, levels in factors.items()})
PARTS = st.lists(NAMES, min_size=1, max_size=6, unique=True).map(
    lambda parts: {part: {part: {"on": True}} for part in parts}
)


def combination(factors: dict[str, Any], levels: dict[str, str]) -> str:
    return ".".join(f"{factor}-{levels[factor]}" for factor in factors)


@given(FACTORS)
def test_a_factorial_has_as_many_variants_as_its_levels_multiply_to(factors: dict[str, Any]) -> None:
    assert len(expanded({"factors": factors}).variants) == prod(map(len, factors.values()))


@given(FACTORS)
def test_the_baseline_of_a_factorial_is_the_first_of_each_and_comes_first(factors: dict[str, Any]) -> None:
    design = expanded({"factors": factors})
    first = {factor: next(iter(levels)) for factor, levels in factors.items()}
    assert design.baseline == next(iter(design.variants)) == combination(factors, first)
    assert design.overrides()[design.baseline] == {}


@given(FACTORS, st.data())
def test_neighbours_differ_in_the_overrides_of_one_factor_only(
    factors: dict[str, Any], data: st.DataObject
) -> None:
    here = {factor: data.draw(st.sampled_from(list(levels))) for factor, levels in factors.items()}
    moved = data.draw(st.sampled_from(list(factors)))
    there = {**here, moved: data.draw(st.sampled_from(list(factors[moved])))}
    design = expanded({"factors": factors})
    one, other = combination(factors, here), combination(factors, there)

    differing = [
        (a.path[1], a.overrides, b.overrides)
        for a, b in zip(design.variants[one], design.variants[other], strict=True)
        if a != b
    ]
    levels = factors[moved][here[moved]], factors[moved][there[moved]]
    assert differing == ([] if one == other else [(moved, *levels)])
    without = [{**design.overrides()[name], moved: None} for name in (one, other)]
    assert without[0] == without[1]


@given(FACTORS)
def test_each_level_stands_in_equally_many_variants(factors: dict[str, Any]) -> None:
    design = expanded({"factors": factors})
    for factor, levels in factors.items():
        for level in levels:
            path = ("factors", factor, level)
            standing = [
                name for name, pieces in design.variants.items() if path in [piece.path for piece in pieces]
            ]
            assert len(standing) * len(levels) == len(design.variants)


@given(FACTORS, st.data())
def test_the_order_of_factors_changes_names_and_no_variant(
    factors: dict[str, Any], data: st.DataObject
) -> None:
    shuffled = {name: factors[name] for name in data.draw(st.permutations(list(factors)))}
    one, other = (expanded({"factors": each}).overrides().values() for each in (factors, shuffled))
    assert sorted(map(repr, map(sorted_items, one))) == sorted(map(repr, map(sorted_items, other)))


def sorted_items(overrides: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(overrides.items())


@given(PARTS)
def test_leaving_a_part_out_leaves_all_others_in_their_order(parts: dict[str, Any]) -> None:
    design = expanded({"leave_one_out": parts})
    assert list(design.variants) == [FULL, *(f"no-{part}" for part in parts)]
    assert [piece.path[1] for piece in design.variants[FULL]] == list(parts)
    for left_out in parts:
        there = [piece.path[1] for piece in design.variants[f"no-{left_out}"]]
        assert there == [part for part in parts if part != left_out]


@given(FACTORS, st.dictionaries(NAMES, st.none() | st.integers() | st.just({"a": 1})), st.data())
def test_nothing_else_in_the_file_has_a_part_in_the_expansion(
    factors: dict[str, Any], others: dict[str, Any], data: st.DataObject
) -> None:
    fields = {**others, "factors": factors}
    shuffled = {name: fields[name] for name in data.draw(st.permutations(list(fields)))}
    alone, among_others = expanded({"factors": factors}), expanded(shuffled)
    assert alone == among_others
    assert list(alone.variants) == list(among_others.variants)


# ── loaded ───────────────────────────────────────────────────────────────────────────────────────


def test_a_loaded_factorial_is_a_spec_with_variants_and_a_baseline(tmp_path: Path) -> None:
    experiment = load(
        tmp_path,
        "factors:\n  ema: {off: {}, on: {ema: {decay: 0.9}}}\n"
        "  steps: {few: {sample: {steps: 4}}, many: {sample: {steps: 8}}}\n",
    )
    spec = experiment.spec
    assert list(experiment.variants) == list(spec.variants)
    assert spec.baseline == "ema-off.steps-few"
    assert spec.variants["ema-on.steps-many"] == {"ema": {"decay": 0.9}, "sample": {"steps": 8}}
    assert spec.factors["ema"] == {"off": {}, "on": {"ema": {"decay": 0.9}}}
    config = experiment.variants["ema-on.steps-few"]
    assert config.ema and (config.ema.decay, config.sample.steps) == (0.9, 4)


def test_a_loaded_recipe_is_a_spec_with_variants_and_a_baseline(tmp_path: Path) -> None:
    experiment = load(
        tmp_path, "leave_one_out:\n  lpips: {losses: {lpips: {weight: 0.2}}}\n  ema: {ema: {decay: 0.9}}\n"
    )
    assert list(experiment.spec.variants) == list(experiment.variants) == ["full", "no-lpips", "no-ema"]
    assert experiment.spec.baseline == "full"
    assert experiment.variants["no-lpips"].losses.lpips is None
    assert experiment.variants["no-lpips"].ema


def test_levels_may_be_called_off_and_on_and_by_numbers_as_they_are_written(tmp_path: Path) -> None:
    design = "factors:\n  ema: {off: {}, on: {ema: {decay: 0.9}}}\n  weight: {0.10: {}, 50: {}, 1e-4: {}}\n"
    experiment = load(tmp_path, f"{design}claims: []\nexpect: {{ema-on.weight-0.10: inert}}\n")
    assert list(experiment.variants) == [
        f"ema-{ema}.weight-{weight}" for ema in ("off", "on") for weight in ("0.10", "50", "1e-4")
    ]


def test_a_kit_in_one_level_and_a_part_in_another_go_together(tmp_path: Path) -> None:
    experiment = load(
        tmp_path,
        "factors:\n  kit: {own: {}, other: {components: my/kit}}\n"
        "  judge: {own: {}, large: {components: {evaluator: big/clip}}}\n",
    )
    components = experiment.variants["kit-other.judge-large"].components
    assert (components.vae.source, components.evaluator.source) == ("my/kit", "big/clip")
    written = experiment.spec.variants["kit-other.judge-large"]["components"]
    assert (written["vae"]["source"], written["evaluator"]["source"]) == ("my/kit", "big/clip")


@pytest.mark.parametrize(
    ("design", "line"),
    [
        ("baseline: a\nvariants: {a: {}, b: {}, c: {}}", "one at a time: b, c against a"),
        ("baseline: a\nvariants: {a: {}}", "one at a time: nothing against a"),
        (
            "factors: {lpips: {off: {}, on: {}}, ema: {off: {}, on: {}}}",
            "factorial: lpips (off, on) × ema (off, on)",
        ),
        ("leave_one_out: {lpips: {}, ema: {}}", "leave one out: lpips, ema"),
    ],
)
def test_a_design_is_described_in_a_line(tmp_path: Path, design: str, line: str) -> None:
    assert describe(load(tmp_path, design).spec) == line
