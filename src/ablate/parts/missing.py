"""Which pretrained parts a configuration names and needs, and which of them are not on this machine."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.errors import ComponentError
from ablate.experiment.load import load_config
from ablate.parts import PARTS
from ablate.parts.sources import host, lacking, out_of_reach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.experiment.config import Config
    from ablate.parts.base import PretrainedPart
    from ablate.parts.sources import Source


@dataclass(frozen=True)
class Missing:
    """A part that is not on this machine."""

    part: PretrainedPart
    source: Source
    obstacle: str
    """Why it cannot be downloaded, in words; "" if it can."""


def named_parts(config: Config) -> list[PretrainedPart]:
    """All parts that ``config`` names."""
    return [part for kind in PARTS.values() if (part := kind.named(config))]


def needed_parts(config: Config) -> list[PretrainedPart]:
    """Those of the named parts that a run loads."""
    of_space = config.vocabulary.spaces[config.evaluate.fid_features].part
    return [part for part in named_parts(config) if part.needed(config) or part.field == of_space]


def missing_parts(configs: Iterable[Config]) -> list[Missing]:
    """The parts that runs of these configurations load and this machine does not have. Raises
    ComponentError for a part that can be nowhere, such as a folder that does not exist."""
    return missing(part for config in configs for part in needed_parts(config))


def not_here(parts: Iterable[PretrainedPart]) -> list[tuple[PretrainedPart, Source]]:
    """Those of ``parts`` that are not on this machine, and where they come from. No hub is asked. Raises
    ComponentError for a part that can be nowhere."""
    sources = [(part, part.source()) for part in dict.fromkeys(parts)]
    return [(part, source) for part, source in sources if not source.found()]


def missing(parts: Iterable[PretrainedPart]) -> list[Missing]:
    """Those of ``parts`` that are not on this machine. Takes seconds at most: their hubs are only asked
    whether they are there."""
    absent = not_here(parts)
    silent = out_of_reach(source.address for _, source in absent if source.address)
    return [
        Missing(part, source, _obstacle(source, silent.get(source.address, ""))) for part, source in absent
    ]


def _obstacle(source: Source, silence: str) -> str:
    if not source.address:
        return f"{source.place} lacks {lacking(source)}"
    return f"not in {source.place}, and {host(source)} cannot be reached ({silence})" if silence else ""


def require_parts(configs: Iterable[Config], profile: str) -> None:
    """Raises ComponentError if a part that runs of these configurations load is neither here nor can be
    downloaded. It names all such parts, where they were looked for, and what gets them."""
    lost = [each for each in missing_parts(configs) if each.obstacle]
    if not lost:
        return
    lines = [f"\n  {each.part.label}: {each.obstacle}" for each in lost]
    commands = dict.fromkeys(mend(each.part, each.source, profile) for each in lost)
    raise ComponentError(
        f"pretrained parts are missing and cannot be downloaded now:{''.join(lines)}",
        where=f"profile {profile}",
        fix="\n  ".join(["What to do, on a machine with a network:", *commands]),
    )


def mend(part: PretrainedPart, source: Source, profile: str) -> str:
    """The command that gets a missing part."""
    if not source.address:
        return f"put {lacking(source)} into {source.place}"
    command = f"ablate fetch --profile {profile}"
    if part == part.named(load_config(profile)):
        return command
    return f"{command} --set {shlex.quote(part.override)}"
