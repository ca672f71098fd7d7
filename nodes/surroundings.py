"""What an engine needs around the nodes of this house, on this machine: lanes, memory, and what is known of tensors."""

import os
from collections.abc import Sequence
from functools import partial

import torch

from diffusion.devices import best_device, is_out_of_memory
from diffusion.memory import Memory
from diffusion.preview import Previews
from graph.fingerprint import CodeOf
from graph.library import Surroundings
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
    )


def all_devices() -> list[torch.device]:
    """Each accelerator of the best kind, or the CPU."""
    best = best_device()
    if best.type == "cpu":
        return [best]
    return [torch.device(best.type, number) for number in range(torch.accelerator.device_count())]


def free_memory(memories: Sequence[Memory], error: BaseException) -> bool:
    """After an error for want of memory, let go of all networks; whether it was such an error."""
    if not is_out_of_memory(error):
        return False
    for memory in memories:
        memory.free()
    return True


def held_bytes(memories: Sequence[Memory]) -> int:
    """What networks take of the CPU's memory, where results are kept."""
    return sum(memory.size_bytes() for memory in memories if memory.device.type == "cpu")
