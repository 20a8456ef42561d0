"""What all pretrained parts have in common: a reference in the configuration, files, a way to load them.

Every part comes back in eval mode with frozen weights in float32. Only safetensors are read, but for the
two networks that are published in no such form: torchvision's trunks for LPIPS (read as plain tensors)
and clean-fid's Inception (TorchScript). Whatever keeps a part from being loaded is a ``ComponentError``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ablate.errors import ComponentError
from ablate.parts import messages
from ablate.parts.sources import Folder, HubFiles, ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from torch import nn

    from ablate.experiment.config import Components, Config, Part
    from ablate.fingerprint import Contents
    from ablate.parts.sources import Names, Source

EMBEDDED_KIT = Path(str(files("ablate"))) / "assets" / "sprites"
"""The kit that is shipped with the package."""


@dataclass(frozen=True)
class PretrainedPart(ABC):
    """One pretrained part at the place that a configuration names. Each kind of part is a subclass."""

    reference: Part
    """Where the configuration says that it is."""

    field: ClassVar[str]
    """Its field in ``components``."""
    title: ClassVar[str]
    """What messages call it."""
    file_sets: ClassVar[tuple[Names, ...]]
    """The names of its files, in a folder and on a hub; one of the sets will do."""

    @classmethod
    def named(cls, config: Config) -> Self | None:
        """The part that ``config`` names; None if it names none."""
        reference = getattr(config.components, cls.field)
        return cls(reference) if reference else None

    @classmethod
    def needed(cls, config: Config) -> bool:
        """Whether a run of ``config`` loads this part."""
        return True

    def source(self) -> Source:
        """Where its files are, or come from. Raises ComponentError if it can be nowhere."""
        if folder := local_folder(self.reference):
            return Folder(folder, self.file_sets)
        return self.published()

    def published(self) -> Source:
        """Where its files come from if the reference is not a folder. Raises ComponentError if nowhere."""
        return HubFiles(self.reference.source, self.file_sets, self.reference.subfolder)

    def files(self) -> tuple[Path, ...]:
        """Its files, all in one folder, downloaded if they are not here yet. Raises as ``ready``."""
        return ready(self.source(), f"the {self.label}")

    def identity(self, contents: Contents) -> str:
        """What stands for it in keys. Raises ComponentError if it must be here and is not."""
        return contents.of_part(self.reference)

    @abstractmethod
    def load(self, device: str = "cpu") -> Any:
        """The part, ready for use on ``device``. Raises ComponentError if it cannot be loaded."""

    def holds(self, components: Components) -> str:
        """Loads it as a run with ``components`` does, and says what it holds. Raises as ``load``."""
        return parameters(self.load())

    @property
    def shown(self) -> str:
        """The reference in one word: ``CompVis/stable-diffusion-v1-4/vae``."""
        source, subfolder = self.reference.source, self.reference.subfolder
        return f"{source}/{subfolder}" if subfolder else source

    @property
    def label(self) -> str:
        """What a message calls it: ``VAE CompVis/stable-diffusion-v1-4/vae``."""
        return f"{self.title} {self.shown}"

    @property
    def override(self) -> str:
        """What ``--set`` has to be given for a configuration to name this part."""
        source, subfolder = self.reference.source, self.reference.subfolder
        value = f"{{source: {source}, subfolder: {subfolder}}}" if subfolder else source
        return f"components.{self.field}={value}"

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Turns a library's failure to load into a ComponentError, and leaves torch's global RNG as it was.

        The libraries raise nearly everything here (OSError, ValueError, RuntimeError, KeyError, JSON and
        safetensors errors), so nearly everything is caught.
        """
        import torch

        try:
            with torch.random.fork_rng(devices=[]):
                yield
        except ComponentError:
            raise
        except Exception as error:
            raise messages.not_loadable(self.title, self.shown, self.source(), error) from error


def local_folder(part: Part) -> Path | None:
    """The part's folder, or None for a hub id. Raises ComponentError if it is a path that is not there.

    The source ``sprites`` is the embedded kit.
    """
    root = EMBEDDED_KIT if part.source == EMBEDDED_KIT.name else Path(part.source).expanduser()
    folder = root / part.subfolder
    if folder.is_dir():
        return folder
    # A hub id has at most one slash; anything else can only be meant as a path.
    looks_like_path = part.source.startswith((".", "~", os.sep)) or part.source.count("/") > 1
    if looks_like_path or root.exists():
        raise messages.no_folder(folder)
    return None


def refuse_gaps(missing: Iterable[str]) -> None:
    """Raises ValueError for weights that a file lacks: they would stay random, with only a warning."""
    if names := sorted(missing):
        raise ValueError(f"the file lacks {len(names)} weights, {names[0]} among them")


def refuse_infinite(model: nn.Module) -> None:
    """Raises ValueError for weights that are not numbers: whatever they compute is none either."""
    wrong = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    if wrong:
        raise ValueError(f"{len(wrong)} of its weights hold NaN or infinity, {wrong[0]} among them")


def parameters(model: nn.Module) -> str:
    """How large a network is: ``0.4 M parameters``."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f} M parameters"
