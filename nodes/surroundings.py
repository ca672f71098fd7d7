"""What an engine needs around the nodes of this house, on this machine: lanes, memory, and what is known of tensors."""

import os
from collections.abc import Sequence
from functools import partial

import psutil
import torch

from diffusion.devices import best_device, free_bytes, is_out_of_memory
from diffusion.memory import Memory
from diffusion.preview import Previews
from graph.fingerprint import CodeOf
from graph.library import DeviceFacts, Surroundings
from nodes import runtime


def surroundings(
    *,
    code: str | CodeOf | None = None,
    dtype: torch.dtype = torch.float32,
    loose_batches: bool = False,
    previews: bool = False,
) -> Surroundings:
    """For all accelerators of the machine, or its CPU. `code` is needed for classes from elsewhere, see Engine.

    loose_batches: runs share passes of a network even where that changes the last bits of what they give. previews:
    samplers show at each step what they are at.
    """
    memories = [Memory(device, dtype, loose_batches=loose_batches) for device in all_devices()]
    processors = os.cpu_count() or 1
    values = runtime.TensorValues()
    return Surroundings(
        resources=[*memories[:1], *([Previews()] if previews else [])],
        lane_resources={f"device {number}": [memory] for number, memory in enumerate(memories)},
        sizes={"device": len(memories), "cpu": processors, "io": max(8, processors)},
        around=runtime.lane_settings(),
        codec=values,
        guard=values,
        relief=partial(free_memory, memories),
        held_bytes=partial(held_bytes, memories),
        code=runtime.code() if code is None else code,
        environment=runtime.environment(memories[0].device, dtype, loose_batches=loose_batches),
        release=partial(release, memories),
        devices=lambda: [facts(memory.device) for memory in memories],
        versions={"torch": str(torch.__version__)},
    )


def all_devices() -> list[torch.device]:
    """Each accelerator of the best kind, or the CPU."""
    best = best_device()
    if best.type == "cpu":
        return [best]
    return [torch.device(best.type, number) for number in range(torch.accelerator.device_count())]


def facts(device: torch.device) -> DeviceFacts:
    """What a device is, and its memory just now. All but CUDA's are said to have that of the machine."""
    if device.type != "cuda":
        memory = psutil.virtual_memory()
        return DeviceFacts(str(device), device.type, device.index, memory.total, memory.available, 0, 0)
    reserved = torch.cuda.memory_reserved(device)
    return DeviceFacts(
        f"{device} {torch.cuda.get_device_name(device)}", device.type, device.index,
        torch.cuda.mem_get_info(device)[1], free_bytes(device) or 0,
        reserved, reserved - torch.cuda.memory_allocated(device),
    )  # fmt: skip


def release(memories: Sequence[Memory]) -> None:
    """Let go of all networks."""
    for memory in memories:
        memory.free()


def free_memory(memories: Sequence[Memory], error: BaseException) -> bool:
    """After an error for want of memory, let go of all networks; whether it was such an error."""
    if not is_out_of_memory(error):
        return False
    release(memories)
    return True


def held_bytes(memories: Sequence[Memory]) -> int:
    """What networks take of the CPU's memory, where results are kept."""
    return sum(memory.size_bytes() for memory in memories if memory.device.type == "cpu")
