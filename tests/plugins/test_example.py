"""The example of a plug-in keeps the contracts, and the page that explains it shows what really is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablate.experiment.load import load_experiment
from ablate.plugins import Plugin
from ablate.testing import (
    AugmentationContract,
    LossContract,
    MetricContract,
    ObserverContract,
    SectionContract,
    SpaceContract,
    WeightingContract,
)
from ablate.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-parts.md").read_text(encoding="utf-8")
own: Any = Plugin.read(ROOT / "examples" / "own_parts.py").module()


class TestEdges(LossContract):
    @pytest.fixture
    def loss(self) -> Any:
        return own.Edges(weight=0.5)


class TestClean(WeightingContract):
    @pytest.fixture
    def weighting(self) -> Any:
        return own.Clean()


class TestCutout(AugmentationContract):
    @pytest.fixture
    def augmentation(self) -> Any:
        return own.Cutout()


class TestMean(ObserverContract):
    @pytest.fixture
    def observer(self) -> Any:
        return own.Mean(start=1)


class TestMetrics(MetricContract):
    @pytest.fixture(params=list(own.METRICS))
    def metric(self, request: pytest.FixtureRequest) -> Any:
        return own.METRICS[request.param]


class TestPixels(SpaceContract):
    @pytest.fixture
    def space(self) -> Any:
        return own.Pixels(None, "cpu")


class TestWinners(SectionContract):
    @pytest.fixture
    def section(self) -> Any:
        return own.Winners()


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_s_loss_and_spec_can_be_used_as_they_stand(tmp_path: Path) -> None:
    loss, metric, contract = code("python")
    (tmp_path / "edges.py").write_text(loss)
    (tmp_path / "edges.yaml").write_text(code("yaml")[0])
    experiment = load_experiment(tmp_path / "edges.yaml")
    assert experiment.variants["edges"].losses.edges.start == "50%"
    assert set(Plugin("brightness.py", metric).module().METRICS) == {"brightness"}
    compile(contract, "test_edges.py", "exec")


def test_the_page_s_message_is_the_one_that_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ablate: Callable[..., Any]
) -> None:
    (tmp_path / "edges.py").write_text(code("python")[0])
    (tmp_path / "edges.yaml").write_text(code("yaml")[0].replace("weight: 0.1", "weigth: 0.1"))
    done = ablate("plan", "edges.yaml", folder=tmp_path)
    assert done.code == 2
    assert done.err.strip() in PAGE


def test_the_page_names_every_dict_that_a_plug_in_may_have() -> None:
    from ablate.plugins import DICTS

    assert re.findall(r"^\| `([A-Z]+)` \|", PAGE, re.MULTILINE) == list(DICTS)
    assert vocabulary_of((Plugin.read(ROOT / "examples" / "own_parts.py"),)).plugins
    assert all(hasattr(own, name) for name in DICTS)
