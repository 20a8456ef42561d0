"""Keys: they change with everything that can change a result, and with nothing else."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ablate import factors, fingerprint
from ablate.data.place import place_of
from ablate.errors import DataError
from ablate.experiment.config import Config, kit_parts
from ablate.factors.ema import Ema
from ablate.fingerprint import Contents
from ablate.hardware import device_class
from ablate.parts.base import EMBEDDED_KIT
from ablate.plan import differences
from ablate.stages.keys import RunKeys
from ablate.stages.trained import newest_stored_state, observer_key
from ablate.store import Store
from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeConfig, MakeKeys

EPOCHS = 12
LONG = {"train": {"epochs": EPOCHS}}

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

epochs = st.integers(0, EPOCHS - 1)
shares = st.integers(0, 90).map(lambda percent: f"{percent}%")
timelines = st.fixed_dictionaries(
    {
        "losses": st.fixed_dictionaries(
            {
                "lpips": st.none() | st.fixed_dictionaries({"weight": st.just(0.1), "start": epochs}),
                "kl": st.none() | st.fixed_dictionaries({"weight": st.just(0.01), "start": epochs}),
            }
        ),
        "augmentation": st.fixed_dictionaries(
            {"kind": st.sampled_from(["none", "flip", "strong"]), "start": epochs}
        ),
    }
)
passive = st.fixed_dictionaries(
    {},
    optional={
        "ema": st.fixed_dictionaries(
            {
                "decay": st.sampled_from([0.9, 0.99]),
                "start": epochs | shares,
                "shadow": st.sampled_from(["current", "initial"]),
            }
        ),
        "sample": st.fixed_dictionaries(
            {},
            optional={
                "scheduler": st.sampled_from(["DDPMScheduler", "EulerDiscreteScheduler"]),
                "steps": st.integers(1, 50),
                "guidance": st.sampled_from([1.0, 3.0, 8.0]),
                "batch": st.integers(1, 64),
            },
        ),
        "evaluate": st.fixed_dictionaries({"reference": st.sampled_from(["test", "train"])}),
        "track": st.fixed_dictionaries(
            {"preview_every": st.integers(0, 9), "preview_prompts": st.integers(1, 9)}
        ),
    },
)


def test_a_run_as_it_stands_on_the_way_is_a_run_of_so_many_epochs(make_keys: MakeKeys) -> None:
    late = {"losses": {"lpips": {"weight": 0.1, "start": 4}}, "ema": {"decay": 0.9, "start": 6}}
    whole, short = make_keys(LONG, late), make_keys(LONG, late, {"train": {"epochs": 5}})
    on_the_way = whole.at(5)
    assert all_keys(on_the_way) == all_keys(short) and on_the_way.weights == short.weights
    assert all_keys(on_the_way.whole) == all_keys(whole)
    assert whole.at(EPOCHS) is whole.at(None) is whole.whole is whole
    # What looks ahead, or begins at a share of all epochs, does not take the mark for the end.
    shares = {"ema": {"decay": 0.9, "start": "50%"}, "lr_schedule": {"kind": "cosine"}}
    assert make_keys(LONG, shares).at(8).chain == make_keys(LONG, shares).chain[:9]
    assert make_keys(LONG, shares).at(6).observer is None and make_keys(LONG, shares).at(7).observer


def all_keys(keys: RunKeys) -> tuple[str, ...]:
    return (keys.prepare, *keys.chain, keys.sample, keys.evaluate)


@quick
@given(timeline=timelines)
def test_what_acts_in_an_epoch_is_what_has_begun_by_then(
    make_keys: MakeKeys, timeline: dict[str, Any]
) -> None:
    keys = make_keys(LONG, timeline)
    for epoch in range(EPOCHS):
        acting = factors.acting(keys.config, epoch)
        assert keys.acting(epoch) == acting
        assert list(keys.timeline[epoch]) == [factor.name for factor in acting]


@quick
@given(timeline=timelines, observed=passive, seed=st.integers(0, 9))
def test_equal_configurations_give_equal_keys(
    make_keys: MakeKeys, contents: Contents, timeline: dict[str, Any], observed: dict[str, Any], seed: int
) -> None:
    keys = make_keys(LONG, timeline, observed, seed=seed)
    again = Config.model_validate(keys.config.model_dump(mode="json"))
    assert all_keys(RunKeys(again, seed, contents)) == all_keys(keys)


@quick
@given(timeline=timelines, observed=passive)
def test_a_passive_factor_never_changes_the_chain(
    make_keys: MakeKeys, timeline: dict[str, Any], observed: dict[str, Any]
) -> None:
    assert make_keys(LONG, timeline, observed).chain == make_keys(LONG, timeline).chain


@quick
@given(timeline=timelines, onset=epochs, factor=st.sampled_from(["lpips", "kl", "augmentation"]))
def test_a_factor_with_an_onset_changes_all_links_after_it_and_none_before(
    make_keys: MakeKeys, timeline: dict[str, Any], onset: int, factor: str
) -> None:
    off = {"augmentation": {"kind": "none"}} if factor == "augmentation" else {"losses": {factor: None}}
    on = (
        {"augmentation": {"kind": "strong", "start": onset}}
        if factor == "augmentation"
        else {"losses": {factor: {"weight": 0.5, "start": onset}}}
    )
    without, with_it = make_keys(LONG, timeline, off).chain, make_keys(LONG, timeline, on).chain
    assert with_it[: onset + 1] == without[: onset + 1]
    assert not set(with_it[onset + 1 :]) & set(without)


@quick
@given(timeline=timelines, more=st.integers(1, 20))
def test_a_longer_training_continues_the_chain_of_the_shorter(
    make_keys: MakeKeys, timeline: dict[str, Any], more: int
) -> None:
    short = make_keys(LONG, timeline).chain
    longer = make_keys(timeline, {"train": {"epochs": EPOCHS + more}}).chain
    assert longer[: EPOCHS + 1] == short
    assert len(longer) == EPOCHS + more + 1


@quick
@given(timeline=timelines, seeds=st.lists(st.integers(0, 2**31 - 1), min_size=2, max_size=2, unique=True))
def test_seeds_differ_from_the_first_link_on(
    make_keys: MakeKeys, timeline: dict[str, Any], seeds: list[int]
) -> None:
    one, other = (make_keys(LONG, timeline, seed=seed) for seed in seeds)
    assert not set(one.chain) & set(other.chain)
    assert one.prepare == other.prepare


def test_an_epoch_and_the_share_of_epochs_that_it_lies_at_give_the_same_keys(make_keys: MakeKeys) -> None:
    def at(start: int | str) -> RunKeys:
        return make_keys(
            {
                "train": {"epochs": 300},
                "losses": {"lpips": {"start": start}},
                "ema": {"decay": 0.9, "start": start},
            }
        )

    assert all_keys(at(129)) == all_keys(at("43%"))
    assert all_keys(at(130)) != all_keys(at("43%"))


@pytest.mark.parametrize(
    "override",
    [
        {"train": {"batch": 8}},
        {"train": {"accumulation": 2}},
        {"train": {"learning_rate": 1e-4}},
        {"train": {"weight_decay": 0.0}},
        {"train": {"gradient_clip": None}},
        {"train": {"caption_dropout": 0.2}},
        {"train": {"precision": "bf16"}},
        {"noise": {"schedule": "linear"}},
        {"noise": {"prediction": "v_prediction"}},
        {"unet": {"layers_per_block": 2}},
        {"compute": {"threads": 2}},
        {"data": {"size": 16}},
    ],
    ids=str,
)
def test_a_factor_of_the_whole_training_changes_every_link_that_it_acts_on(
    make_keys: MakeKeys, override: dict[str, Any]
) -> None:
    assert not set(make_keys(override).chain[1:]) & set(make_keys().chain)


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ({"track": {"preview_every": 0}}, set()),
        ({"evaluate": {"reference": "train"}}, {"evaluate"}),
        ({"sample": {"guidance": 1.0}}, {"sample", "evaluate"}),
        ({"sample": {"noise": {"schedule": "linear"}}}, {"sample", "evaluate"}),
        ({"ema": {"decay": 0.9}}, {"sample", "evaluate"}),
        ({"data": {"size": 16}}, {"prepare", "chain", "sample", "evaluate"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_factor_changes_the_stages_that_stand_on_it_and_no_others(
    make_keys: MakeKeys, override: dict[str, Any], changed: set[str]
) -> None:
    new, old = make_keys(override), make_keys()
    stages = ("prepare", "chain", "sample", "evaluate")
    assert {name for name in stages if getattr(new, name) != getattr(old, name)} == changed


def test_the_weight_of_a_loss_matters_only_from_its_onset_on(make_keys: MakeKeys) -> None:
    def weighted(weight: float) -> tuple[str, ...]:
        return make_keys(LONG, {"losses": {"kl": {"weight": weight, "start": 7}}}).chain

    one, other = weighted(0.1), weighted(0.2)
    assert [a == b for a, b in zip(one, other, strict=True)] == [True] * 8 + [False] * 5


def test_another_class_of_device_has_other_keys(make_keys: MakeKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    here = all_keys(make_keys())
    other = {**device_class("cpu"), "instructions": "x86_64 another"}
    monkeypatch.setattr(fingerprint, "device_class", lambda device: other)
    assert not set(all_keys(make_keys())) & set(here)


# ── contents ─────────────────────────────────────────────────────────────────────────────────────


class Place:
    """A copy of the data and of a stand-in for the kit (only its bytes are digested) in a folder."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root = root
        shutil.copytree(data, root / "data")
        for part in kit_parts(""):
            (root / "kit" / part).mkdir(parents=True)
            (root / "kit" / part / "weights").write_bytes(part.encode())

    def keys(self, make_config: MakeConfig) -> RunKeys:
        config = make_config(
            {"data": {"path": str(self.root / "data")}, "components": str(self.root / "kit")}
        )
        return RunKeys(config, 0, Contents(self.root / "digests.json"))


@pytest.fixture
def place(tmp_path: Path, data_folder: Path) -> Place:
    return Place(tmp_path / "one", data_folder)


def test_the_same_data_and_kit_in_another_folder_give_equal_keys(
    place: Place, tmp_path: Path, data_folder: Path, make_config: MakeConfig
) -> None:
    other = Place(tmp_path / "an other", data_folder)
    assert all_keys(other.keys(make_config)) == all_keys(place.keys(make_config))


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("data/train_info.json", {"prepare", "sample", "evaluate"}),
        ("kit/vae/weights", {"prepare", "sample", "evaluate"}),
        ("kit/tokenizer/weights", {"prepare", "sample", "evaluate"}),
        ("kit/evaluator/weights", {"evaluate"}),
        ("kit/perceptual/weights", set()),
    ],
)
def test_a_further_byte_changes_the_keys_of_what_reads_it(
    place: Place, make_config: MakeConfig, file: str, changed: set[str]
) -> None:
    path = place.root / file
    before = place.keys(make_config)
    old = {name: getattr(before, name) for name in ("prepare", "sample", "evaluate")}
    path.write_bytes(path.read_bytes() + b"\n")  # JSON is still JSON
    after = place.keys(make_config)
    assert {name for name, key in old.items() if getattr(after, name) != key} == changed


def test_the_perceptual_backbone_is_part_of_the_chain_once_lpips_acts(
    place: Place, make_config: MakeConfig
) -> None:
    def chain() -> tuple[str, ...]:
        plain = place.keys(make_config)
        config = Config.model_validate(
            plain.config.model_dump(mode="json") | {"losses": {"lpips": {"start": 1}}}
        )
        return RunKeys(config, 0, Contents(place.root / "digests.json")).chain

    before = chain()
    (place.root / "kit" / "perceptual" / "weights").write_bytes(b"other weights")
    assert [a == b for a, b in zip(chain(), before, strict=True)] == [True, True, False, False]


def test_a_renamed_file_changes_the_digest_and_a_touched_one_does_not(
    place: Place, make_config: MakeConfig
) -> None:
    before = place.keys(make_config).prepare
    file = next((place.root / "data" / "train").iterdir())
    os.utime(file, (1, 1))
    assert place.keys(make_config).prepare == before
    file.rename(file.with_name("renamed.png"))
    assert place.keys(make_config).prepare != before


def test_digests_are_kept_between_commands(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED", -1)  # the files were written a moment ago
    file = place.root / "digests.json"
    contents = Contents(file)
    first = place_of(str(place.root / "data")).identity(contents)
    contents.save()
    marked = file.stat().st_mtime_ns
    again = Contents(file)
    assert place_of(str(place.root / "data")).identity(again) == first
    again.save()
    assert file.stat().st_mtime_ns == marked


def test_a_folder_below_the_home_folder_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place.root))
    contents = Contents(place.root / "digests.json")
    assert place_of("~/data").identity(contents) == place_of(str(place.root / "data")).identity(contents)


def test_a_missing_data_folder_is_named(contents: Contents, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data folder") as caught:
        place_of(str(tmp_path / "nowhere")).identity(contents)
    assert "nowhere" in caught.value.where


def test_a_part_of_a_hub_is_identified_by_its_name(make_config: MakeConfig, contents: Contents) -> None:
    config = make_config({"components": {"vae": {"source": "owner/model", "subfolder": "vae"}}})
    assert contents.of_part(config.components.vae) == "owner/model/vae"


def test_the_embedded_kit_is_identified_by_its_files(contents: Contents, make_config: MakeConfig) -> None:
    embedded = make_config({"components": "sprites"}).components
    explicit = make_config({"components": str(EMBEDDED_KIT)}).components
    assert contents.of_part(embedded.vae) == contents.of_part(explicit.vae)
    assert contents.of_part(embedded.vae).startswith("content:")


# ── differences ──────────────────────────────────────────────────────────────────────────────────


def test_differences_say_what_changed_from_what_to_what() -> None:
    old = {"train": {"batch": 32}, "code": {"diffusion/ema.py": "a", "torch": "2.14"}, "prepare": "x"}
    new = {"train": {"batch": 64}, "code": {"diffusion/ema.py": "b", "torch": "2.15"}, "prepare": "y"}
    assert differences(new, old) == [
        "diffusion/ema.py changed",
        "torch: 2.14 → 2.15",
        "prepare changed",
        "train.batch: 32 → 64",
    ]


def test_equal_ingredients_do_not_differ(make_keys: MakeKeys) -> None:
    keys = make_keys()
    assert differences(keys.root_ingredients, make_keys().root_ingredients) == []


# ── where a training goes on ─────────────────────────────────────────────────────────────────────

CHAIN = tuple(f"state {number}" for number in range(11))
EARLY, LATE = Ema(decay=0.9, start=2, shadow="current"), Ema(decay=0.99, start=6, shadow="initial")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, epoch: int, *observers: Ema) -> None:
    for stage in ("train", "moments"):
        with store.writing(stage, CHAIN[epoch], {}):
            pass
    for observer in observers:
        with store.writing("ema", observer_key(observer, CHAIN[epoch]), {}):
            pass


def test_a_training_goes_on_at_the_newest_stored_state_up_to_its_end(store: Store) -> None:
    assert newest_stored_state(CHAIN, (), 10, store) == 0
    for epoch in (3, 5, 8):
        put(store, epoch)
    assert newest_stored_state(CHAIN, (), 10, store) == 8
    assert newest_stored_state(CHAIN, (), 8, store) == 8
    assert newest_stored_state(CHAIN, (), 7, store) == 5


def test_a_link_without_the_average_of_an_observer_that_has_started_is_passed_over(store: Store) -> None:
    put(store, 4, EARLY)
    put(store, 8, EARLY)
    assert newest_stored_state(CHAIN, (EARLY,), 10, store) == 8
    assert newest_stored_state(CHAIN, (EARLY, LATE), 10, store) == 4
    assert newest_stored_state(CHAIN, (Ema(decay=0.5, start=2, shadow="current"),), 10, store) == 0


def test_at_the_epoch_in_which_an_observer_starts_there_is_nothing_to_miss(store: Store) -> None:
    put(store, 6)
    assert newest_stored_state(CHAIN, (LATE,), 10, store) == 6
    put(store, 7)
    assert newest_stored_state(CHAIN, (LATE,), 10, store) == 6


def test_without_its_moments_a_state_is_the_end_of_a_training_and_the_beginning_of_none(store: Store) -> None:
    put(store, 3)
    put(store, 8)
    store.remove("moments", CHAIN[8])
    assert newest_stored_state(CHAIN, (), 8, store) == 8
    assert newest_stored_state(CHAIN, (), 10, store) == 3


@quick
@given(
    stored=st.sets(st.integers(1, 10)),
    moments=st.sets(st.integers(1, 10)),
    averaged=st.sets(st.integers(1, 10)),
    start=st.integers(0, 9),
    end=st.integers(0, 10),
)
def test_the_newest_link_is_the_last_complete_one(
    tmp_path_factory: pytest.TempPathFactory,
    stored: set[int],
    moments: set[int],
    averaged: set[int],
    start: int,
    end: int,
) -> None:
    assume(stored)
    store, observer = Store(tmp_path_factory.mktemp("store")), Ema(decay=0.9, start=start, shadow="current")
    for stage, key in [
        *(("train", CHAIN[epoch]) for epoch in stored),
        *(("moments", CHAIN[epoch]) for epoch in moments),
        *(("ema", observer_key(observer, CHAIN[epoch])) for epoch in averaged),
    ]:
        store.path(stage, key).mkdir(parents=True)
        (store.path(stage, key) / ENTRY).write_text("{}")
    complete = [
        epoch
        for epoch in stored
        if epoch <= end and (epoch <= start or epoch in averaged) and (epoch == end or epoch in moments)
    ]
    assert newest_stored_state(CHAIN, [observer], end, store) == max(complete, default=0)


@pytest.mark.parametrize("given", ["file", "folder"])
def test_an_inception_of_one_s_own_counts_by_its_content_where_it_is_used(
    make_keys: MakeKeys, tmp_path: Path, given: str
) -> None:
    def keys_with(content: str, features: str = "inception") -> RunKeys:
        folder = tmp_path / content
        folder.mkdir(exist_ok=True)
        file = folder / "inception-2015-12-05.pt"
        file.write_text(content)
        part = {"source": str(file if given == "file" else folder)}
        return make_keys({"components": {"inception": part}, "evaluate": {"fid_features": features}})

    one, other = keys_with("one"), keys_with("other")
    assert one.evaluate != other.evaluate
    assert one.sample == other.sample
    assert keys_with("one", "evaluator").evaluate == keys_with("other", "evaluator").evaluate
    assert one.evaluate != make_keys({"evaluate": {"fid_features": "inception"}}).evaluate
