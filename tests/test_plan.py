"""The plan: what is shared is trained once, and why something has to run is said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ablate.experiment.load import load_experiment
from ablate.plan import (
    Plan,
    Run,
    Segment,
    differences,
    make_plan,
    reasons,
    segments,
    steps_per_epoch,
)
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.fingerprint import Contents
    from tests.conftest import MakeKeys

EXPERIMENTS = Path(__file__).parents[1] / "experiments"

variants = st.fixed_dictionaries(
    {
        "train": st.fixed_dictionaries({"epochs": st.integers(1, 8)}),
        "losses": st.fixed_dictionaries(
            {"kl": st.none() | st.fixed_dictionaries({"start": st.integers(0, 40).map(lambda p: f"{p}%")})}
        ),
        "augmentation": st.fixed_dictionaries(
            {"kind": st.sampled_from(["none", "flip"]), "start": st.integers(0, 40).map(lambda p: f"{p}%")}
        ),
    }
)


@pytest.fixture(scope="module")
def spec(write_spec: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``plain`` and ``late`` (KL from epoch 1, LPIPS from epoch 2, EMA) with two seeds, three epochs."""
    return write_spec(tmp_path_factory.mktemp("plan"))


@pytest.fixture
def plan(spec: Path, contents: Contents, tmp_path: Path) -> Callable[..., Plan]:
    """The plan of ``spec`` with ``--set`` overrides, always on the same store."""
    store = Store(tmp_path / "store")
    return lambda *sets: make_plan(load_experiment(spec, sets=sets), store, contents)


def finish(plan: Plan, *stages: str) -> None:
    """Puts the entries of all runs into the store, as the stages would."""
    for run in plan.runs:
        keys, epochs = run.keys, run.keys.config.train.epochs
        entries = {
            "prepare": (keys.prepare, keys.prepare_ingredients),
            "train": (keys.chain[-1], {**keys.state_ingredients(epochs), "kept": True}),
            "moments": (keys.chain[-1], {}),
            "sample": (keys.sample, keys.sample_ingredients),
            "evaluate": (keys.evaluate, keys.evaluate_ingredients),
        }
        for stage in stages or entries:
            key, ingredients = entries[stage]
            with plan.store.writing(stage, key, ingredients):
                pass
        weights_in, key = keys.weights
        if weights_in not in entries and (not stages or "train" in stages):
            with plan.store.writing(weights_in, key, {}):
                pass


# ── segments ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=st.lists(variants, min_size=1, max_size=5), seeds=st.sampled_from([(0,), (0, 1)]))
def test_segments_cover_every_chain_once_share_no_link_and_come_after_their_parents(
    make_keys: MakeKeys, overrides: list[dict[str, Any]], seeds: tuple[int, ...]
) -> None:
    runs = [
        Run(f"v{n}", seed, make_keys(override, seed=seed))
        for n, override in enumerate(overrides)
        for seed in seeds
    ]
    found = list(segments(runs))
    for run in runs:
        mine = [(s.begin, s.end) for s in found if run in s.runs]
        assert [epoch for begin, end in mine for epoch in range(begin, end)] == list(
            range(run.keys.config.train.epochs)
        )
    states = [
        segment.keys.chain[epoch] for segment in found for epoch in range(segment.begin + 1, segment.end + 1)
    ]
    assert len(states) == len(set(states))
    seen: list[Segment] = []
    for segment in found:
        assert (segment.parent is None) == (segment.begin == 0)
        if segment.parent:
            assert any(segment.parent is other for other in seen)
            assert segment.parent.end == segment.begin
            assert set(segment.runs) <= set(segment.parent.runs)
        assert len({run.keys.chain[: segment.end + 1] for run in segment.runs}) == 1
        seen.append(segment)


def test_ema_variants_of_a_seed_stand_on_one_trunk(contents: Contents, tmp_path: Path) -> None:
    experiment = load_experiment(EXPERIMENTS / "ema.yaml")
    plan = make_plan(experiment, Store(tmp_path), contents)
    assert (len(plan.runs), len(plan.segments)) == (24, 6)
    assert plan.steps_unique / plan.steps_asked == 0.25
    assert all(len(segment.observers) == 3 for segment in plan.segments)


def test_a_late_factor_branches_off_where_it_begins(plan: Callable[..., Plan]) -> None:
    found = [(s.begin, s.end, {run.name for run in s.runs}) for s in plan().segments]
    assert found == [
        (0, 1, {"plain seed 0", "late seed 0"}),
        (1, 3, {"plain seed 0"}),
        (1, 3, {"late seed 0"}),
        (0, 1, {"plain seed 1", "late seed 1"}),
        (1, 3, {"plain seed 1"}),
        (1, 3, {"late seed 1"}),
    ]


# ── steps ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("images", "batch", "accumulation", "steps"),
    [(32, 16, 1, 2), (47, 16, 1, 2), (48, 16, 2, 2), (10, 16, 1, 1), (43_294, 64, 2, 338)],
)
def test_an_epoch_has_full_batches_only_and_a_last_smaller_group(
    images: int, batch: int, accumulation: int, steps: int
) -> None:
    assert steps_per_epoch(images, batch, accumulation) == steps


def test_steps_are_counted_as_asked_as_shared_and_as_missing(plan: Callable[..., Plan]) -> None:
    made = plan()
    assert (made.steps_asked, made.steps_unique, made.steps_to_train) == (4 * 3 * 2, 2 * 5 * 2, 2 * 5 * 2)
    for stage in ("train", "moments"):
        with made.store.writing(stage, made.runs[0].keys.chain[1], {}):
            pass  # the trunk of seed 0, but without the average that only starts at epoch 1
    assert plan().steps_to_train == 2 * 5 * 2 - 2
    finish(made, "sample")
    assert plan().steps_to_train == 0


def test_each_variant_has_the_steps_of_its_own_data(
    write_spec: Callable[..., Path], contents: Contents, tmp_path: Path
) -> None:
    for name, count in (("few", 8), ("many", 80)):
        (tmp_path / name / "test").mkdir(parents=True)
        (tmp_path / name / "train").mkdir()
        for number in range(count + 1):
            folder = tmp_path / name / ("train" if number else "test")
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text(f"red {number}")
    variants = {name: {"data": {"path": str(tmp_path / name)}} for name in ("few", "many")}
    file = write_spec(tmp_path, variants=variants, baseline="few", claims=None, seeds=[0])
    experiment = load_experiment(file, sets=["train.batch=4", "train.epochs=2"])
    plan = make_plan(experiment, Store(tmp_path / "store"), contents)
    assert plan.steps_by_variant() == {"few": 2 * 2, "many": 2 * 20}
    assert plan.steps_asked == plan.steps_unique == plan.steps_to_train == 44


def test_a_state_without_moments_is_trained_again_once_for_all_that_leave_it(
    plan: Callable[..., Plan],
) -> None:
    made = plan()
    for run in made.runs:
        with made.store.writing("train", run.keys.chain[1], {}):
            pass
    trained = sorted(plan().epochs_to_train().values())
    assert trained == [2, 2, 3, 3]  # of two variants with two seeds, one trains the trunk again


def test_a_longer_training_has_only_its_further_epochs_to_train(plan: Callable[..., Plan]) -> None:
    finish(plan("ema=null", "losses.lpips=null", "losses.kl=null"))
    longer = plan("train.epochs=5")
    plain = [segment for segment in longer.segments if {run.variant for run in segment.runs} == {"plain"}]
    assert [longer.epochs_to_train()[segment.key] for segment in plain] == [2, 2]


# ── reasons ──────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_store_holds_nothing_like_it(plan: Callable[..., Plan]) -> None:
    nothing = ["nothing like it is in the store yet"]
    assert reasons(plan()) == dict.fromkeys(("prepare", "train", "sample", "evaluate"), nothing)


def test_a_finished_experiment_has_no_reason_to_run(plan: Callable[..., Plan]) -> None:
    finish(plan())
    assert reasons(plan()) == {}


@pytest.mark.parametrize(
    ("override", "stage", "reason"),
    [
        ("train.batch=8", "train", "train.batch: 16 → 8"),
        ("train.epochs=4", "train", "epochs: 3 → 4"),
        ("train.learning_rate=0.01", "train", "timeline.from epoch 0.learning_rate.value: 0.001 → 0.01"),
        ("unet.layers_per_block=2", "train", "unet.layers_per_block: 1 → 2"),
        ("data.size=16", "prepare", "size: 32 → 16"),
        ("sample.steps=5", "sample", "sample.steps: 3 → 5"),
        ("evaluate.reference=train", "evaluate", "evaluate.reference: test → train"),
    ],
)
def test_a_changed_field_is_named_with_both_values(
    plan: Callable[..., Plan], override: str, stage: str, reason: str
) -> None:
    finish(plan())
    assert reason in reasons(plan(override))[stage]


def test_a_stage_before_the_changed_field_has_no_reason_to_run(plan: Callable[..., Plan]) -> None:
    finish(plan())
    assert list(reasons(plan("sample.steps=5"))) == ["sample", "evaluate"]


def test_an_average_that_is_added_later_has_the_training_done_once_more(plan: Callable[..., Plan]) -> None:
    plain = ["ema=null"]
    finish(plan(*plain))
    added = plan("ema.decay=0.9", "ema.start=0")
    assert added.epochs_to_train()
    (reason,) = reasons(added)["train"]
    assert "an average has to watch each step" in reason


def test_a_changed_source_file_and_a_changed_library_are_named(plan: Callable[..., Plan]) -> None:
    made = plan()
    finish(made)
    for stage in ("train", "sample", "evaluate"):
        for key, ingredients in list(made.store.entries(stage)):
            # As if it had been computed by another version: under another key, by other code.
            made.store.remove(stage, key)
            if stage == "train":
                ingredients["code"] |= {"diffusion/losses.py": "another digest", "torch": "2.0.0"}
            with made.store.writing(stage, f"old-{key}", ingredients):
                pass
    why = reasons(plan())
    assert why["train"][0] == "diffusion/losses.py changed"
    assert why["train"][1].startswith("torch: 2.0.0 → ")
    assert "prepare" not in why


# ── purity ───────────────────────────────────────────────────────────────────────────────────────


HEAVY = {"torch", "diffusers", "transformers", "open_clip", "lpips", "mlflow", "optuna"}
HEAVY |= {"numpy", "scipy", "statsmodels", "pandas", "PIL"}


def plan_in_a_new_process(spec: Path, store: Path, *arguments: str) -> tuple[list[str], set[str]]:
    """What ``ablate plan`` shows, and the modules that it has imported."""
    code = (
        "import json, sys; from ablate.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plan", str(spec), "--store", str(store), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    *shown, modules = done.stdout.splitlines()
    return shown, set(json.loads(modules))


def test_planning_imports_nothing_heavy_and_writes_digests_only(spec: Path, tmp_path: Path) -> None:
    shown, modules = plan_in_a_new_process(spec, tmp_path / "store")
    assert not HEAVY & modules
    assert "24 asked for, 20 unique" in "\n".join(shown)
    assert "one at a time: late against plain" in shown
    assert any(line.startswith("Class of device: CPU") for line in shown)
    assert "warning: 2 seeds cannot decide" in "\n".join(shown)
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"digests.json"}


def test_planning_with_the_embedded_data_set_imports_nothing_that_draws(spec: Path, tmp_path: Path) -> None:
    _, modules = plan_in_a_new_process(spec, tmp_path / "store", "--set", "data.path=sprites")
    assert not HEAVY & modules


def test_many_ingredients_that_are_new_are_named_and_not_printed() -> None:
    new = {"timeline": {"from epoch 2": {"mse": {"weight": 1.0}, "lpips": {"weight": 0.1}}}}
    assert differences(new, {"timeline": {}}) == ["timeline.from epoch 2: None → mse, lpips"]
