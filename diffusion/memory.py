"""Where networks live: handles on wires name them, the bytes are held here, each network once for all who use it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar, cast

import torch
from torch import nn

from diffusion import devices
from diffusion.batching import Sharing

Network = TypeVar("Network", bound=nn.Module)


@dataclass
class _Slot:
    lock: Lock = field(default_factory=Lock)
    network: nn.Module | None = None


class Memory:
    """The networks in use on one device. Safe to use from several threads.

    `dtype` is what a UNet computes in; text encoders and VAEs, where halves overflow, stay in float32. `loose_batches`
    lets runs share passes although it changes the last bits of what they give, see `Sharing`.
    """

    def __init__(
        self, device: torch.device, dtype: torch.dtype = torch.float32, *, loose_batches: bool = False
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.sharing = Sharing(device, loose=loose_batches)
        self._size_bytes = 0
        self._lock = Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def get(self, key: Hashable, build: Callable[[], Network]) -> Network:
        """The network of a key; built if it is not here. Of several who ask at once, one builds and all get it."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.network is None:
                slot.network = build()
                self._count()
            return cast(Network, slot.network)

    def free(self) -> None:
        """Let go of every network. Whoever uses one just now keeps it until it is done."""
        with self._lock:
            self._slots.clear()
            self._size_bytes = 0
        devices.release_cached(self.device)
        self.sharing.forget_limits()

    def size_bytes(self) -> int:
        """What the weights of the networks take, those mapped from files included. Costs nothing to ask."""
        return self._size_bytes

    def _count(self) -> None:
        with self._lock:
            networks = [slot.network for slot in self._slots.values() if slot.network is not None]
            weights = {id(each): each for network in networks for each in (*network.parameters(), *network.buffers())}
            self._size_bytes = sum(weight.numel() * weight.element_size() for weight in weights.values())
