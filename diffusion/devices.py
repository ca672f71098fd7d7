"""Devices: which there is, what memory it has left, and how a network gets its tensors and is made ready there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from diffusion.layers.packed import PACKED_FROM, pack_convolutions

MEMORY_FACTS = Path("/proc/meminfo")
"""Where Linux says what memory there is."""

NO_MEMORY = ("can't allocate memory", "not enough memory")
"""How torch's allocator for the CPU puts it, on Linux and on Windows, in an error of no class of its own."""


def best_device() -> torch.device:
    """The accelerator of this machine if it has one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be allocated on a device; None where that cannot be told."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "cpu" and MEMORY_FACTS.exists():
        for line in MEMORY_FACTS.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def release_cached(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory for allocations to come."""
    if device.type != "cpu":
        torch.accelerator.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be allocated, on the CPU or an accelerator."""
    if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
        return any(words in str(error) for words in NO_MEMORY)
    return isinstance(error, torch.OutOfMemoryError | MemoryError)


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
