"""The values that travel on wires, with the socket type each has in a workflow file."""

from typing import Annotated, Any

import torch

from diffusion import model
from graph.wire import Socket

Image = Annotated[torch.Tensor, Socket("IMAGE")]  # [B, H, W, C] float32 on the CPU, 0..1; C is 3, sometimes 4
Mask = Annotated[torch.Tensor, Socket("MASK")]  # [B, H, W] or [H, W] float32 on the CPU; 1 is what may change
Latent = Annotated[
    dict[str, Any], Socket("LATENT")
]  # "samples" [B, C, h, w] unscaled; "noise_mask" [.., H, W], "batch_index" [B]
Conditioning = Annotated[
    list[Any], Socket("CONDITIONING")
]  # of [tensor [B, T, D], dict with "pooled_output" [B, D] and more]
Model = Annotated[model.Model, Socket("MODEL")]  # light handles; the weights belong to diffusion/memory
Clip = Annotated[model.Clip, Socket("CLIP")]
Vae = Annotated[model.Vae, Socket("VAE")]
