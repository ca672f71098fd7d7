"""Memory holds each network once, builds each once, and knows its size."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
import torch
from torch import nn

from diffusion.memory import Memory


@pytest.fixture
def memory() -> Memory:
    return Memory(torch.device("cpu"))


def test_a_network_is_built_once_per_key(memory: Memory) -> None:
    first = memory.get("a", lambda: nn.Linear(2, 2))
    assert memory.get("a", lambda: nn.Linear(2, 2)) is first
    assert memory.get("b", lambda: nn.Linear(2, 2)) is not first


def test_threads_that_ask_at_once_get_one_network(memory: Memory) -> None:
    barrier, built, got = Barrier(8), [], []

    def build() -> nn.Module:
        built.append(1)
        return nn.Linear(2, 2)

    def ask() -> None:
        barrier.wait()
        got.append(memory.get("a", build))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert len(got) == 8
    assert len(set(map(id, got))) == 1


def test_building_one_network_does_not_hold_up_another(memory: Memory) -> None:
    def outer() -> nn.Module:
        other = Thread(target=memory.get, args=("b", lambda: nn.Linear(2, 2)))
        other.start()
        other.join(timeout=30)
        assert not other.is_alive()
        return nn.Linear(2, 2)

    memory.get("a", outer)


def test_a_network_that_could_not_be_built_is_tried_again(memory: Memory) -> None:
    def fail() -> nn.Module:
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        memory.get("a", fail)
    assert memory.get("a", lambda: nn.Linear(2, 2)) is not None


def test_size_counts_parameters_and_buffers_once(memory: Memory) -> None:
    shared = nn.Parameter(torch.zeros(10))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = shared
            self.register_buffer("buffer", torch.zeros(3, dtype=torch.float16), persistent=False)

    memory.get("a", Network)
    assert memory.size_bytes() == 10 * 4 + 3 * 2
    memory.get("b", Network)
    assert memory.size_bytes() == 10 * 4 + 2 * 3 * 2


def test_free_lets_go_but_leaves_a_network_to_who_uses_it(memory: Memory) -> None:
    network = memory.get("a", lambda: nn.Linear(2, 2))
    memory.free()
    assert memory.size_bytes() == 0
    assert memory.get("a", lambda: nn.Linear(2, 2)) is not network
    assert network(torch.zeros(1, 2)).shape == (1, 2)
