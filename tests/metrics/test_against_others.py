"""The figures of a real run are those that others' software computes from the same PNGs and prompts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import open_clip
import pytest
import torch
from cleanfid import fid as cleanfid
from PIL import Image
from torch.nn import functional as F

from ablate.parts.base import EMBEDDED_KIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.metrics.conftest import Measured

# clean-fid calls scipy with an argument that scipy is about to drop; torchmetrics warns of memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning"),
]


class OpenClip:
    """The embedded evaluator as open_clip loads it from its folder, without anything of ``ablate``."""

    def __init__(self) -> None:
        name = f"local-dir:{EMBEDDED_KIT / 'evaluator'}"
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(name, require_pretrained=True)
        self.tokenizer = open_clip.get_tokenizer(name)
        self.model.eval()

    def pixels(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One image [H, W, 3] as the model wants it, channels last: clean-fid's ``custom_fn_resize``."""
        tensor: torch.Tensor = self.preprocess(Image.fromarray(image))
        return tensor.permute(1, 2, 0).numpy()

    @torch.no_grad()
    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit vectors [N, D] of pixels [N, 3, S, S]: clean-fid's ``custom_feat_extractor``."""
        return F.normalize(self.model.encode_image(pixels), dim=-1).double()

    def files(self, files: Sequence[Path]) -> NDArray[np.float64]:
        """Unit vectors [N, D] of image files, one at a time."""
        return torch.cat([self.images(self.preprocess(Image.open(file))[None]) for file in files]).numpy()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Unit vectors [N, D] of texts, one at a time."""
        embeddings = [self.model.encode_text(self.tokenizer([text])) for text in texts]
        return F.normalize(torch.cat(embeddings), dim=-1).double().numpy()


@pytest.fixture(scope="module")
def clip() -> OpenClip:
    return OpenClip()


def test_fid_is_what_clean_fid_says_of_the_two_folders(
    measured: Measured, clip: OpenClip, tmp_path: Path
) -> None:
    for name, files in (("samples", measured.samples), ("reference", measured.reference)):
        (tmp_path / name).mkdir()
        for file in files:
            shutil.copy(file, tmp_path / name)
    expected = cleanfid.compute_fid(
        str(tmp_path / "samples"),
        str(tmp_path / "reference"),
        custom_feat_extractor=clip.images,
        custom_fn_resize=clip.pixels,
        num_workers=0,
        device="cpu",
        verbose=False,
    )
    assert measured.metrics["fid"] == pytest.approx(expected, abs=1e-6)


def test_kid_is_what_clean_fid_says_of_the_files(measured: Measured, clip: OpenClip) -> None:
    # compute_kid takes no model of one's own, so its two steps are called one after the other.
    samples, reference = (
        cleanfid.get_files_features(
            files, clip.images, num_workers=0, device="cpu", custom_fn_resize=clip.pixels, verbose=False
        )
        for files in (measured.samples, measured.reference)
    )
    np.random.seed(0)
    assert measured.metrics["kid"] == pytest.approx(cleanfid.kernel_distance(samples, reference), abs=1e-6)


def test_fid_is_what_torchmetrics_says_of_the_files(
    measured: Measured, clip: OpenClip, torchmetrics_fid: Callable[..., float]
) -> None:
    expected = torchmetrics_fid(clip.files(measured.samples), clip.files(measured.reference))
    assert measured.metrics["fid"] == pytest.approx(expected, rel=1e-3)


def test_kid_is_what_torchmetrics_says_of_the_files(
    measured: Measured, clip: OpenClip, torchmetrics_kid: Callable[..., float]
) -> None:
    expected = torchmetrics_kid(clip.files(measured.samples), clip.files(measured.reference))
    assert measured.metrics["kid"] == pytest.approx(expected, rel=1e-3)


def test_clip_i_is_the_cosine_of_what_open_clip_makes_of_sample_and_real_image(
    measured: Measured, clip: OpenClip
) -> None:
    expected = (clip.files(measured.samples) * clip.files(measured.counterparts)).sum(1)
    assert [row["clip_i"] for row in measured.scores] == pytest.approx(expected.tolist(), abs=1e-6)
    assert measured.metrics["clip_i"] == pytest.approx(float(expected.mean()), abs=1e-6)


def test_clip_t_is_the_cosine_of_what_open_clip_makes_of_sample_and_prompt(
    measured: Measured, clip: OpenClip
) -> None:
    expected = (clip.files(measured.samples) * clip.texts(measured.prompts)).sum(1)
    assert [row["clip_t"] for row in measured.scores] == pytest.approx(expected.tolist(), abs=1e-6)
    assert measured.metrics["clip_t"] == pytest.approx(float(expected.mean()), abs=1e-6)
