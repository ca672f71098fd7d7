"""The cache's memory tier: bounded in bytes, what was used last is kept longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from graph.cache import Entry, ValueCodec

ENTRY_BYTES = 1000  # what an entry costs besides its values


class MemoryCache:
    """Entries by fingerprint, together never above `limit_bytes`; safe to use from many threads."""

    def __init__(self, limit_bytes: int, codec: ValueCodec) -> None:
        self.limit_bytes = limit_bytes
        self._codec = codec
        self._entries: OrderedDict[str, tuple[Entry, dict[Hashable, int]]] = OrderedDict()  # least recently used first
        self._holders: dict[Hashable, int] = {}  # storage: how many entries hold it
        self._size_bytes = 0
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What all entries hold, shared storages counted once."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The entry of that fingerprint, if it is still there."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: str, entry: Entry, *, keep_on_disk: bool = True) -> None:
        """Keep an entry, letting go of others beyond the limit; one that is too large by itself is not kept."""
        storages = {name: size for value in entry.outputs for name, size in self._codec.storages(value)}
        if ENTRY_BYTES + sum(storages.values()) > self.limit_bytes:
            return
        with self._lock:
            if key in self._entries:
                self._remove(key)
            self._entries[key] = (entry, storages)
            self._size_bytes += ENTRY_BYTES
            for name, size in storages.items():
                holders = self._holders.get(name, 0)
                self._holders[name] = holders + 1
                if holders == 0:
                    self._size_bytes += size
            while self._size_bytes > self.limit_bytes:
                self._remove(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        """Forget an entry whose values are not what they were."""
        with self._lock:
            if key in self._entries:
                self._remove(key)

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._entries.clear()
            self._holders.clear()
            self._size_bytes = 0

    def _remove(self, key: str) -> None:
        _, storages = self._entries.pop(key)
        self._size_bytes -= ENTRY_BYTES
        for name, size in storages.items():
            self._holders[name] -= 1
            if self._holders[name] == 0:
                del self._holders[name]
                self._size_bytes -= size
