"""Stable Diffusion 1.x (Rombach et al. 2022, arXiv:2112.10752): one CLIP-L text encoder, a UNet that predicts noise."""

from __future__ import annotations

from collections.abc import Mapping

from diffusion.checkpoint import Shape, under
from diffusion.families import Family
from diffusion.layers.vae import VAEConfig
from diffusion.parameterisation import DiscreteEps
from diffusion.text.prompt import Format

_UNET = "model.diffusion_model."
_VAE = "first_stage_model."
_TEXT = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")


def _matches(shapes: Mapping[str, Shape]) -> bool:
    unet, vae = under(shapes, _UNET), under(shapes, _VAE)
    words = [shapes.get(f"{prefix}embeddings.token_embedding.weight") for prefix in _TEXT]
    text_width = {shape[-1:] for shape in words if shape}
    context_width = {shape[-1:] for name, shape in unet.items() if name.endswith(".attn2.to_k.weight")}
    projections = {len(shape) for name, shape in unet.items() if name.endswith(".proj_in.weight")}
    latent_channels = vae.get("decoder.conv_in.weight", ())[1:2]
    return (
        projections == {4}  # 1 × 1 convolutions; later families have linear layers
        and set() != text_width <= context_width
        and not any(name.startswith("label_emb.") or ".time_stack." in name for name in unet)
        and unet.get("input_blocks.0.0.weight", ())[1:2] == latent_channels != ()
        and "encoder.down.3.block.0.conv1.weight" in vae  # four levels: 8 pixels per latent
        and "encoder.down.4.block.0.conv1.weight" not in vae
    )


SD1 = Family(
    name="Stable Diffusion 1",
    matches=_matches,
    unet_prefix=_UNET,
    vae_prefix=_VAE,
    text_prefixes=_TEXT,
    parameterisation=DiscreteEps(),
    scale_factor=0.18215,
    unet_heads=8,
    text_head_width=64,
    text_encoder="clip_l",
    text_format=Format(),
    published_vae=VAEConfig(),
    preview=(  # fitted by @torridgristle for InvokeAI (Apache-2.0), after an idea of @erucipe and @keturn
        (0.3444, 0.1385, 0.0670),
        (0.1247, 0.4027, 0.1494),
        (-0.3192, 0.2513, 0.2103),
        (-0.1307, -0.1874, -0.7445),
    ),
)
