"""The audit finds what does nothing, says where it dies and why, and lets everything else pass.

Faults are planted in the configuration where one can be written there, otherwise in the training code
itself. Each has a control: the same question about the form without the fault.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from ablate.audit import compare
from ablate.audit import probe as probing
from ablate.audit.audit import audit
from ablate.audit.compare import first_difference, moment
from ablate.audit.probe import STEPS
from ablate.data import captions
from ablate.diffusion.schedule import ForwardProcess
from ablate.factors.ema import Ema
from ablate.parts.base import EMBEDDED_KIT
from ablate.records import LAYERS, Finding
from ablate.stages.batch import draw_batch
from ablate.stages.prepare import prepare
from ablate.stages.train import epoch_batches, train
from ablate.stages.training import Frozen, Training
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ablate.audit.probe import Probe
    from tests.conftest import MakeKeys

FEW = {"train": {"batch": 4}}
"""What acts on a few images acts on any number."""
LPIPS = {"losses": {"lpips": {"weight": 0.1, "start": 1, "images": 2}}}
KL = {"losses": {"kl": {"weight": 0.1, "start": 1}}}
FLIP = {"augmentation": {"kind": "flip", "start": 1}}
STRONG = {"augmentation": {"kind": "strong", "start": 2}}
EMA = {"ema": {"decay": 0.9, "start": 0}}
LINEAR = {"schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
SCALED = {"schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}

Overrides = dict[str, Any]


@pytest.fixture(scope="module")
def store(make_keys: MakeKeys, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the tiny data prepared. What an audit adds to it, it has to find by its key."""
    store = Store(tmp_path_factory.mktemp("store"))
    prepare(make_keys(), store, lambda text: None)
    return store


@pytest.fixture
def ask_anew(make_keys: MakeKeys, store: Store) -> Callable[..., list[Finding]]:
    """The findings about variants, given as overrides of the tiny setting; the first is the baseline."""

    def ask(
        variants: dict[str, Overrides], expect: Sequence[str] = (), seeds: Sequence[int] = (0,)
    ) -> list[Finding]:
        keys = {
            name: [make_keys(FEW, overrides, seed=seed) for seed in seeds]
            for name, overrides in variants.items()
        }
        for key, _ in list(store.entries("audit")):
            store.remove("audit", key)  # a fault that a test plants in the code is not in the key
        return audit(keys, next(iter(variants)), expect, store, lambda text: None)

    return ask


@pytest.fixture
def ask(ask_anew: Callable[..., list[Finding]], look: Callable[..., Probe]) -> Callable[..., list[Finding]]:
    """``ask_anew`` of the code as it is."""

    def ask(*arguments: Any, **more: Any) -> list[Finding]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compare, "probe", look)
            return ask_anew(*arguments, **more)

    return ask


def about(findings: Sequence[Finding], what: str, variant: str = "it") -> Finding:
    (finding,) = [f for f in findings if f.about == what and f.variant == variant]
    return finding


def alarms(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(f.variant, f.about, f.reason) for f in findings if f.act in ("inert", "warning")]


# ── what acts, acts ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (LPIPS, "losses.lpips"),
        (KL, "losses.kl"),
        (FLIP, "augmentation"),
        (STRONG, "augmentation"),
        ({"train": {"gradient_clip": 0.1}}, "train.gradient_clip"),
    ],
    ids=["lpips", "kl", "flip", "strong", "clip"],
)
def test_a_factor_of_the_training_is_active(ask: Any, overrides: Overrides, field: str) -> None:
    findings = ask({"plain": {}, "it": overrides})
    assert alarms(findings) == []
    assert about(findings, field).act == about(findings, "difference").act == "active"


@pytest.mark.parametrize(
    "overrides",
    [
        EMA,
        {"sample": {"scheduler": "DDPMScheduler"}},
        {"sample": {"steps": 5}},
        {"sample": {"guidance": 1.0}},
        {"sample": {"seed": 9}},
        {"evaluate": {"reference": "train"}},
    ],
    ids=["ema", "scheduler", "steps", "guidance", "sampling seed", "reference"],
)
def test_a_factor_that_changes_no_training_step_is_passive(ask: Any, overrides: Overrides) -> None:
    findings = ask({"plain": {}, "it": overrides})
    difference = about(findings, "difference")
    assert alarms(findings) == []
    assert difference.act == "passive"
    assert [difference.changes[layer] for layer in LAYERS[:5]] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "other",
    [{"start": 1}, {"start": 2, "shadow": "initial"}, {"decay": 0.8}, {"start": 1, "shadow": "initial"}],
    ids=str,
)
def test_averages_that_differ_in_start_decay_or_shadow_are_told_apart(ask: Any, other: Overrides) -> None:
    """Though no trained state is there yet: each average begins at a step of its own."""
    base = {"ema": {"decay": 0.9, "start": 1 if "shadow" in other and other["start"] == 1 else 0}}
    findings = ask({"plain": base, "it": {"ema": {**base["ema"], **other}}})
    assert alarms(findings) == []
    assert about(findings, "difference").act == "passive"


def test_a_schedule_that_begins_too_slowly_for_a_few_steps_is_active(ask: Any) -> None:
    long = {"train": {"epochs": 3000, "learning_rate": 1e-4}}
    findings = ask({"plain": long, "it": {**long, "lr_schedule": {"kind": "cosine"}}})
    assert about(findings, "lr_schedule").act == about(findings, "difference").act == "active"


def test_a_difference_that_only_later_batches_meet_is_active(ask: Any) -> None:
    """Two shares so close that no caption of the first steps lies between them."""
    some, more = ({"train": {"caption_dropout": share}} for share in (0.1, 0.102))
    difference = about(ask({"plain": some, "it": more}), "difference")
    assert difference.act == "active"
    assert difference.changes["batch"] and not difference.changes["loss"]


def test_of_changed_data_that_no_step_met_the_audit_only_warns(
    ask: Any, data_folder: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(data_folder, tmp_path / "other"))
    met = torch.cat(epoch_batches(32, FEW["train"]["batch"], seed=0, epoch=0)[:STEPS])
    images = captions.read(other).train
    unmet = next(number for number in range(len(images)) if number not in met)
    black = Image.new("RGB", Image.open(images[unmet].path).size)
    black.save(images[unmet].path)
    difference = about(ask({"plain": {}, "it": {"data": {"path": str(other)}}}), "difference")
    assert (difference.act, difference.reason) == (
        "warning",
        "the data differ, but none of the images and captions looked at do",
    )


def test_longer_training_is_active(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"train": {"epochs": 5}}})
    assert about(findings, "difference").act == "active"
    assert alarms(findings) == []


# ── a factor is looked at where it begins ────────────────────────────────────────────────────────


def test_a_late_factor_is_looked_at_in_its_first_epoch(ask: Any, make_keys: MakeKeys) -> None:
    assert make_keys().timeline[1] == make_keys(STRONG).timeline[1]
    findings = ask({"plain": {}, "it": STRONG})
    assert about(findings, "difference").epoch == about(findings, "augmentation").epoch == 2
    assert about(findings, "difference").changes["batch"] > 0


def test_each_of_several_late_factors_is_looked_at_in_its_own_epoch(ask: Any) -> None:
    both = {"losses": {**LPIPS["losses"], "kl": {"weight": 0.1, "start": 2}}}
    findings = ask({"plain": {}, "it": both})
    assert {f.about: f.epoch for f in findings if f.variant == "it"} == {
        "losses.lpips": 1,
        "losses.kl": 2,
        "difference": 1,
    }


def test_the_steps_begin_at_the_newest_state_before_the_factor(make_keys: MakeKeys, store: Store) -> None:
    plain, late = make_keys(seed=5), make_keys(STRONG, seed=5)
    assert first_difference(late, plain) == 2
    assert moment(late, plain, 2, store).start == 0
    train(plain, (), 0, 2, store, lambda training: None, lambda text: None)
    assert moment(late, plain, 2, store).start == 2


# ── planted faults ───────────────────────────────────────────────────────────────────────────────


def test_the_published_lpips_has_no_path_to_the_unet(ask: Any) -> None:
    findings = ask(
        {"plain": {}, "it": {"losses": {"lpips": {**LPIPS["losses"]["lpips"], "form": "as-published"}}}}
    )
    for finding in (about(findings, "losses.lpips"), about(findings, "difference")):
        assert (finding.act, finding.layer) == ("inert", "gradient")
        assert (
            finding.reason
            == "the LPIPS term has no path to the U-Net: its input was computed without gradient"
        )
        assert finding.changes["loss"] > 0


def test_the_published_kl_has_no_path_to_the_unet(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"losses": {"kl": {**KL["losses"]["kl"], "form": "as-published"}}}})
    assert (about(findings, "losses.kl").act, about(findings, "losses.kl").layer) == ("inert", "gradient")
    assert "the KL term has no path to the U-Net" in about(findings, "losses.kl").reason


def test_clipping_after_the_step_reaches_no_update(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"train": {"clip": "after-step"}}})
    finding = about(findings, "train.gradient_clip")
    assert (finding.act, finding.layer) == ("inert", "clipped gradient")
    assert finding.reason == "the optimizer sees the gradient as it was: clipping comes after its step"


def test_different_noise_in_training_and_sampling_is_a_warning_with_both_schedules(ask: Any) -> None:
    two = {"noise": LINEAR, "sample": {"noise": SCALED}}
    finding = about(ask({"plain": {}, "it": two}), "noise")
    assert finding.act == "warning"
    assert "0.078 and 0.276 at t = 500" in finding.reason
    assert alarms(ask({"plain": {}, "it": {"noise": LINEAR}})) == []
    assert alarms(ask({"plain": {}, "it": {"noise": LINEAR, "sample": {"noise": LINEAR}}})) == []


def test_a_scheduler_option_can_hide_the_mismatch_and_is_seen(ask: Any) -> None:
    hidden = {"sample": {"options": {"beta_schedule": "linear"}}}
    assert about(ask({"plain": {}, "it": hidden}), "noise").act == "warning"
    wrong = {"sample": {"options": {"prediction_type": "v_prediction"}}}
    finding = about(ask({"plain": {}, "it": wrong}), "noise")
    assert finding.reason == "training predicts epsilon, sampling v_prediction"


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"losses": {"lpips": {"start": 3}}}, "losses.lpips"),
        ({"losses": {"kl": {"start": "100%"}}}, "losses.kl"),
        ({"augmentation": {"kind": "flip", "start": 7}}, "augmentation"),
        ({"ema": {"decay": 0.9, "start": 3}}, "ema"),
    ],
    ids=["lpips", "kl", "augmentation", "ema"],
)
def test_an_onset_after_the_last_epoch_is_inert(ask: Any, overrides: Overrides, field: str) -> None:
    finding = about(ask({"plain": {}, "it": overrides}), field)
    assert finding.act == "inert"
    assert "the last epoch is 2" in finding.reason


@pytest.mark.parametrize("share", ["0%", "50%", "87%", "99.9%"])
def test_an_onset_as_a_share_below_all_epochs_acts(ask: Any, share: str) -> None:
    assert alarms(ask({"plain": {}, "it": {"augmentation": {"kind": "flip", "start": share}}})) == []


def test_an_average_that_nothing_samples_is_inert(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {**EMA, "sample": {"weights": "current"}}})
    finding = about(findings, "ema")
    assert (finding.act, finding.layer) == ("inert", "images")
    assert finding.changes["EMA weights"] > 0
    assert about(findings, "difference").act == "inert"


def test_a_part_in_a_folder_of_its_own_is_no_alarm(ask: Any, tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED_KIT / "perceptual", tmp_path / "alex")
    part = {"components": {"perceptual": str(tmp_path / "alex")}}  # and no folder below it, as in a kit
    findings = ask({"plain": {}, "it": {**LPIPS, **part}})
    assert alarms(findings) == []
    assert about(findings, "difference").act == "active"


@pytest.mark.parametrize("overrides", [{}, {"track": {"preview_prompts": 4}}], ids=["same", "tracking only"])
def test_two_variants_with_the_same_key_are_found(ask: Any, overrides: Overrides) -> None:
    findings = ask({"plain": {}, "other": LPIPS, "it": overrides})
    assert about(findings, "difference").act == "inert"
    assert about(findings, "difference").reason.startswith("the same as plain")
    findings = ask({"plain": {}, "other": LPIPS, "it": {**LPIPS, **overrides}})
    assert about(findings, "difference").reason.startswith("the same as other")
    assert alarms(ask({"plain": {}, "other": LPIPS, "it": KL})) == []


def test_guidance_without_caption_dropout_is_a_warning(ask: Any) -> None:
    none = {"train": {"caption_dropout": 0.0}}
    assert about(ask({"plain": {}, "it": none}), "sample.guidance").act == "warning"
    assert alarms(ask({"plain": {}, "it": {**none, "sample": {"guidance": 1.0}}})) == []
    assert alarms(ask({"plain": {}, "it": {"train": {"caption_dropout": 0.2}}})) == []


def test_a_scheduler_option_that_says_what_holds_anyway_is_inert(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"sample": {"options": {"solver_order": 2}}}})
    assert (about(findings, "difference").act, about(findings, "difference").layer) == ("inert", "batch")
    assert alarms(ask({"plain": {}, "it": {"sample": {"options": {"solver_order": 1}}}})) == []


@pytest.mark.parametrize("scheduler", ["DDPMScheduler", "DDIMScheduler"])
def test_clipping_latents_as_if_they_were_pixels_is_a_warning(ask: Any, scheduler: str) -> None:
    clipped = {"sample": {"scheduler": scheduler, "options": {"clip_sample": True}}}
    finding = about(ask({"plain": {}, "it": clipped}), "sample.options")
    assert (finding.act, finding.layer) == ("warning", "images")
    assert "by ±1" in finding.reason and "32% lie beyond" in finding.reason
    assert alarms(ask({"plain": {}, "it": {"sample": {"scheduler": scheduler}}})) == []
    threshold = {"sample": {"options": {"thresholding": True}}}
    assert about(ask({"plain": {}, "it": threshold}), "sample.options").act == "warning"


def test_a_cache_that_bypasses_the_augmentation_is_found(
    ask: Any, ask_anew: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alarms(ask({"plain": {}, "it": FLIP})) == []

    def from_the_cache(training: Training, rows: Any, epoch: int, number: int, acting: Any) -> Any:
        return draw_batch(training, rows, epoch, number, replace(acting, augmentation=None))

    monkeypatch.setattr(probing, "draw_batch", from_the_cache)
    finding = about(ask_anew({"plain": {}, "it": FLIP}), "augmentation")
    assert (finding.act, finding.layer) == ("inert", "batch")
    assert "a cache bypasses the augmentation" in finding.reason


@pytest.mark.parametrize("place", ["decode", "x0"])
def test_a_gradient_cut_on_the_way_to_lpips_is_found(
    ask_anew: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "decode":
        monkeypatch.setattr(Frozen, "decode", torch.no_grad()(Frozen.decode))
    else:
        whole = ForwardProcess.predicted_x0
        monkeypatch.setattr(ForwardProcess, "predicted_x0", lambda *args: whole(*args).detach())
    finding = about(ask_anew({"plain": {}, "it": LPIPS}), "losses.lpips")
    assert (finding.act, finding.layer) == ("inert", "gradient")
    assert "computed without gradient" in finding.reason


def test_an_optimizer_that_moves_nothing_is_found(ask_anew: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.stages.step.learning_rate", lambda *_: 0.0)
    finding = about(ask_anew({"plain": {}, "it": LPIPS}), "losses.lpips")
    assert (finding.act, finding.layer) == ("inert", "update")


def test_an_average_that_follows_the_weights_at_once_is_found(
    ask_anew: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ema, "update", lambda self, state, weights: state.update(self.begin(weights, dict)))
    finding = about(ask_anew({"plain": {}, "it": EMA}), "ema")
    assert (finding.act, finding.layer, finding.reason) == (
        "inert",
        "EMA weights",
        "the average equals the weights",
    )


def test_a_limit_that_no_gradient_reached_is_a_warning_and_no_alarm_that_stops(ask: Any) -> None:
    findings = ask({"plain": {"train": {"gradient_clip": 1e6}}, "it": {"train": {"gradient_clip": 1e7}}})
    for finding in (about(findings, "difference"), about(findings, "train.gradient_clip")):
        assert finding.act == "warning"
        assert "no gradient was clipped" in finding.reason


# ── what hides ───────────────────────────────────────────────────────────────────────────────────


def test_a_variant_that_equals_the_baseline_with_the_first_seed_alone_raises_no_alarm(ask: Any) -> None:
    own_seed = {"sample": {"seed": 0}}
    findings = ask({"plain": {}, "it": own_seed}, seeds=[0, 1])
    assert alarms(findings) == []
    assert about(findings, "difference").act == "passive"
    assert about(ask({"plain": {}, "it": own_seed}), "difference").act == "inert"


@pytest.mark.parametrize(
    ("base", "overrides", "field"),
    [
        (
            {"unet": {"addition_embed_type": "text"}},
            {"unet": {"addition_embed_type": None, "addition_embed_type_num_heads": 4}},
            "unet.addition_embed_type_num_heads",
        ),
        (
            {"noise": LINEAR},
            {"noise": {**LINEAR, "schedule": "squaredcos_cap_v2", "beta_end": 0.05}},
            "noise.beta_end",
        ),
        ({}, {"sample": {"steps": 5, "options": {"solver_order": 2}}}, "sample.options.solver_order"),
        ({}, {**LPIPS, "train": {"clip": "after-step"}}, "train.gradient_clip"),
    ],
    ids=["heads", "beta", "option", "clip"],
)
def test_a_field_that_does_nothing_is_found_behind_one_that_acts(
    ask: Any, base: Overrides, overrides: Overrides, field: str
) -> None:
    findings = ask({"plain": base, "it": overrides})
    assert about(findings, "difference").act in ("active", "passive")
    assert [f.about for f in findings if f.variant == "it" and f.act == "inert"] == [field]


@pytest.mark.parametrize(
    "overrides",
    [
        {"unet": {"addition_embed_type": "text", "addition_embed_type_num_heads": 4}},
        {"noise": {"schedule": "scaled_linear", "beta_start": 0.002}},
        {"train": {"batch": 8, "accumulation": 2}, "sample": {"batch": 2}},
        {"sample": {"scheduler": "DDPMScheduler", "options": {"clip_sample": False}}},
        {"augmentation": {"kind": "strong", "start": 1}, "ema": {"decay": 0.9, "start": 1}},
    ],
    ids=str,
)
def test_fields_that_act_together_raise_no_alarm(ask: Any, overrides: Overrides) -> None:
    base = {"unet": {"addition_embed_type": None}, "noise": LINEAR}
    assert alarms(ask({"plain": base, "it": {**base, **overrides}})) == []


def test_two_variants_that_are_the_same_to_the_last_bit_are_found(ask: Any) -> None:
    def average(**fields: Any) -> Overrides:
        return {"ema": {"decay": 0.9, **fields}}

    twins = {"plain": {}, "one": average(start=0), "it": average(start=0, shadow="initial")}
    finding = about(ask(twins), "difference")
    assert (finding.act, finding.reason) == (
        "inert",
        "ema.shadow changes nothing: the same as one, to the last bit",
    )
    others = {"plain": {}, "one": average(start=1), "it": average(start=1, shadow="initial")}
    assert alarms(ask(others)) == []


def test_a_field_that_equals_the_baselines_with_the_first_seed_alone_raises_no_alarm(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"sample": {"seed": 0, "steps": 5}}}, seeds=[0, 1])
    assert alarms(findings) == []


def test_the_order_of_clipping_below_the_limit_is_said_to_matter_to_no_gradient(ask: Any) -> None:
    train = {"gradient_clip": 1e6, "clip": "after-step"}
    findings = ask({"plain": {"train": train}, "it": {"train": {**train, "clip": "before-step"}}})
    assert {finding.act for finding in findings if finding.variant == "it"} == {"warning"}
    assert "no gradient was clipped" in about(findings, "difference").reason


def test_several_devices_cannot_be_looked_at(ask: Any) -> None:
    assert about(ask({"plain": {}, "it": {"train": {"devices": 2}}}), "difference").act == "warning"
    with_lpips = ask({"plain": {}, "it": {"train": {"devices": 2}, **LPIPS}})
    assert not [finding for finding in with_lpips if finding.act == "inert"]


def test_a_limit_that_no_gradient_reaches_is_said_to_be_not_reached(ask: Any) -> None:
    findings = ask({"plain": {}, "it": {"train": {"gradient_clip": 1e6}}})
    finding = about(findings, "train.gradient_clip")
    assert finding.act == "warning"
    assert finding.reason.startswith("no gradient was clipped in the steps looked at")
    low = ask({"plain": {}, "it": {"train": {"gradient_clip": 1e-2}}})
    assert about(low, "train.gradient_clip").act == "active"


# ── what the spec expects ────────────────────────────────────────────────────────────────────────


def test_what_is_expected_to_be_inert_is_marked(ask: Any) -> None:
    published = {"train": {"clip": "after-step"}}
    findings = ask({"plain": {}, "it": published}, expect=["it"])
    assert about(findings, "train.gradient_clip").expected
    assert [f for f in findings if f.act == "inert" and not f.expected] == []


def test_what_acts_though_it_is_expected_to_be_inert_is_a_warning(ask: Any) -> None:
    findings = ask({"plain": {}, "it": LPIPS}, expect=["it"])
    assert about(findings, "expect").act == "warning"


def test_what_the_baseline_has_too_is_said_once(ask: Any) -> None:
    two = {"noise": LINEAR, "sample": {"noise": SCALED}}
    findings = ask({"plain": two, "it": {**two, **KL}})
    assert [f.variant for f in findings if f.about == "noise"] == ["plain"]


def test_a_variant_that_cannot_be_looked_at_gets_the_reason(ask: Any, tmp_path: Any) -> None:
    findings = ask({"plain": {}, "it": {"components": {"vae": "openai/no-such-model"}}})
    assert about(findings, "difference").act == "warning"
    assert about(findings, "difference").reason.startswith(
        "not looked at: the VAE openai/no-such-model is not there"
    )
    assert [f.variant for f in findings if f.act == "active"] == ["plain"]


def test_what_could_not_be_looked_at_is_looked_at_again(
    make_keys: MakeKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = {"plain": [make_keys()], "it": [make_keys(FLIP)]}
    with monkeypatch.context() as patch:
        patch.setattr(compare, "probe", None)
        first = audit(variants, "plain", (), store, lambda text: None)
    assert about(first, "difference").reason.startswith("not looked at")
    assert about(audit(variants, "plain", (), store, lambda text: None), "difference").act == "active"


def test_the_same_question_is_answered_from_the_store(
    make_keys: MakeKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = {"plain": [make_keys()], "it": [make_keys(KL)]}
    first = audit(variants, "plain", (), store, lambda text: None)
    monkeypatch.setattr(compare, "probe", None)
    assert audit(variants, "plain", (), store, lambda text: None) == first
