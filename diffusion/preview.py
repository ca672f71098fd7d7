"""Previews: a small picture of what a sampler is at, from a latent by a linear map; a decoder would take too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Factors = tuple[tuple[float, float, float], ...]
"""For each channel of a latent what it adds to red, green and blue; colours are −1..1, latents on the UNet's scale."""

SIDE = 16  # latents along each side of the pictures that a map is fitted to; with 8 the colours are worse
PATCHES = 3  # of one colour each, along each side


@dataclass(frozen=True)
class Previews:
    """How samplers show what they are at: "auto" as well as is possible at next to no cost, "none" not at all."""

    method: Literal["auto", "none"] = "auto"


def map_of(factors: Factors) -> nn.Linear:
    """The map from latents on the UNet's scale to colours in 0..255, of factors that are known."""
    weights = torch.tensor(factors).T * 127.5
    return _linear(weights, torch.full((3,), 127.5))


def fit_map(encode: Callable[[Tensor], Tensor], ratio: int) -> nn.Linear:
    """The same by least squares, for an encoder of pictures [B, H, W, 3] in 0..1 to latents on the UNet's scale.

    ratio: pixels per latent, along each side. Encoded colours tell more than decoded noise: in previews of the bundled
    checkpoint that differs by 33 of 255 from the picture, this by 24, and the best linear map by 23.
    """
    pictures = _samples(SIDE * ratio)
    latents = encode(pictures.permute(0, 2, 3, 1)).permute(0, 2, 3, 1).flatten(0, 2)
    colours = F.avg_pool2d(pictures, ratio).permute(0, 2, 3, 1).flatten(0, 2) * 255
    given = torch.cat([latents, torch.ones(len(latents), 1)], dim=1)
    found = torch.linalg.lstsq(given.double(), colours.double(), driver="gelsd").solution.float()
    return _linear(found[:-1].T, found[-1])


def picture_of(latents: Tensor, to_colours: nn.Linear) -> Tensor:
    """The first of a batch of latents [B, C, h, w], on the UNet's scale, as [h, w, 3] uint8 on the CPU."""
    with torch.inference_mode():
        colours: Tensor = to_colours(latents[0].movedim(0, -1).to(to_colours.weight.dtype))
        return colours.round().clamp(0, 255).nan_to_num(0).to(torch.uint8).cpu()


def _samples(side: int) -> Tensor:
    """Pictures [B, 3, side, side] in 0..1 of many colours: with hard edges, as drawings have, and with soft ones."""
    colours = torch.rand((8, 3, PATCHES, PATCHES), generator=torch.Generator().manual_seed(0))
    hard = F.interpolate(colours[:4], size=(side, side), mode="nearest")
    soft = F.interpolate(colours[4:], size=(side, side), mode="bicubic").clamp(0, 1)
    return torch.cat([hard, soft])


def _linear(weights: Tensor, bias: Tensor) -> nn.Linear:
    with torch.device("meta"):
        linear = nn.Linear(weights.shape[1], weights.shape[0])
    linear.load_state_dict({"weight": weights.contiguous(), "bias": bias}, assign=True)
    return linear.requires_grad_(False)
