"""The LPIPS network: how different two images look."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

from ablate import factors
from ablate.parts import messages
from ablate.parts.base import PretrainedPart, local_folder, refuse_infinite
from ablate.parts.sources import TorchFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    import lpips
    import torch

    from ablate.experiment.config import Config
    from ablate.parts.sources import Source

TRUNKS = {
    "alex": TorchFile("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79"),
    "vgg": TorchFile("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
    "squeeze": TorchFile("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
}
"""torchvision's classifiers, whose features LPIPS compares."""


class PerceptualPart(PretrainedPart):
    """A trunk in a folder, or the published "alex", "vgg" or "squeeze".

    A folder's ``config.json`` names the network, ``{"net": "alex"}``; with ``"heads": true`` the published
    linear heads weigh its features.
    """

    field = "perceptual"
    title = "LPIPS network"
    file_sets = (("config.json", "model.safetensors"),)

    @classmethod
    def needed(cls, config: Config) -> bool:
        """Only by a factor that says so: the LPIPS loss."""
        return any(cls.field in factor.parts for factor in factors.switched_on(config).values())

    def published(self) -> Source:
        """The trunk that torchvision publishes. Raises ComponentError for another name."""
        if self.reference.source in TRUNKS:
            return TRUNKS[self.reference.source]
        raise messages.no_network(TRUNKS, self.shown)

    def load(self, device: str = "cpu") -> lpips.LPIPS:
        """LPIPS: two times images [N, 3, H, W] in [−1, 1] → distances [N, 1, 1, 1].

        Raises ComponentError if there is none.
        """
        files = self.files()
        import torch
        from safetensors.torch import load_file

        with self.loading():
            if folder := local_folder(self.reference):
                config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
                metric = untrained_lpips(config["net"], heads=config.get("heads", False))
                trunk = load_file(folder / "model.safetensors")
            else:
                TRUNKS[self.reference.source].check()  # it is a pickle, and torch's cache is anyone's
                metric = untrained_lpips(self.reference.source, heads=True)
                classifier = torch.load(files[0], map_location="cpu", weights_only=True)
                trunk = trunk_of(classifier, metric.net.state_dict())
            metric.net.load_state_dict(trunk)
            refuse_infinite(metric)
        return metric.to(device).eval().requires_grad_(False)


def trunk_of(classifier: dict[str, torch.Tensor], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """A torchvision classifier's weights by the names they have in LPIPS: ``features.0.weight`` is
    ``slice1.0.weight`` there."""
    return {name: classifier[f"features.{name.partition('.')[2]}"] for name in names}


def untrained_lpips(net: str, *, heads: bool = False, trainable: bool = False) -> lpips.LPIPS:
    """LPIPS with a random trunk that weights can be put into, with or without the published linear heads."""
    import lpips

    with warnings.catch_warnings():
        # lpips 0.1.4 still asks torchvision for its networks with the old argument.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(net=net, lpips=heads, pnet_rand=True, pnet_tune=trainable, verbose=False)
