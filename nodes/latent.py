"""Latents: the small, dense pictures that samplers work on; made empty, from pixels, and turned into pixels."""

import math

import torch

from diffusion.latents import LatentError
from diffusion.memory import Memory
from graph.context import Context
from graph.node import Node
from graph.widgets import Int
from nodes.types import Image, Latent, Mask, Vae

MAX_SIDE = 16384  # pixels
PIXELS_PER_LATENT = 8


class EmptyLatentImage(Node[Latent], category="latent", display="Empty Latent Image"):
    """Make an empty latent for a sampler to fill: the size of the picture, and how many at once."""

    width: int = Int(
        default=512, min=16, max=MAX_SIDE, step=8, tooltip="Width of the picture in pixels, a multiple of 8."
    )
    height: int = Int(
        default=512, min=16, max=MAX_SIDE, step=8, tooltip="Height of the picture in pixels, a multiple of 8."
    )
    batch_size: int = Int(default=1, min=1, max=4096, tooltip="How many pictures to make at once.")

    def run(self, ctx: Context) -> Latent:
        shape = (self.batch_size, 4, self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT)
        try:
            return {"samples": torch.zeros(shape)}
        except RuntimeError as error:
            raise LatentError(
                f"{self.batch_size} latents for {self.width}×{self.height} pixels take "
                f"{4 * math.prod(shape) / 1e9:.0f} GB, more memory than there is; make fewer or smaller ones."
            ) from error


class VAEDecode(Node[Image], category="latent", display="VAE Decode"):
    """Turn latents into pictures."""

    samples: Latent
    vae: Vae

    lane = "device"

    def run(self, ctx: Context) -> Image:
        return self.vae.on(ctx.resource(Memory)).decode(self.samples["samples"])


class VAEEncode(Node[Latent], category="latent", display="VAE Encode"):
    """Turn pictures into latents. What exceeds a multiple of 8 pixels is cut off around the middle."""

    pixels: Image
    vae: Vae

    lane = "device"

    def run(self, ctx: Context) -> Latent:
        return {"samples": self.vae.on(ctx.resource(Memory)).encode(self.pixels)}


class SetLatentNoiseMask(Node[Latent], category="latent/inpaint", display="Set Latent Noise Mask"):
    """Let a sampler change only the masked part of a latent."""

    samples: Latent
    mask: Mask

    def run(self, ctx: Context) -> Latent:
        mask = self.mask
        return {**self.samples, "noise_mask": mask.reshape(-1, 1, mask.shape[-2], mask.shape[-1])}
