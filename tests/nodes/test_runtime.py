"""What the engine is told of torch."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffusion.memory import Memory
from diffusion.model import load_checkpoint
from graph.cache import DiskCodec, Entry, Guard, Unkeepable
from graph.cache.disk import DiskCache
from graph.cache.memory import ENTRY_BYTES, MemoryCache
from graph.given import Many
from nodes import runtime
from nodes.packing import DTYPES

CODEC = runtime.TensorValues()


@dataclass(frozen=True)
class Patch:
    """A tensor in an object of a class of one's own."""

    weight: Tensor


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
    assert [size for _, size in CODEC.storages(whole[:1])] == [4000]


def test_blocks_are_found_wherever_a_value_holds_them() -> None:
    ring: list[Any] = [torch.zeros(1)]
    ring.append(ring)
    array = np.zeros(5, np.float32)
    value = (Many([{"a": {torch.zeros(2)}}]), Patch(torch.zeros(3)), ring, [array[2:], array], Patch, None, "text")
    assert sorted({*CODEC.storages(value)}, key=lambda block: block[1]) == [
        *sorted({*CODEC.storages([ring, *value[0][0]["a"], value[1].weight, array])}, key=lambda block: block[1])
    ]
    assert sorted(size for _, size in {*CODEC.storages(value)}) == [4, 8, 12, 20]


def test_tensors_that_lie_in_no_block_weigh_nothing() -> None:
    assert [*CODEC.storages(torch.eye(2).to_sparse())] == []


# ── to disk and back ──────────────────────────────────────────────────────────────────────────────────────────────────


def through_disk(folder: Path, *values: Any) -> tuple[Any, ...] | None:
    """The values as a later process gets them."""
    with DiskCache(folder, 2**30, CODEC) as cache:
        cache.put("key", Entry(values, {}, 1.0))
    found = DiskCache(folder, 2**30, CODEC).get("key")
    return None if found is None else found.outputs


def packed(*tensors: Tensor) -> tuple[list[Tensor], int]:
    """The tensors again, and the bytes of numbers that were written for them."""
    facts, contents = CODEC.pack(tensors)
    contents = [*contents]
    return [*CODEC.unpack(facts, contents)], sum(
        len(each) - 8 - int.from_bytes(each[:8], "little") for each in contents
    )


def assert_same(one: Tensor, other: Tensor) -> None:
    assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride())
    assert bits(one).equal(bits(other))


def bits(tensor: Tensor) -> Tensor:
    return tensor.clone(memory_format=torch.contiguous_format).flatten().view(torch.uint8)


@st.composite
def tensors(draw: st.DrawFn) -> list[Tensor]:
    """Views of all kinds, some of one block of memory; any bits, so NaN and infinities too."""
    found = []
    for dtype in draw(st.lists(st.sampled_from(sorted(DTYPES, key=str)), min_size=1, max_size=2)):
        bits = torch.randint(0, 2 if dtype == torch.bool else 256, (60 * dtype.itemsize,), dtype=torch.uint8)
        block = bits.view(dtype)
        for _ in range(draw(st.integers(1, 3))):
            shape = draw(st.lists(st.integers(0, 4), max_size=3))
            stride = [draw(st.integers(0, 5)) for _ in shape]
            found.append(block.as_strided(shape, stride, draw(st.integers(0, 10))))
    return draw(st.permutations(found))


@given(tensors())
def test_tensors_survive_with_their_bits_and_strides(given: list[Tensor]) -> None:
    again, written = packed(*given)
    for before, after in zip(given, again, strict=True):
        assert_same(before, after)
    assert written <= sum({storage: size for each in given for storage, size in CODEC.storages(each)}.values())


def test_a_value_survives_on_disk_with_all_around_its_tensors(tmp_path: Path) -> None:
    pooled = torch.tensor([float("nan"), float("inf"), -0.0])
    value = [[torch.randn(1, 77, 8), {"pooled_output": pooled, "strength": 1.0, "area": (1, 2), "mask": None}]]
    picture = torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    back = through_disk(tmp_path, value, Many([torch.tensor(3, dtype=torch.bfloat16), {"n": 2**70}]), picture.half())
    assert back is not None
    [[tokens, settings]], many, image = back
    assert_same(tokens, value[0][0])
    assert_same(settings.pop("pooled_output"), pooled)
    assert settings == {"strength": 1.0, "area": (1, 2), "mask": None}
    assert type(many) is Many
    assert_same(many[0], torch.tensor(3, dtype=torch.bfloat16))
    assert many[1] == {"n": 2**70}
    assert_same(image, picture.half())
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_what_shares_memory_shares_it_again_and_is_written_once() -> None:
    whole = torch.rand(100, 10)
    again, written = packed(whole, *whole, whole[:50], whole.T)
    assert written == 4000
    assert len({each.untyped_storage().data_ptr() for each in again}) == 1


@pytest.mark.parametrize(
    ("view", "numbers"),
    [
        (lambda block: block[7], 100),  # a row of much
        (lambda block: block[:, :3], 300),  # a part of each row
        (lambda block: block[:1].expand(1000, 100), 100),  # much of a row
        (lambda block: block[:, :1].expand(100, 500), 100),  # a column, repeated
        (lambda block: block[5:5], 0),
    ],
)
def test_a_view_takes_no_more_room_than_its_numbers(view: Callable[[Tensor], Tensor], numbers: int) -> None:
    [again], written = packed(view(torch.rand(100, 100)))
    assert again.numel() == view(torch.rand(100, 100)).numel()
    assert written == 4 * numbers


def test_equal_tensors_make_equal_files(tmp_path: Path) -> None:
    batch = torch.rand(4, 16)
    through_disk(tmp_path, batch[1], batch[1].clone(), [batch.clone()[1]])
    assert len([*tmp_path.glob("blobs/*")]) == 1


@pytest.mark.parametrize(
    "part",
    [
        torch.zeros(2, requires_grad=True),
        torch.nn.Parameter(torch.zeros(2), requires_grad=False),
        torch.eye(2).to_sparse(),
        torch.zeros(2, device="meta"),
        torch.zeros(2, dtype=torch.complex64).conj(),
        torch.zeros(2, dtype=torch.complex128),
        np.zeros(2),
        Patch(torch.zeros(2)),
        torch.float32,
    ],
    ids=str,
)
def test_what_would_not_come_back_the_same_is_not_kept(tmp_path: Path, part: object) -> None:
    with pytest.raises(Unkeepable):
        CODEC.pack([part])
    assert through_disk(tmp_path, part) is None


def test_the_handle_of_a_model_is_not_kept_on_disk_and_in_memory_while_its_file_is_as_it_was(
    tmp_path: Path, small_checkpoint: Path
) -> None:
    file = tmp_path / "model.safetensors"
    shutil.copy(small_checkpoint, file)
    model, clip, _ = load_checkpoint(file, Memory(torch.device("cpu")), find_embedding=lambda name: None)
    assert through_disk(tmp_path / "cache", model) is None
    cache = MemoryCache(10**6, CODEC)
    cache.put("model", Entry((model,), {}, 0.0))
    cache.put("clip", Entry((1, [clip.stop_at(-2)]), {}, 0.0))
    assert [cache.where(key) for key in ("model", "clip")] == ["memory", "memory"]
    file.rename(tmp_path / "renamed.safetensors")
    assert [cache.get(key) for key in ("model", "clip")] == [None, None]


# ── writing into what was given ───────────────────────────────────────────────────────────────────────────────────────


def inference(count: int) -> Tensor:
    with torch.inference_mode():
        return torch.rand(count)


def add_in_place(tensor: Tensor) -> None:
    with torch.inference_mode():
        tensor.add_(1)


@pytest.mark.parametrize(
    ("value", "write"),
    [
        (torch.zeros(3), lambda value: value.add_(1)),
        (torch.zeros(3), lambda value: value[1:].zero_()),  # also where no number changes
        ({"samples": [(torch.zeros(3),)]}, lambda value: value["samples"][0][0].fill_(1)),
        (Patch(torch.zeros(3)), lambda value: value.weight.mul_(2)),
        (inference(3), add_in_place),
        (np.zeros(3), lambda value: value.fill(1)),
        ({"a": torch.zeros(3)}, lambda value: value.update(a=torch.zeros(3))),
    ],
)
def test_a_write_is_noticed(value: Any, write: Callable[[Any], object]) -> None:
    before = CODEC.versions(value)
    assert CODEC.versions(value) == before
    write(value)
    assert CODEC.versions(value) != before


def test_reading_is_no_write() -> None:
    value = [
        torch.rand(3, 3),
        inference(3),
        inference(1).expand(0),
        inference(9)[::3],
        torch.eye(2).to_sparse(),
        torch.tensor(1, dtype=torch.bfloat16),
    ]
    before = CODEC.versions(value)
    _ = value[0].T @ value[0] + value[0][1:].contiguous().sum(), value[1].clone().numpy()
    assert CODEC.versions(value) == before


def test_it_is_all_that_is_asked_for() -> None:
    codec: DiskCodec = CODEC
    guard: Guard = CODEC
    assert codec is guard


# ── the surroundings ──────────────────────────────────────────────────────────────────────────────────────────────────


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
