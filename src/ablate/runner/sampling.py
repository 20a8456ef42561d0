"""``ablate sample``: which run to draw from, and what to draw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.plan import Plan, Run


def choose_run(plan: Plan, variant: str, seed: int | None) -> Run:
    """The run of a variant with ``seed``, or with its first seed.

    Raises:
        UserError: there is no such variant or seed, or its weights are not in the store.
    """
    runs = [run for run in plan.runs if run.variant == variant]
    if not runs:
        known = ", ".join(plan.experiment.variants)
        raise UserError(
            f"there is no variant {variant!r}", where=plan.experiment.name, fix=f"There are: {known}."
        )
    chosen = next((run for run in runs if seed in (None, run.seed)), None)
    if chosen is None:
        known = ", ".join(str(run.seed) for run in runs)
        raise UserError(f"there is no seed {seed}", where=f"--seed {seed}", fix=f"There are: {known}.")
    if not plan.store.has(*chosen.keys.weights):
        raise UserError(
            f"the weights of {chosen.name} are not in the store",
            where=str(plan.store.root),
            fix="Train them first with `ablate run` and the same options.",
        )
    return chosen


def read_prompts(given: Sequence[str], file: Path | None) -> dict[str, str]:
    """File name → prompt, from the command line, a text file (one a line) or a ``test.json``.

    Raises:
        UserError: there are none, or the file cannot be read.
    """
    texts = {f"prompt-{number}.png": text for number, text in enumerate(given)}
    if file and file.suffix == ".json":
        texts |= _from_json(file)
    elif file:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read: {error}", where=str(file)) from error
        texts |= {f"{file.stem}-{number}.png": line for number, line in enumerate(lines) if line}
    if not texts:
        raise UserError("there is nothing to draw", fix="Give --prompt TEXT or --prompts FILE.")
    return texts


def _from_json(file: Path) -> dict[str, str]:
    from pathlib import PurePath

    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        return {PurePath(entry["image_name"]).name: str(entry["text_prompt"]) for entry in entries.values()}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"cannot be read as JSON: {error}", where=str(file)) from error
    except (AttributeError, TypeError, KeyError) as error:
        raise UserError(
            "is not a list of prompts in the task's format",
            where=str(file),
            fix='It should look like {"0_main": {"image_name": "0_main.png", "text_prompt": "…"}}.',
        ) from error
