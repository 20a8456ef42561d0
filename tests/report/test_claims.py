"""Claims: judged together, told in words, and checked where they must be supported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from synthetic import gathered

from ablate.report.formats.markdown import render
from ablate.report.results import unmet
from ablate.report.sections import SECTIONS, page
from ablate.report.sections.verdicts import how, says, verdict_table

if TYPE_CHECKING:
    from conftest import MakeRecord

    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def claiming(record: ExperimentRecord, *claims: dict[str, Any]) -> ExperimentRecord:
    """The record with other claims, each the first one with some fields replaced."""
    return replace(
        record, spec={**record.spec, "claims": [{**record.spec["claims"][0], **claim} for claim in claims]}
    )


def words(record: ExperimentRecord, claim: int = 0) -> str:
    claims = gathered(record).claims
    return " ".join(how(claims[claim], len(claims)))


def rendered(record: ExperimentRecord) -> str:
    return render(page(gathered(record, NOON)), record.name)


def test_claims_are_judged_together(record: ExperimentRecord) -> None:
    claims = gathered(record).claims
    assert [str(claim.verdict) for claim in claims] == [
        "supported",
        "refuted",
        "inconclusive",
        "supported",
        "supported",
    ]
    first = claims[0]
    assert first.metric_label == "FID (sprites-clip)"
    assert first.judgement.difference is not None
    assert first.judgement.difference.mean == pytest.approx(12.3, abs=1.5)
    assert first.judgement.p == first.smallest_p == 2**-7
    assert first.judgement.p_corrected == pytest.approx(4 * 2**-7)  # one of five has p = 0


def test_the_level_is_that_of_the_spec(record: ExperimentRecord) -> None:
    strict = gathered(replace(record, spec={**record.spec, "alpha": 0.01}))
    assert strict.alpha == 0.01
    assert str(strict.claims[0].verdict) == "inconclusive"


def test_a_claim_on_a_cost_is_one_like_any_other(record: ExperimentRecord) -> None:
    claim = gathered(record).claims[3]
    assert says(claim) == "seconds per epoch: lpips-late higher than none by 10 or more"
    assert claim.judgement.difference is not None
    assert claim.judgement.difference.mean == pytest.approx(14.5, abs=0.2)


def test_a_claim_that_must_be_supported_and_is_not_is_unmet(record: ExperimentRecord) -> None:
    results = gathered(record)
    assert [claim.text for claim in unmet(results)] == ["LPIPS improves results."]
    assert "**Note.** Claim 3 must be supported and is not." in rendered(record)
    rows = verdict_table(results).rows
    assert [row[1].endswith("*(must be supported)*") for row in rows] == [False, False, True, True, False]


def test_a_claim_of_equality_prints_its_margin_and_its_own_test(record: ExperimentRecord) -> None:
    claim = {"variant": "lpips-late", "direction": "equal", "margin": 2.0}
    record = claiming(record, claim)
    assert says(gathered(record).claims[0]) == "FID (sprites-clip): lpips-late equal to none within ±2"
    assert "Two one-sided t tests: p = " in words(record)
    assert "can give no less" not in words(record)


def test_inconclusive_comes_with_what_the_design_sees_and_what_it_would_take(
    record: ExperimentRecord,
) -> None:
    text = words(record, 2)
    assert "This design sees a true difference of 1.77 with 80 % power." in text
    assert "If the measured difference is the true one, 85 seeds would decide with 80 % power." in text


def test_differences_that_are_all_zero_are_called_so(record: ExperimentRecord) -> None:
    assert "Measured over 8 seeds: as-published − none = 0 in each." in words(record, 4)


def test_too_few_seeds_are_said_on_top_and_with_the_claim(make_record: MakeRecord) -> None:
    record = make_record(seeds=range(5))
    assert "8 seeds are the least that can decide the first of 5 claims." in words(record)
    assert "Too few seeds for claims 1, 2, 3 and 4 at level 0.05" in rendered(record)
    alone = claiming(record, {})
    assert "6 seeds are the least that can decide a claim." in words(alone)


def test_one_seed_decides_nothing(make_record: MakeRecord) -> None:
    record = make_record(seeds=[3])
    assert {str(claim.verdict) for claim in gathered(record).claims} == {"inconclusive"}
    assert "One seed decides nothing." in words(record)
    assert "nan" not in words(record)


def test_a_claim_on_runs_that_are_not_there_is_inconclusive(record: ExperimentRecord) -> None:
    results = gathered(replace(record, runs=[]))
    assert {str(claim.verdict) for claim in results.claims} == {"inconclusive"}
    assert verdict_table(results).rows[0][2:] == [
        "FID: mid-way-stale higher than none",
        "–",
        "1",
        "**inconclusive**",
    ]


def test_a_record_without_claims_has_no_verdicts(record: ExperimentRecord) -> None:
    assert SECTIONS["verdicts"].blocks(gathered(claiming(record))) == []
    assert "## Verdicts" not in rendered(claiming(record))


def looking(record: ExperimentRecord, *looks: int) -> ExperimentRecord:
    return replace(record, spec={**record.spec, "looks": looks})


def test_claims_are_judged_at_each_look_that_was_taken(make_record: MakeRecord) -> None:
    record = looking(make_record(seeds=range(9)), 9, 12)
    text = rendered(record)
    assert "after 9 and 12 seeds, which may spend 0.0375 and 0.0125 of this probability." in text
    assert "1 of 2 were taken." in text
    assert "Measured over 9 seeds (look at 9 seeds, where it was decided, at level 0.0375)" in text
    assert [claim.level for claim in gathered(record).claims] == [pytest.approx(0.0375)] * 5


def test_seeds_after_a_look_count_at_the_next_one(make_record: MakeRecord) -> None:
    record = make_record(seeds=range(11))
    nine = replace(record, runs=[run for run in record.runs if run.seed < 9])
    then, later = gathered(looking(nine, 9, 12)), gathered(looking(record, 9, 12))
    assert [claim.judgement for claim in then.claims] == [claim.judgement for claim in later.claims]


def test_before_the_first_look_nothing_is_decided(make_record: MakeRecord) -> None:
    record = looking(make_record(seeds=range(8)), 9, 12)
    assert {str(claim.verdict) for claim in gathered(record).claims} == {"inconclusive"}
    assert "None was taken yet, so nothing is decided." in rendered(record)


def test_a_look_waits_for_runs_that_are_open(make_record: MakeRecord) -> None:
    record = make_record(seeds=range(9))
    assert gathered(looking(replace(record, runs=record.runs[1:]), 9, 12)).looks.taken == 0


def test_without_planned_looks_nothing_is_decided_while_a_run_is_open(make_record: MakeRecord) -> None:
    record = make_record(seeds=range(9))
    on_the_way = replace(record, runs=record.runs[1:])
    assert {str(claim.verdict) for claim in gathered(on_the_way).claims} == {"inconclusive"}
    text = rendered(on_the_way)
    assert "Claims are judged when all runs have ended, so nothing is decided yet." in text
    assert "must be supported and" not in text  # not said before it was judged


def test_a_run_that_failed_has_ended(make_record: MakeRecord) -> None:
    record = make_record(seeds=range(9))
    failed = replace(record.runs[0], status="FAILED", metrics={})
    ended = gathered(replace(record, runs=[failed, *record.runs[1:]]))
    assert str(ended.claims[0].verdict) == "supported"
