"""``ablate fetch``: downloads the pretrained parts of a configuration and loads each of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ablate.errors import ComponentError
from ablate.parts.missing import missing, named_parts

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.parts.base import PretrainedPart
    from ablate.spec.config import Config


class Screen(Protocol):
    """Where it is shown what happens to each part."""

    def download(self, part: str, address: str) -> None:
        """A part is about to be downloaded."""

    def ready(self, part: str, holds: str, files: tuple[Path, ...]) -> None:
        """A part is on this machine and could be loaded."""

    def failed(self, part: str, reason: str) -> None:
        """A part is not here, or not sound."""


def fetch_parts(config: Config, screen: Screen) -> None:
    """Downloads what is missing of the parts that ``config`` names, and loads each once.

    What is there is not downloaded again. What fails keeps nothing else back.

    Raises:
        ComponentError: some part could not be fetched or loaded, or can be nowhere.
    """
    parts, lost = named_parts(config), []

    def fail(part: PretrainedPart, reason: str) -> None:
        lost.append(part)
        screen.failed(part.label, reason)

    for each in missing(parts):
        if each.obstacle:
            fail(each.part, each.obstacle)
            continue
        screen.download(each.part.label, each.source.address)
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
            screen.ready(part.label, holds, part.files())
    if lost:
        raise ComponentError(
            f"{len(lost)} of {len(parts)} parts are not ready",
            where=", ".join(part.title for part in lost),
            fix="The same command goes on with these, where there is a network. A folder can stand for a "
            f"part: --set components.{lost[0].field}=FOLDER",
        )
