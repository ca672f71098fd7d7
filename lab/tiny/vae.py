"""Trains the VAE on scenes, makes its latents fit the noise schedule, and tunes its decoder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion.layers.vae import VAE, VAEConfig
from lab.tiny.captions import Example, example
from lab.tiny.pictures import SIDE, draw
from lab.tiny.stage import Plan, run_stage

CONFIG = VAEConfig(channels=32, channel_mult=(1, 1, 2, 3), num_res_blocks=1, groups=8)
PLAN = Plan("vae", updates=5400, lr=3e-3, decay=0.998)
CROPS_UNTIL = 4000  # updates on crops; the rest see whole pictures, whose edges and attention are those of real use
CROP, CROPS, WHOLES = 64, 8, 2  # side of a crop in pixels; crops, or whole pictures, per update
ROUGH_FROM = 1200  # updates from which latents reach the decoder as inexact as a UNet draws them
LATENT_ERROR = 0.15  # largest standard deviation of that, as a share of the latents' own
KL_WEIGHT = 3e-5
EDGE_WEIGHT = 0.5
SEED = 1
SCALE_FACTOR = 0.18215  # of latents on their way to the UNet, in every SD1 checkpoint

TUNING = Plan("decoder", updates=3000, lr=1e-3, decay=0.998, hold=0.2)


def pixels(examples: Iterable[Example]) -> Tensor:
    """Pictures of examples, [N, 3, 128, 128] in -1..1."""
    pictures = [np.asarray(draw(each.scene)) for each in examples]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def crop(pictures: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random part of each picture, on the grid of the latents."""
    places = torch.randint(0, (SIDE - side) // 8 + 1, (len(pictures), 2), generator=generator) * 8
    return torch.stack([p[:, y : y + side, x : x + side] for p, (y, x) in zip(pictures, places.tolist(), strict=True)])


def picture_loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of pixels and, so that edges come out sharp, of neighbouring pixels' differences."""
    off = drawn.float() - wanted
    edges = (off[..., 1:] - off[..., :-1]).abs().mean() + (off[..., 1:, :] - off[..., :-1, :]).abs().mean()
    return off.abs().mean() + EDGE_WEIGHT * edges


def train(folder: Path, *, plan: Plan = PLAN, until: int | None = None) -> VAE:
    """The trained VAE (averaged weights)."""
    torch.manual_seed(SEED)
    vae = VAE(CONFIG)

    def loss(update: int) -> Tensor:
        generator = torch.Generator().manual_seed(update)
        cropped = update < CROPS_UNTIL
        wanted = pixels(example(SEED, update * CROPS + i) for i in range(CROPS if cropped else WHOLES))
        if cropped:
            wanted = crop(wanted, CROP, generator)
        with torch.autocast("cpu", torch.bfloat16):
            mean, logvar = (x.float() for x in vae.encode_moments(wanted))
            noise = torch.randn(mean.shape, generator=generator)
            spread = torch.exp(0.5 * logvar)
            if update >= ROUGH_FROM:
                share = torch.rand(len(mean), 1, 1, 1, generator=generator) * LATENT_ERROR
                spread = spread + share * mean.detach().std((0, 2, 3), keepdim=True)
            drawn = vae.decode(mean + noise * spread)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return picture_loss(drawn, wanted) + KL_WEIGHT * kl

    vae.load_state_dict(run_stage(plan, vae, loss, folder, until=until))
    return vae.eval()


@torch.no_grad()
def encode(vae: VAE, examples: Sequence[Example]) -> Tensor:
    """Latents of examples' pictures, [N, 4, 16, 16], as the VAE has them: to bfloat16's precision, which is ample."""
    with torch.autocast("cpu", torch.bfloat16):
        return torch.cat([vae.encode(pixels(examples[i : i + 16])).float() for i in range(0, len(examples), 16)])


@torch.no_grad()
def fit_to_schedule(vae: VAE, latents: Tensor) -> Tensor:
    """Change the VAE so that its latents times 0.18215 have mean 0 and variance 1; return `latents` so changed.

    The noise schedule takes that for granted. The change is linear, so it goes into the 1×1 convolutions after the
    encoder and before the decoder, and pictures decode as before. Of the predicted log variance, which nobody reads,
    only the level is kept right.
    """
    channels = latents.shape[1]
    flat = latents.transpose(0, 1).flatten(1).double()  # [4, N * h * w]
    centre = flat.mean(1)
    variances, directions = torch.linalg.eigh(torch.cov(flat))
    scale = variances.clamp(min=0.01 * float(variances.max())).sqrt()
    to_unit = (directions / scale).T  # latent - centre → unit variance
    from_unit = directions * scale

    conv, start = vae.quant_conv, channels
    assert conv.bias is not None
    assert vae.post_quant_conv.bias is not None
    weight, bias = conv.weight.double()[..., 0, 0], conv.bias.double()
    conv.weight[:start] = (to_unit @ weight[:start] / SCALE_FACTOR)[..., None, None]
    conv.bias[:start] = to_unit @ (bias[:start] - centre) / SCALE_FACTOR
    conv.bias[start:] -= 2 * (scale.log().mean() + math.log(SCALE_FACTOR))
    weight, bias = vae.post_quant_conv.weight.double()[..., 0, 0], vae.post_quant_conv.bias.double()
    vae.post_quant_conv.weight.copy_((weight @ from_unit * SCALE_FACTOR)[..., None, None])
    vae.post_quant_conv.bias.copy_(bias + weight @ centre)
    return torch.einsum("ij,njhw->nihw", to_unit, latents.double() - centre[:, None, None]).float().contiguous()


def tune_decoder(
    folder: Path,
    vae: VAE,
    examples: Sequence[Example],
    latents: Tensor,
    *,
    plan: Plan = TUNING,
    until: int | None = None,
) -> VAE:
    """Train the decoder alone on whole pictures, from latents (unit variance) as a UNet draws them: a little off."""
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)

    def loss(update: int) -> Tensor:
        generator = torch.Generator().manual_seed(update)
        chosen = torch.randint(0, len(latents), (WHOLES,), generator=generator)
        wanted = pixels(examples[i] for i in chosen.tolist())
        off = torch.randn(WHOLES, *latents.shape[1:], generator=generator) * torch.rand(
            WHOLES, 1, 1, 1, generator=generator
        )
        with torch.autocast("cpu", torch.bfloat16):
            drawn = vae.decode((latents[chosen] + LATENT_ERROR * off) / SCALE_FACTOR)
        return picture_loss(drawn, wanted)

    vae.load_state_dict(run_stage(plan, vae, loss, folder, until=until))
    return vae.eval()
