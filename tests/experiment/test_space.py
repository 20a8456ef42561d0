"""The space of a search: what is proposed is in it, and becomes a configuration as any variant does."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.errors import SpecError
from ablate.experiment.load import Experiment, load_experiment
from ablate.experiment.space import Drawn, Space
from ablate.experiment.trials import Proposal, branch_points, grown, probed

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
question: Which is best?
config:
  train: {epochs: 6}
search:
  factors:
    lpips:
      off: {}
      on: {losses: {lpips: {weight: 0.1, start: 3}}}
    ema:
      off: {}
      on: {ema: {decay: 0.9, start: 50%}}
  fields:
    ema.decay: {options: [0.9, 0.99], when: {ema: on, lpips: [on, off]}}
    losses.lpips.weight: {low: 0.01, high: 1, log: true, when: {lpips: on}}
    losses.lpips.start: {low: 2, high: 4, when: {lpips: on}}
    sample.steps: {low: 3, high: 11, step: 4}
    sample.guidance: {low: 1, high: 6}
  objectives: [fid]
  trials: 8
  confirm: {best: 2, seeds: [5, 6], path: true}
seeds: [0]
"""


def load(folder: Path, text: str = SPEC) -> Experiment:
    file = folder / "search.yaml"
    file.write_text(text, encoding="utf-8")
    return load_experiment(file)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return load(tmp_path_factory.mktemp("spec"))


@pytest.fixture(scope="module")
def space(experiment: Experiment) -> Space:
    assert experiment.spec.search
    return Space(experiment.spec.search)


@settings(max_examples=25)
@given(seed=st.integers())
def test_whatever_is_drawn_is_in_the_space_and_has_what_exists_there(space: Space, seed: int) -> None:
    params = space.suggest(Drawn(Random(seed)))
    assert all(space.holds(name, value) for name, value in params.items())
    assert ("losses.lpips.weight" in params) == ("losses.lpips.start" in params) == (params["lpips"] == "on")
    assert ("ema.decay" in params) == (params["ema"] == "on")


@settings(max_examples=25)
@given(seed=st.integers())
def test_what_is_drawn_is_merged_as_a_variant_is(experiment: Experiment, space: Space, seed: int) -> None:
    params = space.suggest(Drawn(Random(seed)))
    config = grown(experiment, [Proposal("trial-0000", params)]).variants["trial-0000"]
    assert config.sample.steps == params["sample.steps"]
    assert config.sample.guidance == params["sample.guidance"]
    lpips = config.losses.lpips
    assert (lpips and lpips.weight) == params.get("losses.lpips.weight")
    assert (config.ema and config.ema.decay) == params.get("ema.decay")


def test_a_kind_that_one_factor_writes_leaves_the_fields_of_another(tmp_path: Path) -> None:
    added = """
    gamma: {usual: {}, small: {weighting: {gamma: 3}}}
    onset: {usual: {}, late: {weighting: {kind: min_snr, start: 50%}}}
"""
    experiment = load(tmp_path, SPEC.replace("  factors:\n", f"  factors:{added}"))
    params = {"gamma": "small", "onset": "late"}
    config = grown(experiment, [Proposal("trial-0000", params)]).variants["trial-0000"]
    assert config.weighting and (config.weighting.gamma, config.weighting.start) == (3.0, "50%")


def test_a_field_that_takes_fractions_has_them_also_where_its_ends_are_whole(space: Space) -> None:
    drawn = [space.suggest(Drawn(Random(seed))) for seed in range(20)]
    assert any(point["sample.guidance"] % 1 for point in drawn)
    assert {point["sample.steps"] for point in drawn} == {3, 7, 11}


def test_each_end_is_a_probe_unless_it_is_the_baseline(experiment: Experiment) -> None:
    names = set(probed(experiment).variants)
    assert {"baseline", "lpips=on", "ema=on", "losses.lpips.start=2", "losses.lpips.start=4"} <= names
    assert not {"lpips=off", "ema=off"} & names


def test_states_are_kept_where_a_later_trial_may_leave(experiment: Experiment) -> None:
    assert branch_points(experiment) == {2, 3, 4, 6}  # starts of LPIPS, of the average, and the end


def test_points_of_a_finite_space_are_counted_with_what_exists(tmp_path: Path) -> None:
    text = SPEC.replace("    losses.lpips.weight: {low: 0.01, high: 1, log: true, when: {lpips: on}}\n", "")
    text = text.replace("    sample.guidance: {low: 1, high: 6}\n", "")
    search = load(tmp_path, text).spec.search
    assert search
    assert Space(search).count() == (1 + 3) * (1 + 2) * 3  # lpips with its starts, ema with its decays, steps


def test_a_move_takes_along_what_exists_because_of_it(space: Space) -> None:
    winner: dict[str, Any] = {"lpips": "on", "sample.steps": 3, "losses.lpips.weight": 0.1}
    assert space.moves(winner) == {
        "lpips": {"lpips": "on", "losses.lpips.weight": 0.1},
        "sample.steps": {"sample.steps": 3},
    }


def test_an_experiment_grows_by_trials_and_confirms_with_seeds_of_its_own(experiment: Experiment) -> None:
    trials = [Proposal(f"trial-000{n}", {"sample.steps": 3 + 4 * n}) for n in range(2)]
    way = Proposal("path-1-sample.steps", {"sample.steps": 7}, "path", 1)
    larger = grown(experiment, [*trials, way], ["trial-0001"])
    assert [*larger.runs] == [
        ("baseline", 0),
        ("trial-0000", 0),
        ("trial-0001", 0),
        ("baseline", 5),
        ("baseline", 6),
        ("trial-0001", 5),
        ("trial-0001", 6),
        ("path-1-sample.steps", 5),
        ("path-1-sample.steps", 6),
    ]
    (claim,) = larger.spec.claims
    assert (claim.variant, claim.against, claim.direction) == ("trial-0001", "baseline", "lower")


def test_a_point_that_is_no_configuration_has_its_reason(tmp_path: Path) -> None:
    one = "factors:\n    heads:\n      few: {}\n      odd: {unet: {norm_num_groups: 7}}\n"
    text = f"question: Q\nseeds: [0]\nsearch:\n  {one}  objectives: [fid]\n  trials: 2\n"
    text = text.replace("norm_num_groups: 7", "norm_num_groups: 32") + "  fields:\n"
    text += "    unet.addition_embed_type_num_heads: [4, 8]\n"
    experiment = load(tmp_path, text.replace("norm_num_groups: 32", "block_out_channels: [32, 64]"))
    broken = Proposal("trial-0000", {"heads": "few", "unet.norm_num_groups": 7})
    larger = grown(experiment, [broken])
    assert "multiple of norm_num_groups" in larger.proposals[0].reason
    assert [*larger.variants] == ["baseline"]


@pytest.mark.parametrize(
    ("value", "held"), [(3, True), (7, True), (11, True), (4, False), (12, False), (3.0, False)]
)
def test_a_value_between_two_steps_is_not_in_the_space(space: Space, value: Any, held: bool) -> None:
    assert space.holds("sample.steps", value) is held


def test_options_have_no_ends_not_even_zero(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="options are not a range of numbers"):
        load(tmp_path, SPEC.replace("{options: [0.9, 0.99],", "{options: [0.9, 0.99], low: 0,"))
