"""The top of the page: the question, the design, and what must be known before the numbers."""

from __future__ import annotations

from ablate.records import FAILED, FINISHED
from ablate.report.blocks import Block, Heading, Notes, Text, bold, code
from ablate.report.results import Results, unmet
from ablate.report.section import Section
from ablate.report.sections import audit
from ablate.report.sections.gaps import find_gaps
from ablate.report.sections.results import image_counts
from ablate.report.sections.variants import changes, same_noise
from ablate.report.words import line, listed, shorten
from ablate.text import brief, plural

MOST_FAILURES = 3
"""That are told at the top of the page."""


class Opening(Section):
    """Title, question, design and notes."""

    name = "opening"

    def blocks(self, results: Results) -> list[Block]:
        """Always there."""
        spec, written = results.record.spec, results.written
        seeds = f"{plural(len(results.seeds), 'seed')} ({', '.join(map(str, results.seeds))})"
        noise = "noise" if same_noise(results) else "training noise"
        opening: list[Block] = [
            Heading(results.record.name, level=1),
            Text(bold(line(spec["question"]))),
            Text(f"Generated {written:%Y-%m-%d %H:%M} {written:%Z}".strip()),
            Text(
                f"Profile `{spec.get('profile', '')}`, {plural(len(results.variants), 'variant')} × {seeds}, "
                f"{plural(len(results.finished), 'finished run')}. Baseline: {bold(results.baseline)}. "
                f"Runs with the same seed share initial weights, data order and {noise}"
                f"{_where_equal(results)}, so variants are compared within seeds."
            ),
        ]
        found = notes(results)
        return [*opening, Notes(found)] if found else opening


REAL_IMAGES = ("data.", "evaluate.reference")
"""Fields that decide which real images samples are measured against."""
CHANCE = ("unet.", "data.", "train.batch")
"""Fields on which it depends what is drawn with a seed: the initial weights and the order of the data."""


def _where_equal(results: Results) -> str:
    """`` where `train.batch` is the same``: of the fields that differ, those of ``CHANCE``."""
    fields = [code(name) for name in changes(results) if name.startswith(CHANCE)]
    return f" where {listed(fields)} {'is' if len(fields) == 1 else 'are'} the same" if fields else ""


def notes(results: Results) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = [*_notes_on_gaps(results), *_notes_on_claims(results), *audit.notes(results)]
    most = max((len(values) for metric in results.metrics for values in metric.values.values()), default=0)
    if most == 1:
        found.append("One seed: there are no intervals, and no difference can be told from chance.")
    images = image_counts(results)
    if images.below_dimension:
        found.append(
            "Fewer images than the feature space has dimensions: the covariance that FID fits does not "
            "have full rank. Read KID first."
        )
    if len(images.generated) > 1 or len(images.real) > 1:
        found.append(
            "Runs were measured with different numbers of images; FID's bias depends on it, so FID "
            "cannot be compared between them."
        )
    if fields := [code(name) for name in changes(results) if name.startswith(REAL_IMAGES)]:
        found.append(
            f"Variants differ in {listed(fields)}, so they may have been measured against different real "
            "images. Where they were, their FID, KID and CLIP figures cannot be compared, and verdicts on "
            "these mean nothing."
        )
    if len(devices := sorted({run.device for run in results.finished if run.device})) > 1:
        found.append(
            f"Runs were computed on {len(devices)} classes of device: {'; '.join(map(line, devices))}. "
            "Differences between variants may be differences between devices."
        )
    if mixed := [metric.label for metric in results.metrics if metric.mixed_spaces]:
        found.append(
            f"Variants were measured in different spaces: {', '.join(mixed)}. "
            "Differences are given within one space only."
        )
    return found


def _notes_on_gaps(results: Results) -> list[str]:
    """What failed and why, and how far the experiment is."""
    gaps = find_gaps(results)
    failed = [gap for gap in gaps if gap.status == FAILED]
    found = [
        f"{bold(gap.variant)} failed with seed {gap.seed}: {shorten(line(brief(gap.reason)))}"
        for gap in failed[:MOST_FAILURES]
    ]
    if failed:
        rest = f" {plural(len(failed), 'run')} failed, listed below." if len(failed) > MOST_FAILURES else ""
        found[-1] += f"{rest} The same command tries what failed again, and keeps what has finished."
    open_seeds = {gap.seed for gap in gaps if gap.status != FINISHED}
    if open_seeds:
        complete, seeds = len(results.seeds) - len(open_seeds), plural(len(results.seeds), "seed")
        found.append(
            f"{complete} of {seeds} complete; other seeds count where their runs have finished. "
            "What is missing is listed below."
        )
    if lacking := sum(gap.status == FINISHED for gap in gaps):
        found.append(f"Runs that lack a metric: {lacking}, listed below.")
    return found


def _notes_on_claims(results: Results) -> list[str]:
    if results.looks.undecided:
        return []
    claims, found = results.claims, []
    if missed := [str(claims.index(claim) + 1) for claim in unmet(results)]:
        noun, verb = ("Claim", "is") if len(missed) == 1 else ("Claims", "are")
        found.append(f"{noun} {listed(missed)} must be supported and {verb} not.")
    if short := [claim for claim in claims if claim.too_few_seeds]:
        noun = "claim" if len(short) == 1 else "claims"
        which = listed([str(claims.index(claim) + 1) for claim in short])
        found.append(
            f"Too few seeds for {noun} {which} at level {short[0].level:.3g}: whatever the differences, the "
            f"sign-flip test decides the first of {plural(len(claims), 'claim')} from "
            f"{short[0].least_seeds} seeds on."
        )
    return found
