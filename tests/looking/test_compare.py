"""What differs between two experiments, variants or runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from ablate.errors import UserError
from ablate.looking.chosen import Chosen, choose
from ablate.looking.compare import A, B, compare, differences

if TYPE_CHECKING:
    from pathlib import Path

look = cache(choose)  # reading the record takes a second


@pytest.fixture
def uri(finished: Path) -> str:
    return f"sqlite:///{finished / 'mlflow.db'}"


def with_variant_called(chosen: Chosen, old: str, new: str) -> Chosen:
    """The same experiment, recorded at another time with another name of a variant."""
    runs = [replace(run, variant=new if run.variant == old else run.variant) for run in chosen.record.runs]
    variants = {new if name == old else name: it for name, it in chosen.record.spec["variants"].items()}
    spec = {**chosen.record.spec, "variants": variants}
    return replace(chosen, record=replace(chosen.record, runs=runs, spec=spec))


def test_two_variants_differ_in_what_they_override_and_share_their_trunk(uri: str) -> None:
    found = compare(look("tiny/late", uri), look("tiny/plain", uri))
    (pair,) = found.pairs
    assert pair.title == "late against plain"
    assert {name.split(".")[0] for name in pair.settings} == {"ema", "losses"}
    assert pair.settings["ema.decay"] == ("0.9", "")
    assert pair.seeds == [0, 1]
    assert pair.shared == {0: (1, 3, 3), 1: (1, 3, 3)}
    assert not found.versions


def test_differences_are_a_minus_b_paired_by_seed(uri: str) -> None:
    (pair,) = compare(look("tiny/late", uri), look("tiny/plain", uri)).pairs
    fid = next(metric for metric in pair.metrics if metric.key == "fid")
    ours, theirs = (look(name, uri).runs for name in ("tiny/late", "tiny/plain"))
    expected = fmean(a.metrics["fid"] - b.metrics["fid"] for a, b in zip(ours, theirs, strict=True))
    assert fid.differences[A].mean == pytest.approx(expected)
    assert fid.intervals[B].mean == pytest.approx(fmean(run.metrics["fid"] for run in theirs))


def test_one_run_against_one_is_shown_with_a_warning(uri: str) -> None:
    (pair,) = compare(look("tiny/late/0", uri), look("tiny/plain/1", uri)).pairs
    ours, theirs = (look(name, uri).runs[0] for name in ("tiny/late/0", "tiny/plain/1"))
    fid = next(metric for metric in pair.metrics if metric.key == "fid")
    assert fid.differences[A].mean == pytest.approx(ours.metrics["fid"] - theirs.metrics["fid"])
    assert "nobody can tell a difference from chance" in pair.notes[0]


def test_two_runs_of_one_seed_go_by_that_seed(uri: str) -> None:
    (pair,) = compare(look("tiny/late/1", uri), look("tiny/plain/1", uri)).pairs
    assert pair.seeds == [1] and pair.shared == {1: (1, 3, 3)}


def test_two_experiments_are_paired_by_variants_of_one_name(uri: str) -> None:
    a = look("tiny", uri)
    b = with_variant_called(a, "late", "smoothed")
    found = compare(a, b)
    assert [pair.title for pair in found.pairs] == ["plain"]
    assert found.only == (["late"], ["smoothed"])


def test_without_a_variant_in_common_it_says_what_there_is(uri: str) -> None:
    a = look("tiny", uri)
    b = with_variant_called(with_variant_called(a, "late", "x"), "plain", "y")
    with pytest.raises(UserError, match="no variant in common") as caught:
        compare(a, b)
    assert "late" in caught.value.fix and "x" in caught.value.fix


def test_figures_that_were_measured_against_other_images_are_not_to_be_compared(uri: str) -> None:
    a = look("tiny/plain", uri)
    runs = [replace(run, params={**run.params, "data.path": "elsewhere"}) for run in a.record.runs]
    (pair,) = compare(a, replace(a, record=replace(a.record, runs=runs))).pairs
    assert pair.notes[0].startswith("data.path: measured against other images")


def test_other_images_below_the_same_path_are_told(uri: str) -> None:
    def notes_with(data: str) -> list[str]:
        a = look("tiny", uri)
        assert a.record.data
        pairs = compare(a, replace(a, record=replace(a.record, data=data))).pairs
        return [note for pair in pairs for note in pair.notes if "The data of the two differ" in note]

    assert len(notes_with("another digest")) == 2
    assert notes_with("") == notes_with(look("tiny", uri).record.data) == []


def test_values_that_only_one_side_has_are_differences() -> None:
    assert differences({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == {
        "a": ("1", ""),
        "c": ("3", "4"),
        "d": ("", "5"),
    }
