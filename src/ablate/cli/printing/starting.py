"""What is printed of what somebody begins with: the shipped experiments, a first one of your own."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.printing import out, print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.experiment.shipped import Example
    from ablate.first_spec import FirstSpec

STATES = {"written": "copied", "there": "is there", "yours": "another file, left alone"}


def print_examples(examples: Sequence[Example]) -> None:
    """The experiments with their questions and what became of each copy; and how to go on."""
    rows = [[escape(str(one.file)), escape(one.question), STATES[one.state]] for one in examples]
    print_table(["experiment", "question", ""], rows)
    print_commands(next(one.file for one in examples if one.file.stem == "ema"))


def print_found(first: FirstSpec) -> None:
    """What ``ablate init`` has seen, what of it is doubtful, what it has written, and what it trains now."""
    from ablate.first_spec import in_words

    folder, kit = shlex.quote(str(first.report.data.folder)), first.setting.kit
    say(f"Images:   {folder}: {in_words(first.report)}")
    for remark in first.report.remarks:
        if remark.level == "warning":
            out().print(
                f"[bold yellow]warning:[/] {escape(remark.what)}: {len(remark.places)} "
                f"(ablate data check {escape(folder)} lists them)",
                soft_wrap=True,
            )
    say(f"Machine:  {first.machine}")
    say(f"Written:  {first.file}, with the profile {first.setting.profile}")
    if kit:
        say(f"Training: the frozen parts on these images, into {kit}, if they are not there yet")


def print_next(first: FirstSpec) -> None:
    """All that is needed to run it."""
    profile, folder = first.setting.profile, shlex.quote(str(first.report.data.folder))
    if not first.setting.kit:
        say(f"Get the parts:      ablate fetch --profile {profile}")
        say(f"Can it run here?    ablate doctor --profile {profile} --set data.path={folder}")
    print_commands(first.file)


def print_commands(spec: Path) -> None:
    """How a spec is looked at and run."""
    file = shlex.quote(str(spec))
    say(f"What it would do:   ablate plan {file}\nTo do it:           ablate run {file}")
