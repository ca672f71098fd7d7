"""What the engine has to know of torch, and does not import it for: handed to it by main.py."""

import dataclasses
import json
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

import numpy as np
import torch

from diffusion.checkpoint import CheckpointError, FileIdentity
from graph.cache import Unkeepable
from graph.fingerprint import digest_sources
from nodes.packing import DTYPES, pack, unpack

ROOMS = Path(__file__).resolve().parents[1]
ATOMS = frozenset({int, float, str, bool, bytes, NoneType})  # values that hold nothing to look into


class TensorValues:
    """What the cache and the engine must know of values: the DiskCodec and the Guard for tensors.

    Tensors are found inside lists, tuples, sets, dicts and dataclass instances, not inside objects of other classes.
    """

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """Identity and size in bytes of each block; tensors that share one give it several times.

        Networks count in diffusion/memory.
        """
        return () if type(value) in ATOMS else _storages(value)

    def validity(self, value: object) -> Callable[[], bool] | None:
        """Of the handle of a model: whether its file is still the one that it was made from."""
        if type(value) in ATOMS:
            return None
        files = {part for part in _parts(value) if isinstance(part, FileIdentity)}
        return partial(all_unchanged, files) if files else None

    def versions(self, value: object) -> object:
        """Where each tensor's numbers are, and how often they were written to.

        Arrays, and tensors made in inference mode, do not count that: a checksum stands for it, since third-party nodes
        use both, and reading a picture takes a millisecond or two. Not noticed: writing through `.data` or `.numpy()`
        of an ordinary tensor, and into sparse ones.
        """
        return tuple(_version(part) for part in _parts(value) if not isinstance(part, FileIdentity))

    def pack(self, parts: Sequence[object]) -> tuple[Any, Iterable[bytes]]:
        """How each tensor lies in which file, and the files: flat tensors in the format of safetensors."""
        return pack([_keepable(part) for part in parts])

    def unpack(self, facts: Any, contents: Sequence[bytes]) -> Sequence[object]:
        """The tensors again: numbers, strides, and who shares memory with whom."""
        return unpack(facts, contents)


def all_unchanged(files: Iterable[FileIdentity]) -> bool:
    """Whether every file is there and as it was."""
    try:
        return all(FileIdentity.of(file.path) == file for file in files)
    except CheckpointError:
        return False


def _storages(value: object) -> Iterator[tuple[Hashable, int]]:
    for part in _parts(value):
        if isinstance(part, np.ndarray):
            while isinstance(part.base, np.ndarray):
                part = part.base
            yield ("array", part.ctypes.data), part.nbytes
        elif isinstance(part, torch.Tensor) and part.layout == torch.strided:
            storage = part.untyped_storage()
            yield (part.device.type, storage.data_ptr()), storage.nbytes()


def _parts(value: object) -> Iterator[torch.Tensor | np.ndarray[Any, Any] | FileIdentity]:
    """The tensors, arrays and files in a value, in order."""
    stack = [value]
    seen: set[int] = set()  # containers, for one may be inside itself
    while stack:
        item = stack.pop()
        if type(item) in ATOMS:
            continue
        if isinstance(item, torch.Tensor | np.ndarray | FileIdentity):
            yield item
            continue
        inner = _inside(item)
        if inner and id(item) not in seen:
            seen.add(id(item))
            stack.extend(reversed(inner))


def _inside(item: object) -> list[Any]:
    match item:
        case dict() | MappingProxyType():
            return list(item.values())
        case list() | tuple() | set() | frozenset():
            return list(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return [getattr(item, field.name, None) for field in dataclasses.fields(item)]
    return []


def _version(part: torch.Tensor | np.ndarray[Any, Any]) -> tuple[int, int]:
    if isinstance(part, np.ndarray):
        return part.ctypes.data, zlib.crc32(part.tobytes())
    if part.layout != torch.strided:
        return id(part), 0
    if part.is_inference():
        numbers = part.cpu().contiguous().as_strided((part.numel(),), (1,))
        return part.data_ptr(), zlib.crc32(numbers.view(torch.uint8).numpy().data)
    return part.data_ptr(), part._version


def _keepable(part: object) -> torch.Tensor:
    if type(part) is not torch.Tensor:
        raise Unkeepable(f"there is no file format for a {type(part).__name__}")
    plain = part.layout == torch.strided and part.device.type == "cpu" and part.dtype in DTYPES
    if not plain or part.requires_grad or part.is_conj() or part.is_neg():
        raise Unkeepable("there is no file format for a tensor of this kind")
    return part


def code() -> str:
    """Stands for the code that makes numbers: a change in it makes every fingerprint another."""
    return digest_sources([ROOMS / "nodes", ROOMS / "diffusion"])


def environment(device: torch.device, dtype: torch.dtype, *, loose_batches: bool = False) -> str:
    """Stands for what else numbers depend on: in another environment the same graph may differ in the last bits."""
    facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": str(dtype),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "loose_batches": loose_batches,
    }
    return json.dumps(facts, sort_keys=True)


def lane_settings() -> Callable[[str], AbstractContextManager[None]]:
    """What each thread of a lane works within: no gradients, and several torch threads for the device lane alone."""
    device_threads = torch.get_num_threads()

    @contextmanager
    def around(lane: str) -> Iterator[None]:
        # Each of the others has as many threads as there are processors; torch's own would only get in their way.
        torch.get_num_threads()  # a new thread takes over the last number that any thread set, but only once: here
        torch.set_num_threads(device_threads if lane.startswith("device") else 1)
        with torch.no_grad():
            yield

    return around
