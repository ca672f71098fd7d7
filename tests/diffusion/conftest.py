"""Small random checkpoints with the structure of Stable Diffusion 1, and what they are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.memory import Memory
from diffusion.text.encoder import TextConfig, expected_shapes

UNET = UNetConfig(
    model_channels=32, channel_mult=(1, 2), num_res_blocks=(1, 2), transformer_depth=(0, 2), context_dim=64, groups=16
)
VAE_CONFIG = VAEConfig(channels=16, channel_mult=(1, 1, 2, 2), num_res_blocks=1, groups=8)
TEXT = TextConfig(width=64, layers=3, heads=2, inner_width=96)
HEADER = {"darkroom": json.dumps({"unet": {"groups": 16}, "vae": {"groups": 8}, "text": {"num_heads": 2}})}

MakeCheckpoint = Callable[..., Path]


@pytest.fixture(scope="session")
def unet_config() -> UNetConfig:
    return UNET


@pytest.fixture(scope="session")
def vae_config() -> VAEConfig:
    return VAE_CONFIG


@pytest.fixture(scope="session")
def tensors() -> dict[str, Tensor]:
    """A whole checkpoint's tensors in float16, by the names of the single-file layout."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {
            "model.diffusion_model.": UNet(UNET).state_dict(),
            "first_stage_model.": VAE(VAE_CONFIG).state_dict(),
            "cond_stage_model.transformer.text_model.": {
                name: torch.randn(shape, generator=generator) * (0.3 if name.startswith("embeddings.") else 0.1)
                + ("norm" in name and name.endswith("weight"))
                for name, shape in expected_shapes(TEXT).items()
            },
        }
    positions = {"cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None]}
    return {f"{part}{name}": tensor.half() for part, each in parts.items() for name, tensor in each.items()} | positions


@pytest.fixture(scope="session")
def checkpoint(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint file that loads."""
    path = tmp_path_factory.mktemp("checkpoints") / "small.safetensors"
    save_file(tensors, path, metadata=HEADER)
    return path


@pytest.fixture
def make_checkpoint(tensors: dict[str, Tensor], tmp_path: Path) -> MakeCheckpoint:
    """Write a changed checkpoint: tensors to replace (None: to leave out), and another header."""

    def make(changes: dict[str, Tensor | None] | None = None, header: dict[str, Any] | None = HEADER) -> Path:
        path = tmp_path / "changed.safetensors"
        changed = {name: tensor for name, tensor in {**tensors, **(changes or {})}.items() if tensor is not None}
        save_file(changed, path, metadata=header)
        return path

    return make


@pytest.fixture
def memory() -> Memory:
    return Memory(torch.device("cpu"))
