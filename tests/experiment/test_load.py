"""A spec with its profile, overrides and seeds → variants."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.errors import SpecError
from ablate.experiment.config import Config, Model
from ablate.experiment.load import load_experiment, load_profile, profile_names
from ablate.experiment.merge import expand, merge
from ablate.experiment.options import as_ranges, parse_seeds
from ablate.experiment.schedulers import Scheduler
from ablate.experiment.spec import ExperimentSpec

SHIPPED = sorted(Path(__file__).parents[2].glob("experiments/*.yaml"))


def write(folder: Path, **parts: str) -> Path:
    """A spec of one baseline; ``parts`` are YAML below their keys."""
    text = {
        "question": "Why?",
        "baseline": "a",
        "variants": "{a: {}, b: {ema: {decay: 0.9}}}",
        "seeds": "[0]",
    }
    file = folder / "study.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in (text | parts).items()), encoding="utf-8")
    return file


def test_profiles_are_complete_configurations() -> None:
    assert profile_names() == ["maplestory", "sprites"]
    for name in profile_names():
        Config.model_validate(load_profile(name))


def test_profiles_state_every_field() -> None:
    # A profile that leaned on a default would change when the default does.
    for name in profile_names():
        data = load_profile(name)
        for section, field in Config.model_fields.items():
            stated = data[section]
            if isinstance(field.annotation, type) and issubclass(field.annotation, Model):
                fields = field.annotation.model_fields
                if section == "components":  # a part that a kit need not have is absent
                    fields = {part: field for part, field in fields.items() if field.is_required()}
                if section == "losses":  # one that a profile does not name is off
                    fields = {loss: field for loss, field in fields.items() if loss in stated}
                assert list(stated) == list(fields), f"{name}: {section}"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_experiments_load(file: Path) -> None:
    experiment = load_experiment(file)
    assert experiment.name == file.stem
    assert list(experiment.variants) == list(experiment.spec.variants)


def test_unknown_profile() -> None:
    with pytest.raises(SpecError) as caught:
        load_profile("sprits")
    assert str(caught.value) == "there is no profile 'sprits'\n  Did you mean `sprites`?"


def test_order_of_overrides_profile_config_set_variant(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        config="{train: {epochs: 11, batch: 12, accumulation: 13}}",
        variants="{a: {}, b: {train: {accumulation: 33}}}",
    )
    experiment = load_experiment(file, sets=["train.batch=22", "train.accumulation=23"])
    trains = {name: config.train for name, config in experiment.variants.items()}
    assert (trains["a"].epochs, trains["a"].batch, trains["a"].accumulation) == (11, 22, 23)
    assert (trains["b"].epochs, trains["b"].batch, trains["b"].accumulation) == (11, 22, 33)
    assert trains["a"].learning_rate == load_profile("sprites")["train"]["learning_rate"]


def test_resolved_spec_holds_what_the_command_line_said(tmp_path: Path) -> None:
    file = write(tmp_path, config="{train: {epochs: 11}}")
    experiment = load_experiment(
        file, profile="maplestory", sets=["train.batch=4", "losses={lpips: null}"], seeds=[7, 8]
    )
    assert experiment.spec.profile == "maplestory"
    assert experiment.spec.seeds == (7, 8)
    assert experiment.spec.config == {"train": {"epochs": 11, "batch": 4}, "losses": {"lpips": None}}
    assert experiment.variants["a"].data.size == 256


def test_the_options_of_the_command_line_are_kept_for_a_command_that_means_the_same(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert load_experiment(file).options == ()
    (tmp_path / "mine.py").write_text((Path(__file__).parents[2] / "examples" / "own_parts.py").read_text())
    found = load_experiment(
        file,
        profile="maplestory",
        sets=["train.batch=4"],
        seeds=[0, 1, 2, 7],
        plugins=[tmp_path / "mine.py"],
    )
    plugin = ("--plugin", str(tmp_path / "mine.py"))
    options = ("--profile", "maplestory", "--seeds", "0-2,7", "--set", "train.batch=4", *plugin)
    assert found.options == options


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_seeds_as_ranges_are_those_seeds(seeds: list[int]) -> None:
    assert parse_seeds(as_ranges(seeds)) == tuple(seeds)


def test_later_set_wins(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path), sets=["train.epochs=5", "train.epochs=6"])
    assert experiment.variants["a"].train.epochs == 6


def test_set_values_are_yaml(tmp_path: Path) -> None:
    sets = ["train.learning_rate=1e-4", "ema={decay: 0.5}", "sample.options.use_karras_sigmas=true"]
    config = load_experiment(write(tmp_path), sets=sets).variants["a"]
    assert config.train.learning_rate == 1e-4
    assert config.ema and config.ema.decay == 0.5
    assert config.sample.options == {"use_karras_sigmas": True}


def test_mapping_onto_null_starts_from_the_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, variants="{a: {}, b: {losses: {lpips: {start: 50%}}}}")
    lpips = load_experiment(file).variants["b"].losses.lpips
    assert lpips and (lpips.weight, lpips.start) == (0.1, "50%")


@pytest.mark.parametrize(
    ("config", "own", "found"),
    [
        (
            "weighting: {gamma: 3}",
            "weighting: {kind: min_snr, start: 50%}",
            {"gamma": 3.0, "start": "50%"},
        ),
        ("weighting: {kind: min_snr, gamma: 3}", "weighting: {start: 50%}", {"gamma": 3.0, "start": "50%"}),
        ("ema: {decay: 0.99}", "ema: {kind: ema, start: 50%}", {"decay": 0.99, "start": "50%"}),
    ],
)
def test_a_kind_that_only_one_layer_writes_drops_no_field(
    tmp_path: Path, config: str, own: str, found: dict[str, Any]
) -> None:
    file = write(tmp_path, config=f"{{{config}}}", variants=f"{{a: {{}}, b: {{{own}}}}}")
    section = getattr(load_experiment(file).variants["b"], config.partition(":")[0])
    assert section.model_dump() | found == section.model_dump()


def test_a_kind_of_the_command_line_drops_no_field(tmp_path: Path) -> None:
    file = write(tmp_path, config="{lr_schedule: {warmup: 0.1}}")
    config = load_experiment(file, sets=["lr_schedule.kind=cosine"]).variants["a"]
    assert config.lr_schedule and config.lr_schedule.warmup == 0.1


def test_only_a_section_of_another_kind_loses_fields() -> None:
    base = {
        "augmentation": {"kind": "flip", "size": 1, "start": 2},
        "losses": {"mine": {"kind": "a", "x": 1}},
    }
    over = {"augmentation": {"kind": "strong"}, "losses": {"mine": {"kind": "b"}}}
    assert merge(base, over) == {
        "augmentation": {"kind": "strong", "start": 2},
        "losses": {"mine": {"kind": "b", "x": 1}},
    }


def test_what_is_put_onto_null_is_of_the_first_kind() -> None:
    written = merge({"weighting": None}, {"weighting": {"gamma": 3}})
    assert merge(written, {"weighting": {"kind": "mine"}}) == {"weighting": {"kind": "mine"}}


def test_null_switches_off_what_the_profile_has(tmp_path: Path) -> None:
    file = write(tmp_path, profile="maplestory", variants="{a: {losses: {lpips: null}}}")
    losses = load_experiment(file).variants["a"].losses
    assert losses.lpips is None
    assert losses.kl is not None


def test_one_part_of_a_kit_can_be_replaced(tmp_path: Path) -> None:
    file = write(tmp_path, config="{components: {vae: {source: my/vae}}}")
    components = load_experiment(file).variants["a"].components
    assert (components.vae.source, components.vae.subfolder) == ("my/vae", "")
    assert (components.tokenizer.source, components.tokenizer.subfolder) == ("sprites", "tokenizer")


def test_subfolder_alone_keeps_the_source(tmp_path: Path) -> None:
    components = (
        load_experiment(write(tmp_path), sets=["components.vae.subfolder=other"]).variants["a"].components
    )
    assert (components.vae.source, components.vae.subfolder) == ("sprites", "other")


def test_another_kit_replaces_all_parts(tmp_path: Path) -> None:
    file = write(tmp_path, profile="maplestory", variants="{a: {components: my/kit}}")
    components = load_experiment(file).variants["a"].components
    assert {part.source for _, part in components if part} == {"my/kit"}


def test_missing_folders_are_not_looked_for(tmp_path: Path) -> None:
    load_experiment(write(tmp_path), sets=["data.path=/nowhere", "components=/nowhere"])


def test_variants_may_be_called_off_and_no(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path, baseline="off", variants="{off: {}, no: {}}"))
    assert list(experiment.variants) == ["off", "no"]


def test_an_onset_after_the_last_epoch_is_read(tmp_path: Path) -> None:
    # The audit finds what never acts.
    file = write(tmp_path, variants="{a: {}, b: {ema: {decay: 0.9, start: 100%}}}")
    ema = load_experiment(file, sets=["losses.lpips.start=1000"]).variants["b"].ema
    assert ema and ema.start == "100%"


def test_fault_shared_by_all_variants_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_experiment(write(tmp_path, config="{train: {batch: 0}}"))
    assert str(caught.value).count("batch") == 1


def test_fault_of_a_level_is_said_once_and_where_the_level_stands(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "question: Why?\nseeds: [0]\nfactors:\n"
        "  ema:\n    off: {}\n    on: {ema: {decay: 2}}\n"
        "  steps: {few: {sample: {steps: 4}}, many: {sample: {steps: 8}}, most: {sample: {step: 9}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_experiment(file)
    assert str(caught.value).splitlines()[:2] == [
        f"{file}: 2 problems",
        f"  {file}:6:23: factors.ema.on.ema.decay: must be less than 1, not 2",
    ]
    assert f"  {file}:7:82: factors.steps.most.sample.step: unknown field" in str(caught.value)


def test_what_names_a_variant_may_name_any_of_the_design(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(FACTORIAL)
    spec = load_experiment(file).spec
    assert spec.expect == {"ema-on.steps-4": "inert"}
    assert spec.published and spec.published.results[0].variant == "ema-on.steps-8"
    file.write_text(RECIPE)
    assert load_experiment(file).spec.claims[0].against == "no-ema"


def test_config_may_be_incomplete_where_variants_complete_it(tmp_path: Path) -> None:
    file = write(tmp_path, config="{ema: {start: 3}}", variants="{a: {ema: {decay: 0.9}}, b: {ema: null}}")
    ema = load_experiment(file).variants["a"].ema
    assert ema and (ema.decay, ema.start) == (0.9, 3)


def test_experiment_survives_pickling(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path))
    assert pickle.loads(pickle.dumps(experiment)) == experiment


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("0", (0,)), ("0,1,2", (0, 1, 2)), ("0-3", (0, 1, 2, 3)), ("5, 7-8", (5, 7, 8)), ("3-3", (3,))],
)
def test_seeds_of_the_command_line(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


VALUES = st.none() | st.integers() | st.lists(st.integers(), max_size=2)
TREES = st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3))
MAPPINGS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


def renamed(tree: Any, prefix: str) -> Any:
    return {f"{prefix}{key}": value for key, value in tree.items()}


@given(MAPPINGS, MAPPINGS, MAPPINGS)
def test_merge_is_associative_on_disjoint_keys(a: Any, b: Any, c: Any) -> None:
    first, second, third = (
        {"x": renamed(tree, name), name: tree} for tree, name in ((a, "a"), (b, "b"), (c, "c"))
    )
    assert merge(merge(first, second), third) == merge(first, merge(second, third))


@given(MAPPINGS, MAPPINGS)
def test_merge_keeps_its_inputs_and_the_newer_values(a: Any, b: Any) -> None:
    before = repr((a, b))
    merged = merge(a, b)
    assert repr((a, b)) == before
    assert merge(merged, b) == merged
    assert set(a) | set(b) == set(merged)


@given(MAPPINGS)
def test_merge_with_nothing_changes_nothing(a: Any) -> None:
    assert merge(a, {}) == a
    assert merge({}, a) == a


@given(st.one_of(st.text(max_size=5), TREES))
def test_expanding_twice_is_expanding_once(components: Any) -> None:
    once = expand({"components": components})
    assert expand(once) == once


GOOD = (Path(__file__).parent / "good.yaml").read_text(encoding="utf-8")
FACTORIAL = """question: Does EMA help?
factors:
  ema: {off: {}, on: {ema: {decay: 0.9}}}
  steps: {4: {sample: {steps: 4}}, 8: {}}
seeds: [0]
expect: {ema-on.steps-4: inert}
published:
  source: A paper.
  setting: Other data.
  results: [{metric: fid, value: 3, variant: ema-on.steps-8}]
"""
RECIPE = """question: Does EMA help?
leave_one_out:
  ema:
    ema: {decay: 0.9}
  lpips:
    losses: {lpips: {}}
seeds: [0]
claims:
  - {text: It does., variant: full, against: no-ema, metric: fid, direction: lower, must: supported}
"""


@pytest.mark.parametrize("time", ["0", "-3.5"])
@pytest.mark.parametrize("field", ["value: {}", "value: 9, baseline: {}"])
def test_a_published_time_is_above_zero(tmp_path: Path, field: str, time: str) -> None:
    text = FACTORIAL.replace("metric: fid, value: 3", f"metric: seconds_per_epoch, {field.format(time)}")
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError, match="a time is above zero"):
        load_experiment(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", [GOOD, FACTORIAL, RECIPE], ids=["variants", "factors", "leave_one_out"])
@given(data=st.data())
def test_a_damaged_spec_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 20, len(text))))
    patch = data.draw(
        st.text(max_size=4) | st.sampled_from(["", "{", "]", ": ", "\n", "\t", "null", "[1]", "-"])
    )
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes((text[:start] + patch + text[end:]).encode())
    try:
        load_experiment(file)
    except SpecError as error:
        assert "Input should" not in str(error)


@given(
    st.text(max_size=30)
    | st.builds("{}={}".format, st.sampled_from(["ema", "train.epochs", "a.b", ""]), st.text())
)
def test_any_set_is_taken_or_refused(text: str) -> None:
    try:
        load_experiment(Path(__file__).parent / "good.yaml", sets=[text])
    except SpecError as error:
        assert str(error).isprintable() or "\n" in str(error)


def test_schedulers_are_those_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    classes = {name: getattr(diffusers, name) for name in dir(diffusers) if name.endswith("Scheduler")}
    needed = {"beta_start", "beta_schedule", "prediction_type"}
    able = {name for name, kind in classes.items() if needed <= set(inspect.signature(kind).parameters)}
    of_one_family = {name for name in able if name.startswith("CogVideoX")}
    inverse = {name for name in able if "Inverse" in name}
    assert set(get_args(Scheduler)) == able - of_one_family - inverse


def test_import_is_light() -> None:
    code = (
        "import sys, ablate.experiment.load, ablate.experiment.schema;"
        "print([m for m in ('torch', 'diffusers', 'numpy', 'mlflow', 'optuna') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_models_are_closed_and_frozen() -> None:
    for model in (Config, ExperimentSpec):
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["frozen"]
