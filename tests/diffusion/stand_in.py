"""A small random model with what sampling needs of one, and a record of the passes its network made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from diffusion.batching import Sharing
from diffusion.layers.unet import UNet, UNetConfig
from diffusion.memory import Memory
from diffusion.model import Model, load_checkpoint
from diffusion.parameterisation import DiscreteEps, Parameterisation

WIDTH = 32
TINY = Path(__file__).resolve().parents[2] / "models/checkpoints/darkroom-tiny.safetensors"


@dataclass(frozen=True)
class Pass:
    """What the network was shown."""

    x: tuple[int, ...]
    timesteps: list[float]
    context: tuple[int, ...]


class Recording(nn.Module):
    """A UNet that notes each pass."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.unet = UNet(
                UNetConfig(
                    model_channels=32,
                    channel_mult=(1, 2),
                    num_res_blocks=(1, 1),
                    transformer_depth=(0, 1),
                    context_dim=WIDTH,
                    num_heads=4,
                    groups=8,
                )
            ).eval()
        self.passes: list[Pass] = []

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        self.passes.append(Pass(tuple(x.shape), timesteps.tolist(), tuple(context.shape)))
        return self.unet(x, timesteps, context)


@dataclass(frozen=True)
class StandIn:
    """`diffusion.guidance.Model`."""

    parameterisation: Parameterisation = field(default_factory=DiscreteEps)
    scale_factor: float = 0.18215
    latent_channels: int = 4
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    sharing: Sharing = field(default_factory=Sharing)
    recording: Recording = field(default_factory=lambda: Recording(0))

    def row_bytes(self, height: int, width: int) -> int:
        return 40 * WIDTH * height * width * 4

    def network(self) -> nn.Module:
        return self.recording

    @property
    def passes(self) -> list[Pass]:
        return self.recording.passes


@dataclass(frozen=True)
class Wrapped:
    """A model with something around its network."""

    model: Model
    around: nn.Module
    sharing: Sharing = field(default_factory=Sharing)

    parameterisation = property(lambda self: self.model.parameterisation)
    scale_factor = property(lambda self: self.model.scale_factor)
    latent_channels = property(lambda self: self.model.latent_channels)
    device = property(lambda self: self.model.device)
    dtype = property(lambda self: self.model.dtype)

    def on(self, memory: object) -> Wrapped:
        return self

    def row_bytes(self, height: int, width: int) -> int:
        return self.model.row_bytes(height, width)

    def network(self) -> nn.Module:
        return self.around


def load_tiny(memory: Memory) -> Model:
    """The bundled checkpoint's model."""
    return load_checkpoint(TINY, memory, find_embedding=lambda name: None)[0]


def prompt(seed: int, tokens: int = 7, batch: int = 1) -> list[list[object]]:
    """A conditioning of one entry, as a text encoder gives it."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn((batch, tokens, WIDTH), generator=generator), {"pooled_output": torch.zeros(1, WIDTH)}]]
