"""What a program can ask of the machine around the nodes: devices, their memory, and to let go of networks."""

import psutil
import pytest
import torch
from torch import nn

from diffusion.memory import Memory
from nodes.surroundings import all_devices, facts, surroundings


def test_the_processor_is_one_device_with_the_memory_of_the_machine() -> None:
    found = facts(torch.device("cpu"))
    assert (found.name, found.type, found.index) == ("cpu", "cpu", None)
    assert found.memory_total_bytes == psutil.virtual_memory().total
    assert 0 < found.memory_free_bytes < found.memory_total_bytes
    assert (found.reserved_total_bytes, found.reserved_free_bytes) == (0, 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_accelerator_tells_its_memory_and_what_is_reserved_of_it() -> None:
    device = torch.device("cuda", 0)
    before = facts(device)
    assert (before.type, before.index) == ("cuda", 0)
    assert before.name.startswith("cuda:0 ")
    held = torch.empty(2**28, dtype=torch.uint8, device=device)
    after = facts(device)
    assert after.memory_free_bytes <= before.memory_free_bytes - held.numel()
    assert after.reserved_total_bytes - after.reserved_free_bytes >= held.numel()
    assert after.memory_free_bytes < after.memory_total_bytes


def test_all_devices_and_the_version_of_torch_are_told() -> None:
    around = surroundings()
    assert [(each.type, each.index) for each in around.devices()] == [(each.type, each.index) for each in all_devices()]
    assert around.versions == {"torch": torch.__version__}


def test_networks_are_let_go_of_when_asked() -> None:
    around = surroundings()
    memory = next(each for each in around.resources if isinstance(each, Memory))
    first = memory.get("key", lambda: nn.Linear(2, 2))
    assert memory.get("key", lambda: nn.Linear(2, 2)) is first
    around.release()
    assert memory.size_bytes() == 0
    assert memory.get("key", lambda: nn.Linear(2, 2)) is not first
