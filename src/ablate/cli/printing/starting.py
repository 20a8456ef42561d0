"""What is printed of what somebody begins with: the shipped experiments."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.printing import print_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.experiment.shipped import Example

STATES = {"written": "copied", "there": "is there", "yours": "another file, left alone"}


def print_examples(examples: Sequence[Example]) -> None:
    """The experiments with their questions and what became of each copy; and how to go on."""
    rows = [[escape(str(one.file)), escape(one.question), STATES[one.state]] for one in examples]
    print_table(["experiment", "question", ""], rows)
    first = shlex.quote(str(next(one.file for one in examples if one.file.stem == "ema")))
    say(f"What one would do:  ablate plan {first}\nTo do it:           ablate run {first}")
