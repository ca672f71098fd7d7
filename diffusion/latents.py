"""Latents as they travel between nodes: reading and checking what they hold."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diffusion.conditioning import repeat_to_batch

Latent = dict[str, Any]
"""{"samples": [B, C, h, w]}, optionally "noise_mask" [.., H, W] and "batch_index" [B], and keys that are handed on."""


class LatentError(ValueError):
    """A latent that cannot be used: one sentence that says why."""


def samples_of(latent: Latent) -> Tensor:
    """The samples, [B, C, h, w] float32."""
    samples = latent.get("samples")
    if not isinstance(samples, Tensor):
        raise LatentError('The latent has no "samples".')
    if samples.ndim != 4 or 0 in samples.shape:
        raise LatentError(f"Latents are [pictures, channels, height, width]; this one is {list(samples.shape)}.")
    if not torch.isfinite(samples).all():
        raise LatentError("The latent holds NaN or infinite numbers, so something before this went wrong.")
    return samples.to(torch.float32)


def with_channels(latent: Latent, channels: int) -> Latent:
    """An empty (all-zero) latent takes a model's number of channels; one with a picture in it must have it."""
    samples = samples_of(latent)
    if samples.shape[1] == channels:
        return latent
    if samples.any():
        raise LatentError(
            f"The latent has {samples.shape[1]} channels, but the model works with {channels}: "
            "it was made by the VAE of another kind of model."
        )
    return {**latent, "samples": samples.new_zeros((samples.shape[0], channels, *samples.shape[2:]))}


def noise_mask_of(latent: Latent) -> Tensor | None:
    """The mask at the latent's size, [B, 1, h, w]: 1 where the picture is made anew, 0 where it is kept."""
    mask, samples = latent.get("noise_mask"), samples_of(latent)
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.ndim < 2 or 0 in mask.shape or not torch.isfinite(mask).all():
        raise LatentError("The latent's noise mask must be finite numbers, [height, width] or [masks, height, width].")
    mask = mask.to(torch.float32).reshape((-1, 1, *mask.shape[-2:]))
    mask = torch.nn.functional.interpolate(mask, size=samples.shape[2:], mode="bilinear")
    return repeat_to_batch(mask, samples.shape[0])
