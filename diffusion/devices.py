"""Devices: which there is, and how a network gets its tensors and is made ready to compute there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from diffusion.layers.packed import PACKED_FROM, pack_convolutions


def best_device() -> torch.device:
    """The accelerator of this machine if it has one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def load(network: nn.Module, tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Give a network that was built on the meta device its tensors, by the names of its state dict, for inference.

    Each tensor takes the dtype of the parameter that it becomes; where that is the tensor's own and the device is the
    CPU, the network uses the tensor itself, without a copy. Tensors are fetched one by one. On the CPU convolutions are
    packed for its kernels, straight from the tensors of the file.
    """
    packed = _packable(network) if device.type == "cpu" and torch.backends.mkldnn.is_available() else set()

    def placed(name: str, weight: Tensor) -> Tensor:
        tensor = tensors[name]
        return tensor if name in packed and tensor.dtype in PACKED_FROM else tensor.to(device, weight.dtype)

    with _one_thread():
        state = {name: placed(name, weight) for name, weight in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
        network.requires_grad_(False).eval()
        if packed:
            pack_convolutions(network)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Copying new memory waits for the kernel to hand out pages; a second thread only waits along, at full load."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _packable(network: nn.Module) -> set[str]:
    """The names of the weights of float32 convolutions."""
    return {
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.weight.dtype == torch.float32
    }
