"""What the engine has to know of torch, and does not import it for: handed to it by main.py."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from graph.fingerprint import digest_sources

ROOMS = Path(__file__).resolve().parents[1]


class TensorValues:
    """The cache's ValueCodec: which blocks of memory a value's tensors hold. Networks count in diffusion/memory."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """Identity and size in bytes of each block; tensors that share one give it several times."""
        match value:
            case torch.Tensor():
                storage = value.untyped_storage()
                yield (value.device.type, storage.data_ptr()), storage.nbytes()
            case Mapping():
                for each in value.values():
                    yield from self.storages(each)
            case list() | tuple() | set() | frozenset():
                for each in value:
                    yield from self.storages(each)


def code() -> str:
    """Stands for the code that makes numbers: a change in it makes every fingerprint another."""
    return digest_sources([ROOMS / "nodes", ROOMS / "diffusion"])


def environment(device: torch.device, dtype: torch.dtype) -> str:
    """Stands for what else numbers depend on: in another environment the same graph may differ in the last bits."""
    facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "dtype": str(dtype),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32": torch.backends.cuda.matmul.allow_tf32,
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
