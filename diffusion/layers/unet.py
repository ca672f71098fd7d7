"""The UNet of Stable Diffusion: a noisy latent, a time step and a context go in, the prediction of the noise comes out.

Ho et al. 2020 (arXiv:2006.11239), Dhariwal and Nichol 2021 (arXiv:2105.05233), Rombach et al. 2022 (arXiv:2112.10752).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion.layers.attention import SpatialTransformer


@dataclass(frozen=True)
class UNetConfig:
    """What shapes a UNet; the defaults are Stable Diffusion 1. Tuples have one entry per level, finest first."""

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: tuple[int, ...] = (2, 2, 2, 2)
    transformer_depth: tuple[int, ...] = (1, 1, 1, 0)  # 0: no attention at that level
    middle_depth: int = 1
    context_dim: int = 768
    num_heads: int | None = 8  # exactly one of num_heads and head_dim is set
    head_dim: int | None = None
    groups: int = 32

    def __post_init__(self) -> None:
        if (self.num_heads is None) == (self.head_dim is None):
            raise ValueError(
                "a UNet has either a fixed number of heads or a fixed head size: set one of num_heads, head_dim"
            )

    def heads(self, channels: int) -> int:
        """How many attention heads a layer of this many channels has."""
        if self.num_heads is not None:
            return self.num_heads
        assert self.head_dim is not None
        return channels // self.head_dim


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them, around a skip connection."""

    def __init__(self, channels: int, out_channels: int, time_dim: int, groups: int) -> None:
        super().__init__()
        # SiLU has no weights but a place in the keys; in_layers and out_layers count it and the dropout of training.
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(inplace=True), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, out_channels))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, out_channels),
            nn.SiLU(inplace=True),
            nn.Identity(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x [B, C, H, W], emb [B, time_dim]; returns [B, out_channels, H, W]."""
        h = self.in_layers(x)
        h = h + self.emb_layers(emb)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class Downsample(nn.Module):
    """Half the height and width (rounded up), by a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.op(x)
        return out


class Upsample(nn.Module):
    """Nearest-neighbour to a given size, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, size=size, mode="nearest"))
        return out


class Stage(nn.ModuleList):
    """One numbered block of the UNet: layers in a row, each given what its kind needs."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(layers)

    def forward(self, x: Tensor, emb: Tensor, context: Tensor, size: torch.Size | None = None) -> Tensor:
        for layer in self:
            match layer:
                case ResBlock():
                    x = layer(x, emb)
                case SpatialTransformer():
                    x = layer(x, context)
                case Upsample():
                    x = layer(x, size)
                case _:
                    x = layer(x)
        return x


def timestep_embedding(timesteps: Tensor, dim: int) -> Tensor:
    """Sinusoids of a time step: timesteps [B] -> [B, dim], cosines first (Vaswani et al. 2017, section 3.5)."""
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angles = timesteps[:, None].float() * frequencies
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return F.pad(embedding, (0, dim % 2))


class UNet(nn.Module):
    """The network of a checkpoint's `model.diffusion_model.` keys.

    forward(x [B, in_channels, H, W], timesteps [B], context [B, S, context_dim]) returns [B, out_channels, H, W].
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        width, groups = config.model_channels, config.groups
        time_dim = width * 4
        self.time_embed = nn.Sequential(nn.Linear(width, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))

        def res(channels: int, out_channels: int) -> ResBlock:
            return ResBlock(channels, out_channels, time_dim, groups)

        def transformer(channels: int, depth: int) -> list[nn.Module]:
            heads = config.heads(channels)
            return [SpatialTransformer(channels, config.context_dim, heads, depth, groups)] if depth else []

        levels = list(zip(config.channel_mult, config.num_res_blocks, config.transformer_depth, strict=True))
        channels = width
        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(config.in_channels, width, 3, padding=1))])
        skip_channels = [width]
        for level, (mult, blocks, depth) in enumerate(levels):
            for _ in range(blocks):
                self.input_blocks.append(Stage(res(channels, mult * width), *transformer(mult * width, depth)))
                channels = mult * width
                skip_channels.append(channels)
            if level < len(levels) - 1:
                self.input_blocks.append(Stage(Downsample(channels)))
                skip_channels.append(channels)

        self.middle_block = Stage(
            res(channels, channels), *transformer(channels, config.middle_depth), res(channels, channels)
        )

        self.output_blocks = nn.ModuleList()
        for level, (mult, blocks, depth) in reversed(list(enumerate(levels))):
            for index in range(blocks + 1):
                stage = [res(channels + skip_channels.pop(), mult * width), *transformer(mult * width, depth)]
                channels = mult * width
                if level > 0 and index == blocks:
                    stage.append(Upsample(channels))
                self.output_blocks.append(Stage(*stage))

        self.out = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, config.out_channels, 3, padding=1),
        )

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        emb = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(x.dtype))
        skips: list[Tensor] = []
        for block in self.input_blocks:
            x = block(x, emb, context)
            skips.append(x)
        x = self.middle_block(x, emb, context)
        for block in self.output_blocks:
            x = torch.cat([x, skips.pop()], dim=1)
            # Odd sizes were rounded up on the way down: the way up follows the skip that comes next.
            x = block(x, emb, context, skips[-1].shape[2:] if skips else None)
        out: Tensor = self.out(x)
        return out
