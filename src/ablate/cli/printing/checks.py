"""What is printed of answers: of the audit, of the doctor, on data, on a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Column, Table

from ablate.cli.printing import out, print_table
from ablate.text import in_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from ablate.data.check import DataReport
    from ablate.data.remarks.base import Level
    from ablate.doctor import Answer
    from ablate.kit.check import KitQualities
    from ablate.records import Finding, Verification


ACTS = {
    "active": "active",
    "passive": "passive",
    "inert": "[bold red]inert[/]",
    "warning": "[yellow]warning[/]",
}


def print_findings(findings: Sequence[Finding]) -> None:
    """What the audit found: a line for each thing that was looked at."""
    rows = []
    for finding in findings:
        act = ACTS[finding.act] + (" (expected)" if finding.expected else "")
        reason = escape(finding.reason) or "–"
        rows.append([finding.variant, finding.about, act, finding.layer or "–", reason])
    print_table(["variant", "what", "acts?", "dies in", "why"], rows)


def print_verification(measured: Verification) -> None:
    """Whether weights agree, and how long training took."""
    rows = [
        [variant, "yes" if measured.equal[variant] else "[bold red]no[/]", f"{seconds:.1f}"]
        for variant, seconds in measured.separate_seconds.items()
    ]
    print_table(["variant", "weights equal to the last bit", "seconds alone"], rows)
    out().print(
        f"Seed {measured.seed}: together {measured.shared_seconds:.1f} s, each alone "
        f"{sum(measured.separate_seconds.values()):.1f} s, {measured.ratio:.2f} times as long."
    )


STATES = {"ok": "[green]ok[/]   ", "note": "[yellow]note[/] ", "wrong": "[bold red]wrong[/]"}


def print_answers(answers: Iterable[Answer]) -> bool:
    """What ``ablate doctor`` finds, as it finds it. Gives whether nothing is wrong."""
    console, states = out(), set()
    for answer in answers:
        states.add(answer.state)
        console.print(
            f"{STATES[answer.state]} {escape(answer.about)}: {escape(answer.found)}", soft_wrap=True
        )
        if answer.mend:
            console.print(f"      → {answer.mend}", markup=False, soft_wrap=True)
    return "wrong" not in states


EXAMPLES = 3
"""Of a remark on a data set."""


WIDTH = 120
"""Of an example, in characters."""


def print_data_report(report: DataReport, console: Console | None = None, *, every: bool = False) -> None:
    """Counts, then the remarks with a few examples each (or ``every`` one), errors first, and the outcome."""
    console = console or out()

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    data = report.data
    train, prompts, references = data.read.train, data.read.prompts, data.read.references
    groups = plural(len({image.group for image in train}), "group")
    line(
        f"{escape(str(data.folder))}: {report.format}, {plural(len(train), 'training image')} in {groups}, "
        f"{plural(len(prompts), 'prompt')}, {len(references)} of them with a real image\n"
    )
    colours: dict[Level, str] = {"error": "bold red", "warning": "bold yellow", "info": "bold"}
    for level, colour in colours.items():
        for remark in (remark for remark in report.remarks if remark.level == level):
            line(f"[{colour}]{level}:[/] {escape(remark.what)}: {len(remark.places)}")
            shown = remark.places if every else remark.places[:EXAMPLES]
            for place in shown:
                line(f"    {escape(place if every or len(place) <= WIDTH else place[: WIDTH - 1] + '…')}")
            if len(remark.places) > len(shown):
                line(f"    and {len(remark.places) - len(shown)} more")
            line(f"  {escape(remark.fix)}\n" if remark.fix else "")
    if not every and any(len(remark.places) > EXAMPLES for remark in report.remarks):
        line("--all lists every place.")
    line("You can train on it." if report.trainable else "You cannot train on it yet: see the errors.")


def print_qualities(qualities: KitQualities, console: Console | None = None) -> None:
    """Print the table that ``ablate kit build`` and ``ablate kit check`` end with."""
    title = "How good the kit is on held-out images"
    table = Table("part", "quality", Column("value", justify="right"), title=title, title_justify="left")
    table.add_row("vae", "PSNR", f"{qualities.vae_psnr:.1f} dB")
    for part, pair in (("text_encoder", qualities.text_encoder), ("evaluator", qualities.evaluator)):
        for attribute, share in pair.zero_shot.items():
            table.add_row(part, f"zero-shot {attribute}", f"{share:.1%}")
        table.add_row(part, "retrieval top-1", f"{pair.top1:.1%}")
        table.add_row(part, "retrieval top-5", f"{pair.top5:.1%}")
    for attribute, share in qualities.perceptual.neighbour.items():
        table.add_row("perceptual", f"nearest image agrees in {attribute}", f"{share:.1%}")
    if qualities.perceptual.same_monster is not None:
        table.add_row("perceptual", "same monster nearer", f"{qualities.perceptual.same_monster:.1%}")
    for part, size in qualities.bytes.items():
        table.add_row(part, "size", in_bytes(size))
    table.add_row("all", "size", in_bytes(sum(qualities.bytes.values())))
    (console or out()).print(table)
