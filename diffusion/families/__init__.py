"""The kinds of models that can be loaded: each file of this folder is one, found by scanning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from diffusion.checkpoint import Shape
from diffusion.layers.vae import VAEConfig
from diffusion.parameterisation import Parameterisation
from diffusion.preview import Factors
from diffusion.text.prompt import Format


@dataclass(frozen=True)
class Family:
    """What all checkpoints of a kind have in common and their shapes do not say."""

    name: str
    matches: Callable[[Mapping[str, Shape]], bool]
    """Whether a checkpoint's names and shapes have this family's structure, at whatever width and depth."""
    unet_prefix: str
    vae_prefix: str
    text_prefixes: tuple[str, ...]  # the first that the file has
    parameterisation: Parameterisation
    scale_factor: float  # what latents are multiplied with for the UNet, so that they have about unit variance
    unet_heads: int
    text_head_width: int
    text_encoder: str  # its name in embedding files
    text_format: Format
    published_vae: VAEConfig  # checkpoints with another VAE have other latents
    preview: Factors  # from the latents of the published one to colours


@cache
def families() -> tuple[Family, ...]:
    """Every family there is, in the order of their files."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Family))
