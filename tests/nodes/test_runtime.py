"""What the engine is told of torch."""

import threading

import torch

from graph.cache import Entry
from graph.cache.memory import ENTRY_BYTES, MemoryCache
from nodes import runtime


def test_memory_that_values_share_counts_once() -> None:
    cache = MemoryCache(10**6, runtime.TensorValues())
    latent = {"samples": torch.zeros(1, 4, 8, 8), "batch_index": [0]}
    cache.put("one", Entry((latent,), {}, 0.0))
    assert cache.size_bytes == ENTRY_BYTES + 4 * 8 * 8 * 4
    masked = {**latent, "noise_mask": torch.zeros(1, 1, 8, 8)}
    cache.put("two", Entry((masked, [[latent["samples"][0], {}]]), {}, 0.0))
    assert cache.size_bytes == 2 * ENTRY_BYTES + (4 + 1) * 8 * 8 * 4


def test_a_view_holds_all_of_its_block() -> None:
    whole = torch.zeros(1000)
    assert [size for _, size in runtime.TensorValues().storages(whole[:1])] == [4000]


def test_another_precision_is_another_environment() -> None:
    device = torch.device("cpu")
    assert runtime.environment(device, torch.float32) != runtime.environment(device, torch.float16)


def test_only_the_device_lane_lets_torch_use_several_threads() -> None:
    before = torch.get_num_threads()
    settings = runtime.lane_settings()
    found: dict[str, tuple[int, bool]] = {}

    def work(lane: str) -> None:
        with settings(lane):
            found[lane] = torch.get_num_threads(), torch.is_grad_enabled()

    for lane in ("io", "cpu", "device"):
        thread = threading.Thread(target=work, args=(lane,))
        thread.start()
        thread.join()
    assert found == {"io": (1, False), "cpu": (1, False), "device": (before, False)}
    assert torch.is_grad_enabled()


def test_a_lane_that_begins_later_takes_no_threads_from_the_device_lane() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    settings = runtime.lane_settings()
    device_began, io_began = threading.Event(), threading.Event()
    found: list[int] = []

    def device() -> None:
        with settings("device"):
            device_began.set()
            io_began.wait()
            torch.zeros(10**6).add_(1)  # large enough for torch to share it among threads
            found.append(torch.get_num_threads())

    def io() -> None:
        device_began.wait()
        with settings("io"):
            io_began.set()

    threads = [threading.Thread(target=work) for work in (device, io)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.set_num_threads(before)
    assert found == [2]
