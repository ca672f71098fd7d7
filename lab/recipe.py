"""Weights that anybody can make again: each tensor is a function of its key and shape. For tests and `make parity`."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from diffusion.layers.unet import UNet, UNetConfig
from diffusion.layers.vae import VAE, VAEConfig

UNIT = 3.4641016151377544
"""The width of a uniform distribution of variance 1: the square root of 12."""


def uniform(name: str, shape: tuple[int, ...]) -> Tensor:
    """Uniform float32 numbers of mean 0 and variance 1, from a generator seeded by the name's crc32."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.rand(shape, generator=generator, dtype=torch.float32).sub_(0.5).mul_(UNIT)


def weight(key: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """The float16 tensor (int64 for position_ids) of a checkpoint's key, by the rule of `checkpoint_recipe.json`."""
    if key.endswith("position_ids"):
        return torch.arange(math.prod(shape)).reshape(shape)
    if key.endswith("logit_scale"):
        return torch.tensor(4.6055, dtype=torch.float16)
    values = uniform(salt + key, shape)
    if key.endswith("token_embedding.weight"):
        values.mul_(0.5)
    elif key.endswith(("position_embedding.weight", "positional_embedding")):
        values.mul_(0.1)
    elif len(shape) >= 2:
        values.mul_(1.0 / math.sqrt(math.prod(shape[1:])))  # one over the square root of the fan-in
    elif key.endswith(".weight"):
        values.mul_(0.1).add_(1.0)  # norms
    else:
        values.mul_(0.1)  # biases
    return values.to(torch.float16)


def write_checkpoint(
    shapes: Mapping[str, tuple[int, ...]], path: Path, *, salt: str = "", metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors of these keys and shapes as one safetensors file: beside the path first, then renamed onto it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(
        {key: weight(key, shapes[key], salt) for key in sorted(shapes)}, beside, dict(metadata) if metadata else None
    )
    beside.replace(path)


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes from a key list of the reference (`keys/*.json`)."""
    return {key: tuple(entry["shape"]) for key, entry in json.loads(path.read_text())["tensors"].items()}


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sd15_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a Stable Diffusion 1.5 checkpoint in one file: 1131 tensors, 1.07 billion numbers."""
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    with torch.device("meta"):
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
        parts = {
            "model.diffusion_model.": UNet(UNetConfig()),
            "first_stage_model.": VAE(VAEConfig()),
            "cond_stage_model.transformer.text_model.": text,
        }
    shapes = {prefix + key: tuple(t.shape) for prefix, part in parts.items() for key, t in part.state_dict().items()}
    shapes["cond_stage_model.transformer.text_model.embeddings.position_ids"] = (1, 77)
    return shapes
