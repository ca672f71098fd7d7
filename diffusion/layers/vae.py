"""The VAE of Stable Diffusion: pictures to latents and back (Esser et al. 2021, arXiv:2012.09841)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from diffusion.layers.attention import attention


@dataclass(frozen=True)
class VAEConfig:
    """Everything that shapes a VAE; the defaults are Stable Diffusion 1. channel_mult begins with the finest level."""

    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    latent_channels: int = 4
    groups: int = 32

    @property
    def ratio(self) -> int:
        """Pixels per latent, along each side."""
        return int(2 ** (len(self.channel_mult) - 1))


def _norm(groups: int, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    """Two normalised convolutions around a skip connection."""

    def __init__(self, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = _norm(groups, channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.norm2 = _norm(groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.nin_shortcut = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W]; returns [B, out_channels, H, W]."""
        h = self.conv1(F.silu(self.norm1(x), inplace=True))
        h = self.conv2(F.silu(self.norm2(h), inplace=True))
        out: Tensor = self.nin_shortcut(x) + h
        return out


class AttentionBlock(nn.Module):
    """Single-head self-attention over the pixels of a feature map, added to it."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(groups, channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, H, W]; returns the same shape."""
        h = self.norm(x)
        query, key, value = (rearrange(conv(h), "b c h w -> b (h w) c") for conv in (self.q, self.k, self.v))
        mixed = rearrange(attention(query, key, value, heads=1), "b (h w) c -> b c h w", h=x.shape[2])
        out: Tensor = x + self.proj_out(mixed)
        return out


class Downsample(nn.Module):
    """Half the height and width: zeros on the right and below, then a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Twice the height and width: nearest neighbour, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Level(nn.Module):
    """The residual blocks of one resolution, under the key `block`, and the step to the next resolution."""

    def __init__(self, blocks: list[ResBlock], step: tuple[str, nn.Module] | None) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        self.step = step[0] if step else None
        if step:
            self.add_module(*step)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return self.get_submodule(self.step)(x) if self.step else x


class Middle(nn.Module):
    """The coarsest resolution: attention between two residual blocks."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels, groups)
        self.attn_1 = AttentionBlock(channels, groups)
        self.block_2 = ResBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Encoder(nn.Module):
    """Picture [B, 3, H, W] to the moments of a normal distribution [B, 2 * latent_channels, h, w]."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        groups, last = config.groups, len(config.channel_mult) - 1
        channels = config.channels
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1)
        self.down = nn.ModuleList()
        for level, mult in enumerate(config.channel_mult):
            width = config.channels * mult
            blocks = [ResBlock(channels if i == 0 else width, width, groups) for i in range(config.num_res_blocks)]
            self.down.append(Level(blocks, ("downsample", Downsample(width)) if level < last else None))
            channels = width
        self.mid = Middle(channels, groups)
        self.norm_out = _norm(groups, channels)
        self.conv_out = nn.Conv2d(channels, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x)), inplace=True))
        return out


class Decoder(nn.Module):
    """Latent [B, latent_channels, h, w] to picture [B, 3, H, W]."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        groups = config.groups
        channels = config.channels * config.channel_mult[-1]
        self.conv_in = nn.Conv2d(config.latent_channels, channels, 3, padding=1)
        self.mid = Middle(channels, groups)
        levels: list[Level] = []
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            width = config.channels * mult
            blocks = [ResBlock(channels if i == 0 else width, width, groups) for i in range(config.num_res_blocks + 1)]
            levels.append(Level(blocks, ("upsample", Upsample(width)) if level > 0 else None))
            channels = width
        self.up = nn.ModuleList(reversed(levels))  # the keys count from the finest level
        self.norm_out = _norm(groups, channels)
        self.conv_out = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(x), inplace=True))
        return out


class VAE(nn.Module):
    """The network of the keys `first_stage_model.`. Pictures are [B, 3, H, W] in -1..1, latents are unscaled."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        z = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * z, 2 * z, 1)
        self.post_quant_conv = nn.Conv2d(z, z, 1)

    def encode_moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, each [B, latent_channels, H / ratio, W / ratio]."""
        mean, logvar = self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)
        return mean, torch.clamp(logvar, -30.0, 20.0)

    def encode(self, pixels: Tensor) -> Tensor:
        """The posterior's mode. H and W are multiples of the config's ratio."""
        return self.encode_moments(pixels)[0]

    def decode(self, latent: Tensor) -> Tensor:
        """Pixels [B, 3, h * ratio, w * ratio], roughly in -1..1."""
        out: Tensor = self.decoder(self.post_quant_conv(latent))
        return out
