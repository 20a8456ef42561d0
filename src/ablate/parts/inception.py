"""clean-fid's Inception: the features of FID and KID in the literature."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.experiment.config import Part
from ablate.parts.base import PretrainedPart, refuse_infinite
from ablate.parts.sources import Folder, TorchFile

if TYPE_CHECKING:
    from typing import Self

    from torch import nn

    from ablate.experiment.config import Components, Config
    from ablate.fingerprint import Contents
    from ablate.parts.sources import Source

INCEPTION_FILE = "inception-2015-12-05.pt"

CLEAN_FID = Part(source="of clean-fid")
"""Stands for ``inception: null``: the network that clean-fid would download."""

DOWNLOAD = TorchFile(
    f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"
)
"""The Inception that clean-fid downloads. Its own place, the temporary folder, does not outlive a restart."""


class InceptionPart(PretrainedPart):
    """``inception-2015-12-05.pt``: the file, a folder that holds it, or ``CLEAN_FID``."""

    field = "inception"
    title = "Inception network"
    file_sets = ((INCEPTION_FILE,),)

    @classmethod
    def named(cls, config: Config) -> Self | None:
        """The one that the configuration names; clean-fid's if it names none and asks for its features."""
        reference = config.components.inception
        return cls(reference or CLEAN_FID) if reference or cls.needed(config) else None

    @classmethod
    def needed(cls, config: Config) -> bool:
        """Only by FID and KID in its features."""
        return config.vocabulary.spaces[config.evaluate.fid_features].part == cls.field

    def source(self) -> Source:
        """A folder, whether it exists or not, or the download."""
        if self.reference is CLEAN_FID:
            return DOWNLOAD
        path = Path(self.reference.source).expanduser() / self.reference.subfolder
        return Folder(path.parent if path.name == INCEPTION_FILE else path, self.file_sets)

    def identity(self, contents: Contents) -> str:
        """Digest of the one file, in whatever folder."""
        return contents.of_file(*self.files())

    def load(self, device: str = "cpu") -> nn.Module:
        """Images [N, 3, 299, 299] in [0, 255] → features [N, 2048]. Raises ComponentError."""
        folder = self.files()[0].parent
        from cleanfid.inception_torchscript import InceptionV3W

        with self.loading(), warnings.catch_warnings():
            # torch calls TorchScript deprecated; clean-fid has its network in no other form.
            warnings.filterwarnings("ignore", category=FutureWarning, module="torch.jit")
            # What build_feature_extractor("clean") makes, which looks in the temporary folder only.
            model: nn.Module = InceptionV3W(str(folder), download=False)
            refuse_infinite(model)
        return model.to(device).eval().requires_grad_(False)

    def holds(self, components: Components) -> str:
        """The length of its features."""
        import torch

        with torch.inference_mode():
            return f"{self.load()(torch.zeros(1, 3, 299, 299)).shape[1]} features"

    @property
    def override(self) -> str:
        """clean-fid's is named by asking for its features."""
        return "evaluate.fid_features=inception" if self.reference is CLEAN_FID else super().override
