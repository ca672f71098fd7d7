"""Devices: which there is, and how a network gets its tensors and is made ready to compute there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from diffusion.layers.packed import pack_convolutions


def best_device() -> torch.device:
    """The accelerator of this machine if it has one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def fill(network: nn.Module, tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Give a network that was built on the meta device its tensors, by the names of its state dict.

    Each tensor takes the dtype of the parameter that it becomes; where that is the tensor's own and the device is the
    CPU, the network uses the tensor itself, without a copy. Tensors are fetched one by one.
    """
    placed = {name: tensors[name].to(device, weight.dtype) for name, weight in network.state_dict().items()}
    network.load_state_dict(placed, assign=True)


def prepare(network: nn.Module) -> None:
    """Make a freshly filled network ready for inference where its weights are: no gradients, kernels' own layouts."""
    network.requires_grad_(False).eval()
    weight = next(network.parameters())
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        pack_convolutions(network)
