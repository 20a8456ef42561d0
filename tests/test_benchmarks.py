"""The benchmarks run, and the published setting ends with a report, at an eighth of the widths."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from tests.conftest import Ablate

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def make_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, Any]]]:
    """``make_parts`` that makes those of one width once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import made

        @cache
        def make(divide: int) -> dict[str, Any]:
            parts: dict[str, Any] = made.make_parts(tmp_path_factory.mktemp("made") / "parts", divide=divide)
            return parts

        yield lambda folder, *, divide: make(divide)


@pytest.fixture
def bench(make_parts: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    import bench as module

    monkeypatch.setattr(module, "make_parts", make_parts)
    return module


@pytest.mark.usefixtures("blank_figures")
def test_the_published_setting_ends_with_a_report(
    make_parts: Callable[..., dict[str, Any]],
    ablate: Ablate,
    databases: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import true_shapes

    for database in databases.glob("*.db"):
        shutil.copy(database, tmp_path)

    def run(command: list[str], cwd: Path, check: bool) -> SimpleNamespace:
        """The command in this process."""
        assert command[:3] == [sys.executable, "-m", "ablate"]
        done = ablate(*command[3:], folder=cwd)
        print(done.shown)
        return SimpleNamespace(returncode=done.code)

    monkeypatch.setattr(true_shapes, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(true_shapes, "make_parts", make_parts)
    fewer = {"unet.layers_per_block": 1, "train.batch": 16, "train.accumulation": 2, "sample.steps": 2}
    for field, value in fewer.items():  # as many optimizer steps, in half as many batches
        monkeypatch.setitem(true_shapes.OVERRIDES, field, value)
    monkeypatch.setattr(
        sys, "argv", ["true_shapes.py", "--divide", "8", "--size", "64", "--out", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as end:
        true_shapes.main()
    assert end.value.code == 0  # what was printed, errors included, is shown where this fails
    report = (tmp_path / "reports" / "ema.md").read_text(encoding="utf-8")
    for variant in ("none", "from-start", "mid-way", "mid-way-stale"):
        assert f"| {variant} " in report
    assert "FID" in report


def test_each_way_of_doing_it_is_measured_against_the_first(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny = {
        "data": {"size": 32},
        "unet": {"sample_size": 8},
        "train": {"batch": 4},
        "sample": {"steps": 2, "batch": 2},
    }
    monkeypatch.setitem(bench.SIZES, "cpu", tiny)
    monkeypatch.setitem(bench.MATRIX, "cpu", (128, bench.torch.float32))
    monkeypatch.setattr(bench, "MEASURED", 4)
    page = "\n".join(bench.measure(tmp_path, "cpu", turns=2))
    for first in ("naive", "without LPIPS", "one prompt at a time"):
        assert f"| {first} | " in page
        assert f"| {first} again | " in page
    assert "GFLOP a sample" in page
    assert "Images a second" in page


def test_twice_as_fast_is_said_so(bench: ModuleType) -> None:
    low, high = bench.median_interval([2.0] * 9)
    assert (low, high) == (2.0, 2.0)
    row = bench.Row("better", 0.5, 2.0, low, high, None)
    assert "| better | 0.500 | 2.00 | 2.00 – 2.00 | – |" in bench.table("a step", [row])
