"""``ablate fetch``: downloads the pretrained parts of a configuration and loads each of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import ComponentError
from ablate.parts.missing import missing, named_parts
from ablate.text import in_bytes

if TYPE_CHECKING:
    from ablate.experiment.config import Config
    from ablate.parts.base import PretrainedPart
    from ablate.progress import Progress


def fetch_parts(config: Config, progress: Progress) -> None:
    """Downloads what is missing of the parts that ``config`` names, and loads each once.

    Raises ComponentError if some could not be fetched or loaded, once all others are ready.
    """
    parts, lost = named_parts(config), []

    def fail(part: PretrainedPart, reason: str) -> None:
        lost.append(part)
        progress.failed(part.label, reason)

    for each in missing(parts):
        if each.obstacle:
            fail(each.part, each.obstacle)
            continue
        progress.note(each.part.label, f"from {each.source.address}")
        try:
            each.part.files()
        except ComponentError as error:
            fail(each.part, str(error))
    for part in [part for part in parts if part not in lost]:
        try:
            holds = part.holds(config.components)
        except ComponentError as error:
            fail(part, str(error))
        else:
            files = part.files()
            progress.done(
                part.label,
                f"{holds}, {in_bytes(sum(file.stat().st_size for file in files))} in {files[0].parent}",
            )
    if lost:
        raise ComponentError(
            f"{len(lost)} of {len(parts)} parts are not ready",
            where=", ".join(part.title for part in lost),
            fix="With a network, the same command goes on with these. Or give a folder instead: "
            f"--set components.{lost[0].field}=FOLDER",
        )
