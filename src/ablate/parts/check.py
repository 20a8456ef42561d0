"""Which pretrained parts a configuration stands on, and which of them are not on this machine."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.components import TITLES, shown, source_of
from ablate.errors import ComponentError
from ablate.metrics.spaces import SPACES
from ablate.sources import host, lacking, out_of_reach
from ablate.spec.load import load_config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.sources import Source
    from ablate.spec.config import Config, Part


@dataclass(frozen=True)
class Missing:
    """A part that is not on this machine."""

    name: str
    """Its field in ``components``."""
    part: Part | None
    source: Source
    obstacle: str
    """Why it cannot be downloaded, in words; "" if it can."""

    @property
    def title(self) -> str:
        """What it is called in a message."""
        return title(self.name, self.part)


def title(name: str, part: Part | None) -> str:
    """What a part is called in a message: ``VAE CompVis/stable-diffusion-v1-4/vae``."""
    return f"{TITLES[name]} {shown(part)}"


def named_parts(config: Config) -> dict[str, Part | None]:
    """Field of ``components`` → part, of all that are set; None for the Inception of clean-fid."""
    fields = {name: getattr(config.components, name) for name in TITLES}
    parts: dict[str, Part | None] = {name: part for name, part in fields.items() if part}
    if network := SPACES[config.evaluate.fid_features].part:
        parts.setdefault(network, None)
    return parts


def needed_parts(config: Config) -> dict[str, Part | None]:
    """Those of the named parts that a run loads."""
    lpips, chosen = config.losses.lpips, SPACES[config.evaluate.fid_features].part
    idle = {
        "perceptual": lpips is None,
        **{space.part: space.part != chosen for space in SPACES.values()},
    }
    return {name: part for name, part in named_parts(config).items() if not idle.get(name)}


def missing_parts(configs: Iterable[Config]) -> list[Missing]:
    """The parts that runs of these configurations load and this machine does not have.

    Raises ComponentError for a part that can be nowhere, such as a folder that does not exist.
    """
    return missing(_of_all(configs))


def missing(parts: Iterable[tuple[str, Part | None]]) -> list[Missing]:
    """Those of ``parts`` that are not on this machine. Takes seconds at most: their hubs are only asked
    whether they are there."""
    sources = [(name, part, source_of(name, part)) for name, part in dict.fromkeys(parts)]
    absent = [each for each in sources if not each[2].found()]
    silent = out_of_reach(source.address for _, _, source in absent if source.address)
    return [
        Missing(name, part, source, _obstacle(source, silent.get(source.address, "")))
        for name, part, source in absent
    ]


def _obstacle(source: Source, silence: str) -> str:
    if not source.address:
        return f"{source.place} lacks {lacking(source)}"
    return f"not in {source.place}, and {host(source)} cannot be reached ({silence})" if silence else ""


def require_parts(configs: Iterable[Config], profile: str) -> None:
    """Makes sure that each part that runs of these configurations load is here or can be downloaded.

    Raises ComponentError as ``require`` does.
    """
    require(_of_all(configs), profile)


def _of_all(configs: Iterable[Config]) -> Iterable[tuple[str, Part | None]]:
    return (pair for config in configs for pair in needed_parts(config).items())


def require(parts: Iterable[tuple[str, Part | None]], profile: str) -> None:
    """Makes sure that ``parts``, each with its field in ``components``, are here or can be downloaded.

    Raises:
        ComponentError: one is not. It names all of them, where they were looked for, and what gets them.
    """
    lost = [each for each in missing(parts) if each.obstacle]
    if not lost:
        return
    lines = [f"\n  {each.title}: {each.obstacle}" for each in lost]
    commands = dict.fromkeys(mend(each.name, each.part, each.source, profile) for each in lost)
    raise ComponentError(
        f"pretrained parts are missing and cannot be downloaded now:{''.join(lines)}",
        where=f"profile {profile}",
        fix="\n  ".join(["What to do, where there is a network:", *commands]),
    )


def mend(name: str, part: Part | None, source: Source, profile: str) -> str:
    """The command that gets a missing part."""
    if not source.address:
        return f"put {lacking(source)} into {source.place}"
    command = f"ablate fetch --profile {profile}"
    if part is None or part == getattr(load_config(profile).components, name):
        return command
    value = f"{{source: {part.source}, subfolder: {part.subfolder}}}" if part.subfolder else part.source
    return f"{command} --set {shlex.quote(f'components.{name}={value}')}"
