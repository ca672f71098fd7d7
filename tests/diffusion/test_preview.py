"""Previews: the map from latents to colours, known for published VAEs and fitted for others."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion.families.sd1 import SD1
from diffusion.layers.vae import VAEConfig
from diffusion.memory import Memory
from diffusion.model import Model, load_checkpoint
from diffusion.preview import fit_map, map_of, picture_of
from tests.diffusion.stand_in import TINY

RATIO = 8
FACTORS = ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (-0.25, -0.25, -0.25))


@pytest.fixture
def model(checkpoint: Path, memory: Memory) -> Model:
    return load_checkpoint(checkpoint, memory, find_embedding=lambda name: None)[0]


def test_factors_say_what_each_channel_adds_to_the_colours() -> None:
    latents = torch.tensor([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 2, -2, 0], [0, 0, 0, 4]]).T.reshape(1, 4, 2, 2)
    expected = [[[128, 128, 128], [191, 128, 128]], [[128, 255, 0], [0, 0, 0]]]
    assert picture_of(latents, map_of(FACTORS)).tolist() == expected


def test_the_first_of_a_batch_is_shown() -> None:
    latents = torch.randn((3, 4, 5, 7), generator=torch.Generator().manual_seed(0))
    picture = picture_of(latents, map_of(FACTORS))
    assert (picture.shape, picture.dtype) == ((5, 7, 3), torch.uint8)
    assert torch.equal(picture, picture_of(latents[:1], map_of(FACTORS)))


def test_numbers_beyond_all_colours_are_cut_off() -> None:
    latents = torch.tensor([1e30, -1e30, float("nan"), 0]).reshape(1, 1, 2, 2).expand(1, 4, 2, 2)
    only_first = map_of(((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    assert picture_of(latents, only_first)[..., 0].tolist() == [[255, 0], [0, 128]]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_map_of_an_encoder_that_is_linear_is_found(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn((4, 4), generator=generator))[0][:, :3]
    offset = torch.randn(4, generator=generator)

    def encode(pictures: Tensor) -> Tensor:
        colours = F.avg_pool2d(pictures.permute(0, 3, 1, 2), RATIO)
        return torch.einsum("ck,bkhw->bchw", mixing, colours) + offset[:, None, None]

    picture = torch.rand((1, 24, 40, 3), generator=generator)
    expected = F.avg_pool2d(picture.permute(0, 3, 1, 2), RATIO).permute(0, 2, 3, 1)[0] * 255
    assert_close(picture_of(encode(picture), fit_map(encode, RATIO)).float(), expected, atol=0.6, rtol=0)


def test_the_published_vae_needs_no_fitting(model: Model, memory: Memory) -> None:
    detected = dataclasses.replace(model.source.detected, vae=VAEConfig())
    published = dataclasses.replace(model, source=dataclasses.replace(model.source, detected=detected))
    found = published.colours()
    assert memory.size_bytes() == (4 * 3 + 3) * 4  # of the map alone
    assert torch.equal(found.weight, map_of(SD1.preview).weight)


def test_a_map_is_fitted_once_and_forgotten_with_the_networks(model: Model, memory: Memory) -> None:
    first = model.colours()
    assert model.colours() is first
    memory.free()
    again = model.colours()
    assert again is not first
    assert torch.equal(again.weight, first.weight)


COLOURS = {"red": (0.9, 0.1, 0.1), "yellow": (1, 0.85, 0.1), "blue": (0.1, 0.3, 0.85), "white": (1, 1, 1),
           "black": (0, 0, 0), "green": (0.1, 0.6, 0.2)}  # fmt: skip


@pytest.mark.parametrize("colour", COLOURS)
def test_previews_of_the_bundled_checkpoint_have_the_right_colours(colour: str, memory: Memory) -> None:
    model, _, vae = load_checkpoint(TINY, memory, find_embedding=lambda name: None)
    picture = torch.full((1, 128, 128, 3), 0.5)
    picture[:, 32:96, 32:96] = torch.tensor(COLOURS[colour])
    shown = picture_of(vae.encode(picture) * model.scale_factor, model.colours())[5:11, 5:11].float().mean((0, 1)) / 255
    distances = {name: float((shown - torch.tensor(each)).norm()) for name, each in COLOURS.items()}
    assert min(distances, key=distances.__getitem__) == colour, distances
    assert distances[colour] < 0.3
