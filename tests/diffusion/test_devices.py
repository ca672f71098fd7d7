"""Devices: what memory is left, and which errors say that there is none."""

from __future__ import annotations

import pytest
import torch

from diffusion.devices import free_bytes, is_out_of_memory
from diffusion.memory import Memory
from diffusion.model import load_checkpoint
from tests.diffusion.stand_in import TINY

CPU = torch.device("cpu")


def test_the_cpus_want_of_memory_is_recognised_in_what_torch_says() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), MemoryError()])
def test_want_of_memory_is_recognised_by_class(error: BaseException) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch"), OSError("can't allocate memory"), KeyboardInterrupt()]
)
def test_other_errors_are_not_taken_for_it(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_free_memory_is_told_where_the_system_tells_it() -> None:
    free = free_bytes(CPU)
    assert free is None or 0 < free < 2**50
    assert free_bytes(torch.device("meta")) is None


@torch.inference_mode()
def test_handles_go_to_other_devices_and_their_networks_are_built_there() -> None:
    here, there = Memory(CPU), Memory(CPU)
    handles = load_checkpoint(TINY, here, find_embedding=lambda name: None)
    model, clip, vae = (handle.on(there) for handle in handles)
    assert (model, clip, vae) == handles  # the same weights, so the same to a cache
    clip.encode("a cat")
    sizes = [there.size_bytes()]
    vae.decode(torch.zeros(1, 4, 2, 2))
    sizes.append(there.size_bytes())
    model.network()
    sizes.append(there.size_bytes())
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert here.size_bytes() == 0
    assert handles[0].on(here).network() is handles[0].network()
    assert handles[0].network() is not model.network()
