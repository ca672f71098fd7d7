"""Trains the UNet on cached latents, the text encoder along with it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from diffusion.layers.unet import UNet, UNetConfig
from lab.tiny import text
from lab.tiny.captions import Example, caption
from lab.tiny.stage import Plan, run_stage

CONFIG = UNetConfig(
    model_channels=64,
    channel_mult=(1, 2, 2),
    num_res_blocks=(1, 1, 1),
    transformer_depth=(0, 1, 1),
    context_dim=text.WIDTH,
    num_heads=4,
    groups=16,
)
PLAN = Plan("unet", updates=4200, lr=2e-3, decay=0.998, adam_lr=0.5)
BATCH = 32
STEPS = 1000
SEED = 3


class Drawer(nn.Module):
    """The UNet and the text encoder that tells it what to draw."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = UNet(CONFIG)
        self.text = encoder
        # Each branch starts silent, so that the network starts as the shortest way through it (Ho et al. 2020's code).
        for name, module in self.unet.named_modules():
            if name.endswith(("out_layers.3", "proj_out", "out.2")):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """x [B, 4, h, w], timesteps [B], ids [B, 77]; returns the predicted noise [B, 4, h, w]."""
        out: Tensor = self.unet(x, timesteps, self.text(input_ids=ids).last_hidden_state)
        return out


def kept_signal() -> Tensor:
    """The share of a latent's variance left at each of SD1's 1000 time steps (Ho et al. 2020, eq. 4)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def train(
    folder: Path,
    examples: Sequence[Example],
    latents: Tensor,
    encoder: CLIPTextModel,
    *,
    plan: Plan = PLAN,
    until: int | None = None,
    at_save: Callable[[dict[str, Tensor]], None] | None = None,
) -> Drawer:
    """The trained UNet and text encoder. latents [N, 4, h, w]: the examples', of unit variance."""
    torch.manual_seed(SEED)
    drawer = Drawer(encoder)
    kept = kept_signal()
    # Levels with little noise are many and easy: their weight falls from a signal-to-noise ratio of 5 on (Hang et al.
    # 2023, arXiv:2303.09556, section 3.4).
    weights = (5 * (1 - kept) / kept).clamp(max=1)

    def loss(update: int) -> Tensor:
        generator, rng = torch.Generator().manual_seed(update), random.Random(f"{SEED}:{update}")
        chosen = torch.randint(0, len(latents), (BATCH,), generator=generator)
        shown = [examples[i] for i in chosen.tolist()]
        ids = text.batch_rows([caption(e.scene.subject, e.background, rng) for e in shown], rng)
        # One time step from each of BATCH equal parts of the schedule: less variance than independent draws.
        strata = (torch.randperm(BATCH, generator=generator) + torch.rand(BATCH, generator=generator)) / BATCH
        steps = (strata * STEPS).long()
        noise = torch.randn(BATCH, *latents.shape[1:], generator=generator)
        signal = kept[steps][:, None, None, None]
        noisy = latents[chosen] * signal.sqrt() + noise * (1 - signal).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            predicted = drawer(noisy, steps.float(), ids)
        value: Tensor = ((predicted.float() - noise).square().mean((1, 2, 3)) * weights[steps]).mean()
        return value

    drawer.load_state_dict(run_stage(plan, drawer, loss, folder, until=until, at_save=at_save))
    return drawer.eval()
