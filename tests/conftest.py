"""What all tests share: a checkpoint in the layout of Stable Diffusion 1, never trained, and a folder with it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig
from diffusion.text.encoder import TextConfig, expected_shapes
from tests.cli import House


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint file with random weights; about 2 MB."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet(
            UNetConfig(
                model_channels=16,
                channel_mult=(1, 2),
                num_res_blocks=(1, 1),
                transformer_depth=(1, 1),
                context_dim=16,
                num_heads=2,
                groups=8,
            )
        )
        vae = VAE(VAEConfig(channels=8, channel_mult=(1, 1, 1, 1), num_res_blocks=1, groups=4))
        text = expected_shapes(TextConfig(width=16, layers=2, heads=1, inner_width=32))
        tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in unet.state_dict().items()}
        tensors |= {f"first_stage_model.{name}": tensor for name, tensor in vae.state_dict().items()}
        tensors |= {
            f"cond_stage_model.transformer.text_model.{name}": torch.randn(shape) * 0.1 for name, shape in text.items()
        }
    hints = {"unet": {"num_heads": 2, "groups": 8}, "vae": {"groups": 4}, "text": {"num_heads": 1}}
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_file(
        {name: tensor.half().contiguous() for name, tensor in tensors.items()}, path, {"darkroom": json.dumps(hints)}
    )
    return path


@pytest.fixture
def house(tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> House:
    models = tmp_path / "models" / "checkpoints"
    models.mkdir(parents=True)
    shutil.copy(small_checkpoint, models / "small.safetensors")
    return House(tmp_path, capsys)
