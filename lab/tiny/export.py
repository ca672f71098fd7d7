"""Writes the trained networks as one checkpoint file in Stable Diffusion 1's single-file layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from diffusion.layers.vae import VAE
from lab.tiny import text, unet, vae
from lab.tiny.unet import Drawer

CHECKPOINT = Path(__file__).parents[2] / "models" / "checkpoints" / "darkroom-tiny.safetensors"
TOKENS = 49408

# What the shapes of tensors cannot tell a loader.
HEADER = {
    "unet": {"num_heads": unet.CONFIG.num_heads, "groups": unet.CONFIG.groups},
    "vae": {"groups": vae.CONFIG.groups},
    "text": {"num_heads": text.HEADS},
}


def full_table(table: Tensor) -> Tensor:
    """The compact token table [words + 1, width] spread over CLIP's vocabulary; words never seen share the last row."""
    spread = table[-1].repeat(TOKENS, 1)
    spread[list(text.vocabulary())] = table[:-1]
    return spread


def tensors(drawer: Drawer, autoencoder: VAE) -> dict[str, Tensor]:
    """Every tensor of the file, by its key, in half precision."""
    words = {key.removeprefix("text_model."): value for key, value in drawer.text.state_dict().items()}
    words["embeddings.token_embedding.weight"] = full_table(words["embeddings.token_embedding.weight"])
    parts = {
        "model.diffusion_model.": drawer.unet.state_dict(),
        "first_stage_model.": autoencoder.state_dict(),
        "cond_stage_model.transformer.text_model.": words,
    }
    return {
        prefix + key: value.detach().to(torch.float16).contiguous()
        for prefix, part in parts.items()
        for key, value in part.items()
        if value.is_floating_point()  # not the row of position numbers
    }


def write(drawer: Drawer, autoencoder: VAE, path: Path = CHECKPOINT) -> None:
    """Write the file; a run killed here leaves the one before."""
    beside = path.with_suffix(".new")
    save_file(tensors(drawer, autoencoder), beside, metadata={"darkroom": json.dumps(HEADER)})
    beside.replace(path)
