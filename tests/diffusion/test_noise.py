"""Noise by seed: the reference's, no one else's business, and the same for a picture alone as in its batch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion.noise import BrownianNoise, NoiseSource, StreamNoise, initial_noise
from lab.cases import Case
from lab.parity_sampling import noise_cases

GOLDEN = Path(__file__).parents[1] / "golden"
SIGMAS = torch.tensor([14.6, 7.0, 3.0, 1.0, 0.3, 0.03, 0.0])
seeds = st.integers(0, 2**64 - 1)
sizes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))


def source(kind: str, seed: int, shape: tuple[int, ...], index: int | None = None) -> NoiseSource:
    if kind == "brownian":
        return BrownianNoise(seed, shape, SIGMAS, index=index)
    return StreamNoise(seed, shape, index=index)


def walk(noise: NoiseSource) -> list[Tensor]:
    return [noise(sigma, sigma_next) for sigma, sigma_next in pairwise(SIGMAS[:-1])]


@pytest.mark.parametrize("case", list(noise_cases(GOLDEN / "noise")), ids=lambda case: case.name)
def test_the_noise_is_that_of_the_reference(case: Case) -> None:
    differences = case.run()
    assert not isinstance(differences, str)
    assert [str(each) for each in differences if not each.within] == []


@given(seed=seeds, shape=sizes, data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_picture_alone_starts_from_its_row_of_the_batch(
    seed: int, shape: tuple[int, ...], data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, shape[0] - 1))
    assert torch.equal(initial_noise(shape, seed, index=k), initial_noise(shape, seed)[k : k + 1])


@pytest.mark.parametrize("kind", ["stream", "brownian"])
@given(seed=seeds, shape=sizes, data=st.data())
@settings(deadline=None, max_examples=25)
def test_a_picture_alone_meets_its_row_of_the_noise_on_the_way(
    kind: str, seed: int, shape: tuple[int, ...], data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, shape[0] - 1))
    batch, alone = walk(source(kind, seed, shape)), walk(source(kind, seed, shape, index=k))
    for whole, one in zip(batch, alone, strict=True):
        assert torch.equal(whole[k : k + 1], one)


@given(seed=seeds, places=st.lists(st.integers(0, 6), min_size=1, max_size=4))
@settings(deadline=None, max_examples=40)
def test_pictures_keep_the_noise_of_their_place(seed: int, places: list[int]) -> None:
    """For 16 numbers a picture and multiples of it, drawing one by one is drawing the batch."""
    whole = initial_noise((7, 4, 2, 2), seed)
    assert torch.equal(initial_noise((len(places), 4, 2, 2), seed, batch_index=places), whole[places])


@pytest.mark.parametrize("kind", ["stream", "brownian"])
def test_noise_is_unit_noise_and_follows_the_seed(kind: str) -> None:
    one, again, other = (torch.stack(walk(source(kind, seed, (1, 4, 64, 64)))) for seed in (5, 5, 6))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    for step in one:
        assert step.mean().item() == pytest.approx(0, abs=0.03)
        assert step.std().item() == pytest.approx(1, abs=0.03)


def test_a_brownian_path_does_not_depend_on_the_steps_taken() -> None:
    a, b, c = SIGMAS[0], SIGMAS[2], SIGMAS[4]
    small, large = (BrownianNoise(5, (1, 4, 4, 4), SIGMAS) for _ in range(2))
    in_one = large(a, c) * (a - c).sqrt()
    in_two = small(b, c) * (b - c).sqrt() + small(a, b) * (a - b).sqrt()
    torch.testing.assert_close(in_one, in_two, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["stream", "brownian"])
def test_nobody_elses_random_numbers_change(kind: str) -> None:
    before = torch.get_rng_state()
    initial_noise((2, 4, 4, 4), 1)
    walk(source(kind, 1, (2, 4, 4, 4)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**64])
@pytest.mark.parametrize(
    "draw", [lambda seed: initial_noise((1, 4, 2, 2), seed), lambda seed: StreamNoise(seed, (1, 4))]
)
def test_seeds_have_bounds(seed: int, draw: object) -> None:
    with pytest.raises(ValueError, match="Seeds go from 0 to"):
        draw(seed)


def test_places_that_are_not_in_the_batch_are_said_so() -> None:
    with pytest.raises(ValueError, match="names 2 pictures, but the latent has 3"):
        initial_noise((3, 4, 2, 2), 1, batch_index=[0, 1])
    with pytest.raises(ValueError, match="count from 0"):
        initial_noise((1, 4, 2, 2), 1, batch_index=[-1])
    with pytest.raises(ValueError, match="no picture 3 in a batch of 3"):
        initial_noise((3, 4, 2, 2), 1, index=3)
