"""A draw depends on its address alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablate.diffusion.randomness import generator, integers, normal, permutation, uniform

pytestmark = pytest.mark.usefixtures("global_rng_stays")

pieces = st.integers(0, 10**6) | st.text("abcdefgh ", min_size=1, max_size=8)
addresses = st.lists(pieces, min_size=1, max_size=4).map(tuple)


@given(wanted=addresses, before=st.lists(addresses, max_size=5))
def test_a_draw_does_not_depend_on_what_was_drawn_before(
    wanted: tuple[int | str, ...], before: list[tuple[int | str, ...]]
) -> None:
    first = normal((3,), *wanted)
    for address in before:
        normal((7,), *address)
    assert torch.equal(normal((3,), *wanted), first)


@given(one=addresses, other=addresses)
def test_different_addresses_draw_different_numbers(
    one: tuple[int | str, ...], other: tuple[int | str, ...]
) -> None:
    same = list(map(str, one)) == list(map(str, other))
    assert torch.equal(normal((4,), *one), normal((4,), *other)) == same


def test_a_draw_does_not_depend_on_the_global_seed() -> None:
    state = torch.get_rng_state()
    torch.manual_seed(1)
    first = uniform((3,), 0, "noise")
    torch.manual_seed(2)
    assert torch.equal(uniform((3,), 0, "noise"), first)
    torch.set_rng_state(state)


def test_the_seed_of_an_address_is_the_same_for_ever() -> None:
    # If this changes, no stored training can be continued.
    assert generator(0, 3, 1, "noise").initial_seed() == 3729418679592255229


@given(n=st.integers(0, 200), seed=st.integers(0, 1000))
def test_an_order_holds_each_row_once(n: int, seed: int) -> None:
    assert sorted(permutation(n, seed, "order").tolist()) == list(range(n))


def test_draws_have_their_distribution() -> None:
    noise, share, number = normal((20_000,), 0), uniform((20_000,), 1), integers(7, (20_000,), 2)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert share.min() >= 0 and share.max() < 1 and abs(share.mean() - 0.5) < 0.01
    assert set(number.tolist()) == set(range(7))
