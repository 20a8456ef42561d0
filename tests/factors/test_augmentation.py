"""Augmentation: deterministic by address, inside the range, and the identity where nothing is drawn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.diffusion import randomness
from ablate.factors import AUGMENTATIONS
from ablate.factors.flip import flip
from ablate.factors.strong import strong

pytestmark = pytest.mark.usefixtures("global_rng_stays")

ADDRESS = (0, 3, 1)


def pictures(n: int = 32) -> torch.Tensor:
    return 2 * torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 1


def test_the_names_are_those_of_the_spec() -> None:
    assert {kind: augmentation().kind for kind, augmentation in AUGMENTATIONS.items()} == {
        kind: kind for kind in ("none", "flip", "strong")
    }


@pytest.mark.parametrize("kind", ["flip", "strong"])
def test_the_same_address_draws_the_same_and_another_address_something_else(kind: str) -> None:
    augment, images = AUGMENTATIONS[kind]().apply, pictures()
    assert torch.equal(augment(images, *ADDRESS), augment(images, *ADDRESS))
    assert not torch.equal(augment(images, *ADDRESS), augment(images, 0, 3, 2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_mirroring_twice_is_the_identity_and_once_mirrors_some(seed: int) -> None:
    images = pictures()
    once = flip(images, seed)
    assert torch.equal(flip(once, seed), images)
    kept = [torch.equal(a, b) for a, b in zip(once, images, strict=True)]
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(once, images, strict=True)]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True))
    assert 0 < sum(mirrored) < len(images)


def test_mirroring_leaves_a_symmetric_image_as_it_is() -> None:
    images = pictures()
    symmetric = images + images.flip(-1)
    assert torch.equal(flip(symmetric, *ADDRESS), symmetric)


def test_strong_augmentation_is_the_identity_in_the_middle_of_all_its_ranges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(randomness, "uniform", lambda shape, *_: torch.full(shape, 0.5))
    images = pictures()
    torch.testing.assert_close(strong(images, *ADDRESS), images, atol=1e-5, rtol=0)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_strong_augmentation_changes_every_image_and_stays_in_range(seed: int) -> None:
    images = pictures(8)
    changed = strong(images, seed)
    assert changed.shape == images.shape
    assert changed.min() >= -1 and changed.max() <= 1
    assert bool(((changed - images).abs().amax((1, 2, 3)) > 0.05).all())


def test_what_comes_in_at_the_borders_of_a_white_image_is_white() -> None:
    white = strong(torch.ones(16, 3, 16, 16), *ADDRESS)
    # Brightness may dim the whole image, but no border shows.
    assert float((white.amax((1, 2, 3)) - white.amin((1, 2, 3))).max()) < 1e-5
    assert white.min() >= 0.8 - 1e-5
