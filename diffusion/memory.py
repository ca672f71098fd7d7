"""Where networks live: handles on wires name them, the bytes are held here, each network once for all who use it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar, cast

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@dataclass
class _Slot:
    lock: Lock = field(default_factory=Lock)
    network: nn.Module | None = None


class Memory:
    """The networks in use on one device. Safe to use from several threads.

    `dtype` is what a UNet computes in; text encoders and VAEs, where halves overflow, stay in float32.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        self.device = device
        self.dtype = dtype
        self._lock = Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def get(self, key: Hashable, build: Callable[[], Network]) -> Network:
        """The network of a key; built if it is not here. Of several who ask at once, one builds and all get it."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.network is None:
                slot.network = build()
            return cast(Network, slot.network)

    def free(self) -> None:
        """Let go of every network. Whoever uses one just now keeps it until it is done."""
        with self._lock:
            self._slots.clear()

    def size_bytes(self) -> int:
        """What the weights of the networks take, those mapped from files included."""
        with self._lock:
            networks = [slot.network for slot in self._slots.values() if slot.network is not None]
        weights = {id(weight): weight for network in networks for weight in (*network.parameters(), *network.buffers())}
        return sum(weight.numel() * weight.element_size() for weight in weights.values())
