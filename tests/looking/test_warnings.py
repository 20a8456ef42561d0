"""What a plan warns of: what it cannot decide, what it ignores, and what is not here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import ComponentError
from ablate.experiment.load import load_experiment
from ablate.experiment.search import MOST_CLAIMS
from ablate.looking.warnings import absent_parts, warnings
from ablate.plan import Plan, make_plan
from ablate.store import Store
from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.fingerprint import Contents


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Callable[..., Plan]:
    """The plan of ``plain`` and ``late`` with two seeds, with ``--set`` overrides."""
    spec = write_spec(tmp_path)
    store = Store(tmp_path / "store")
    return lambda *sets: make_plan(load_experiment(spec, sets=sets), store, contents)


def claims(*directions: str) -> list[dict[str, Any]]:
    claim = {"text": "It differs.", "variant": "late", "against": "plain", "metric": "fid", "margin": 1.0}
    return [{**claim, "direction": direction} for direction in directions]


@pytest.fixture
def warned(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Callable[..., list[str]]:
    """What is warned of, with the claims' directions, the number of seeds and other fields."""

    def warn(
        directions: Sequence[str], seeds: int, alpha: float = 0.05, looks: Sequence[int] = ()
    ) -> list[str]:
        spec = {"claims": claims(*directions), "seeds": list(range(seeds)), "alpha": alpha, "looks": [*looks]}
        file = write_spec(tmp_path, **spec)
        return warnings(make_plan(load_experiment(file), Store(tmp_path / "store"), contents))

    return warn


def test_parts_that_are_not_on_this_machine_are_named_with_what_gets_them(
    write_spec: Callable[..., Path], contents: Contents, tmp_path: Path
) -> None:
    file = write_spec(tmp_path, claims=None)
    sets = ["components.vae=nobody/vae", "components.text_encoder=nobody/text"]
    plan = make_plan(load_experiment(file, sets=sets), Store(tmp_path / "store"), contents)
    vae, text = absent_parts(plan)
    assert vae == (
        "not on this machine: VAE nobody/vae. Before the run: "
        "ablate fetch --profile sprites --set components.vae=nobody/vae"
    )
    assert "nobody/text" in text


def test_a_part_that_can_be_nowhere_is_an_error_and_no_warning(
    write_spec: Callable[..., Path], contents: Contents, tmp_path: Path
) -> None:
    file = write_spec(tmp_path)
    experiment = load_experiment(file, sets=["components.evaluator=kits/none"])
    plan = make_plan(experiment, Store(tmp_path / "store"), contents)
    with pytest.raises(ComponentError, match="kits/none"):
        absent_parts(plan)


def test_entries_of_another_version_are_said_to_be_ignored_in_one_line(
    warned: Callable[..., list[str]], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    lines = []
    for key in ("a", "b"):
        with store.writing("prepare", key, {}):
            pass
        (store.path("prepare", key) / ENTRY).rename(store.path("prepare", key) / "entry.json")
        lines += warned([], seeds=3)
    assert lines == [
        f"1 entry in {store.root} is of another version of ablate: ignored, and can be deleted.",
        f"2 entries in {store.root} are of another version of ablate: ignored, and can be deleted.",
    ]


def test_too_few_seeds_for_the_claims_are_warned_of_with_the_number_that_would_do(
    warned: Callable[..., list[str]],
) -> None:
    assert warned(["lower", "higher"], seeds=3) == [
        "3 seeds cannot decide whether something is higher or lower: the exact sign-flip test gives no p "
        "below 0.25, and α = 0.05 over 2 claims (Holm) asks for 0.025. 7 seeds could."
    ]
    assert "1 seed cannot" in warned(["lower"], seeds=1)[0]


@pytest.mark.parametrize(
    ("directions", "alpha", "enough"),
    [(["lower"], 0.05, 6), (["lower"] * 4, 0.05, 8), (["lower", "equal"], 0.05, 7), (["lower"], 0.5, 2)],
)
def test_the_number_of_seeds_that_would_do_is_the_least_without_a_warning(
    warned: Callable[..., list[str]], directions: list[str], alpha: float, enough: int
) -> None:
    (warning,) = warned(directions, seeds=enough - 1, alpha=alpha)
    assert warning.endswith(f" {enough} seeds could.")
    assert warned(directions, seeds=enough, alpha=alpha) == []


def test_without_a_direction_to_decide_nothing_is_warned_of(warned: Callable[..., list[str]]) -> None:
    assert warned([], seeds=1) == []
    assert warned(["equal"], seeds=2) == []


def test_the_hardest_spec_that_is_read_can_still_be_decided(warned: Callable[..., list[str]]) -> None:
    (warning,) = warned(["lower"] * MOST_CLAIMS, seeds=2, alpha=0.001)
    assert warning.endswith("19 seeds could.")


def test_a_look_that_can_decide_nothing_is_warned_of(warned: Callable[..., list[str]]) -> None:
    (warning,) = warned(["lower"], seeds=12, looks=[6, 12])
    assert warning.startswith("the look at 6 seeds cannot decide whether something is higher or lower")
    assert warning.endswith(" 7 seeds could.")
    assert warned(["lower"], seeds=12, looks=[8, 12]) == []


def test_seeds_between_two_looks_are_warned_of(warned: Callable[..., list[str]]) -> None:
    assert warned([], seeds=9, looks=[8, 12]) == [
        "no look is planned at 9 seeds (but at 8, 12), so the claims are judged with the first 8."
    ]
    assert warned([], seeds=3, looks=[8, 12])[0].endswith("so no claim is judged.")


@pytest.mark.parametrize(("seeds", "said"), [(6, ["search.confirm: 6 seeds cannot decide"]), (7, [])])
def test_too_few_fresh_seeds_for_the_claims_of_a_search_are_warned_of(
    seeds: int, said: list[str], contents: Contents, tmp_path: Path
) -> None:
    fresh = list(range(1, seeds + 1))
    (tmp_path / "search.yaml").write_text(
        "question: Which is best?\nseeds: [0]\nsearch:\n  fields: {sample.steps: {low: 3, high: 9}}\n"
        f"  objectives: [fid]\n  trials: 4\n  confirm: {{best: 2, seeds: {fresh}}}\n"
    )
    plan = make_plan(load_experiment(tmp_path / "search.yaml"), Store(tmp_path / "store"), contents)
    assert [warning.partition(" whether")[0] for warning in warnings(plan)] == said


def test_a_folder_here_that_its_name_does_not_mean_is_said(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*sets: str) -> list[str]:
        return [warning for warning in warnings(plan(*sets)) if "./sprites" in warning]

    assert not said("data.path=sprites")
    (tmp_path / "sprites").mkdir()
    assert [warning.partition(":")[0] for warning in said("data.path=sprites")] == ["data.path", "components"]
    assert [warning.partition(":")[0] for warning in said()] == ["components"]


def test_variants_on_several_classes_of_device_are_warned_of(plan: Callable[..., Plan]) -> None:
    made = plan()
    assert (list(made.devices.values()), warnings(made)[:-1]) == ([["plain", "late"]], [])
    for run in made.runs:
        if run.variant == "late":
            run.keys.numerics |= {"instructions": "x86_64 another"}
    mixed = replace(made)
    assert warnings(mixed)[0].startswith("the variants run on different classes of device")
    assert "late on CPU, x86_64 another" in warnings(mixed)[0]


def test_the_other_gpus_of_a_machine_are_named(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.looking.warnings.gpus", lambda: ("A", "B", "A"))
    assert not any("other GPUs" in warning for warning in warnings(plan()))
    (said,) = (warning for warning in warnings(plan("compute.device=cuda")) if "other GPUs" in warning)
    assert "(B): everything runs on A" in said
