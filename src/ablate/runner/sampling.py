"""``ablate sample``: which run to draw from, and into which files."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.runner.writable import refuse_long, try_to_write
from ablate.store.files import key_of
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ablate.experiment.config import Config
    from ablate.plan import Plan, Run
    from ablate.runner.prompts import Prompt
    from ablate.store import Store

IDENTITY = "ablate"
"""Under this word a PNG keeps what it was drawn from."""
READABLE = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""Endings of images, which names of prompts may have. What is drawn is a PNG."""


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
            where=plan.store.address,
            fix="`ablate run` with the same options trains them; where MLflow has all runs already, it does "
            "so into another record: --tracking-uri sqlite:///again.db --reports again.",
        )
    return chosen


@dataclass(frozen=True)
class Drawing:
    """An image of a prompt."""

    prompt: Prompt
    file: Path
    identity: str
    """Of all that its pixels depend on. The file keeps it."""
    is_there: bool
    """Whether the file holds this very image already."""

    def save(self, pixels: NDArray[np.uint8]) -> None:
        """Writes pixels [S, S, 3], as a whole or not at all."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        notes = PngInfo()
        notes.add_text(IDENTITY, self.identity)
        notes.add_itxt("prompt", self.prompt.text)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_name(f".drawing-{uuid.uuid4().hex[:8]}.png")
        try:
            Image.fromarray(pixels).save(aside, pnginfo=notes)
            aside.replace(self.file)
        finally:
            aside.unlink(missing_ok=True)


def drawings(run: Run, prompts: Sequence[Prompt], out: Path) -> list[Drawing]:
    """What to draw, and into which files: ``<out>/<variant>-seed<k>/<name>.png``.

    No file is replaced. Where there is another image of that name, there already or of another prompt, a
    number is added. The same image keeps its file.

    Raises:
        UserError: a name is too long, or nothing can be written there.
    """
    folder = out / f"{run.variant}-seed{run.seed}"
    try_to_write(folder, "--out")
    longest = max((_stem(prompt.name) for prompt in prompts), key=lambda stem: len(os.fsencode(stem)))
    refuse_long(
        folder / f"{longest}-{len(prompts)}.png", f"the name {cut(longest)}", "Give it a shorter one."
    )
    taken: dict[str, int] = {}
    """Stem → its last number. In lower case: on some file systems there is no other."""
    return [_drawing(run, prompt, folder, taken) for prompt in prompts]


def _drawing(run: Run, prompt: Prompt, folder: Path, taken: dict[str, int]) -> Drawing:
    identity = key_of({"sample": run.keys.sample, "name": prompt.name, "text": prompt.text})
    stem = _stem(prompt.name)
    for number in count(taken.get(stem.casefold(), 0) + 1):
        name = stem if number == 1 else f"{stem}-{number}"
        file = folder / f"{name}.png"
        if number > 1 and name.casefold() in taken:
            continue
        same = _identity_of(file) == identity
        if same or not os.path.lexists(file):
            break
    taken[stem.casefold()] = number
    taken.setdefault(name.casefold(), 1)
    return Drawing(prompt, file, identity, same)


def _stem(name: str) -> str:
    """A name without the ending of an image."""
    stem, _, ending = name.rpartition(".")
    return stem if stem and f".{ending.lower()}" in READABLE else name


def _identity_of(file: Path) -> str:
    """What the file says it was drawn from; "" where ablate did not draw it, or there is none."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return str(image.info.get(IDENTITY, ""))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""


def draw(run: Run, store: Store, todo: Sequence[Drawing]) -> Iterator[Path]:
    """Draws what is not there yet, and gives the file of each drawing as it is there."""
    from ablate.stages.sample import sample_prompts

    missing = [drawing for drawing in todo if not drawing.is_there]
    pixels = sample_prompts(run.keys, store, [drawing.prompt for drawing in missing]) if missing else iter(())
    for drawing in todo:
        if not drawing.is_there:
            drawing.save(next(pixels).numpy())
        yield drawing.file


def cut_off(prompts: Sequence[Prompt], config: Config) -> list[str]:
    """Those prompts of which the tokenizer takes only the beginning, in words."""
    from ablate.parts.text import TokenizerPart

    tokenizer = TokenizerPart(config.components.tokenizer).load()
    most = tokenizer.model_max_length
    counts = (len(ids) for ids in tokenizer([prompt.text for prompt in prompts], verbose=False).input_ids)
    return [
        f"{prompt.name}: {tokens} tokens, and the tokenizer takes {most}: the rest is cut off"
        for prompt, tokens in zip(prompts, counts, strict=True)
        if tokens > most
    ]
