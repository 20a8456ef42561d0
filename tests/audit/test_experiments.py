"""The shipped experiments: the audit finds what was planted in them and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ablate.audit import compare
from ablate.audit.audit import audit
from ablate.experiment.load import load_experiment
from ablate.experiment.trials import probed
from ablate.stages.keys import RunKeys
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ablate.audit.probe import Probe
    from ablate.fingerprint import Contents
    from ablate.records import Finding

SMALL = {
    "unet.block_out_channels": [16],
    "unet.down_block_types": ["DownBlock2D"],
    "unet.up_block_types": ["UpBlock2D"],
    "unet.norm_num_groups": 8,
    "unet.attention_head_dim": 8,
    "unet.addition_embed_type_num_heads": 4,
    "train.batch": 4,
}
"""What acts in a small U-Net on a few images acts in any."""

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))


@pytest.fixture(scope="module")
def ask(
    contents: Contents,
    data_folder: Path,
    look: Callable[..., Probe],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], list[Finding]]]:
    """The findings about a shipped experiment, as it is but for its size."""
    store = Store(tmp_path_factory.mktemp("store"))

    def ask(name: str) -> list[Finding]:
        (file,) = [file for file in EXPERIMENTS if file.stem == name]
        sets = [
            f"{field}={json.dumps(value)}"
            for field, value in {**SMALL, "data.path": str(data_folder)}.items()
        ]
        experiment = load_experiment(file, sets=sets)
        if experiment.spec.search:
            experiment = probed(experiment)
        spec = experiment.spec
        variants = {
            v: [RunKeys(c, seed, contents) for seed in spec.seeds] for v, c in experiment.variants.items()
        }
        return audit(variants, spec.baseline, tuple(spec.expect), store, lambda text: None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "probe", look)
        yield ask


def test_the_four_faults_of_the_published_code_are_found_and_placed(
    ask: Callable[[str], list[Finding]],
) -> None:
    found = {
        (f.variant, f.about): (f.act, f.layer) for f in ask("as-published") if f.act in ("inert", "warning")
    }
    assert found == {
        ("lpips-without-gradient", "losses.lpips"): ("inert", "gradient"),
        ("kl-of-the-vae", "losses.kl"): ("inert", "gradient"),
        ("clipped-after-the-step", "train.gradient_clip"): ("inert", "clipped gradient"),
        ("two-noise-schedules", "noise"): ("warning", "images"),
        ("as-published", "losses.lpips"): ("inert", "gradient"),
        ("as-published", "losses.kl"): ("inert", "gradient"),
        ("as-published", "train.gradient_clip"): ("inert", "clipped gradient"),
        ("as-published", "noise"): ("warning", "images"),
    }


@pytest.mark.parametrize("name", [file.stem for file in EXPERIMENTS if file.stem != "as-published"])
def test_the_other_experiments_raise_no_alarm_but_for_what_they_expect(
    ask: Callable[[str], list[Finding]], name: str
) -> None:
    findings = ask(name)
    warned = {f.variant for f in findings if f.act == "warning"}
    assert warned == {f.variant for f in findings if f.variant.endswith("clipped")}
    assert {f.variant for f in findings if f.act == "inert"} == {f.variant for f in findings if f.expected}
    assert {f.act for f in findings} & {"active", "passive"}


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_reads_with_each_profile_and_its_factors_begin_before_the_end(file: Path) -> None:
    for profile in ("sprites", "maplestory"):
        experiment = load_experiment(file, profile=profile)
        assert experiment.spec.profile == profile
        assert set(experiment.spec.expect) <= set(experiment.variants)
