"""The cache's memory tier: bounded in bytes; what saves the least time for the room it takes goes first."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Mapping
from heapq import heapify, heappop, heappush

from graph.cache import Entry, Tier, ValueCodec

ENTRY_BYTES = 1000  # what an entry costs besides its values
STALE_MOST = 1000  # how many of the heap's items may be of no use before it is built anew


class _Kept:
    """An entry in the cache. `entry` is None once it has left, so that the heap holds no values back."""

    __slots__ = ("checks", "entry", "key", "rank", "size_bytes", "storages", "used", "worth")

    def __init__(
        self, key: str, entry: Entry, storages: Mapping[Hashable, int], checks: list[Callable[[], bool]]
    ) -> None:
        self.key = key
        self.entry: Entry | None = entry
        self.storages = storages
        self.checks = checks
        self.size_bytes = ENTRY_BYTES + sum(storages.values()) if storages else ENTRY_BYTES
        self.worth = entry.seconds / self.size_bytes
        self.rank = 0.0
        self.used = 0


class MemoryCache:
    """Entries by fingerprint, together never above `limit_bytes`; safe to use from many threads.

    Which entry leaves is GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms", 1997): an entry's
    rank is the clock when it was last used plus the seconds that it saves per byte; the lowest rank leaves and becomes
    the clock, so that what is not used sinks below what is. Of equal ranks the one that was used longest ago leaves.

    The heap learns of a use only when the entry comes up to leave: a rank only ever rises, so until then its old
    rank stands for it, and get() costs no more than looking it up.
    """

    def __init__(self, limit_bytes: int, codec: ValueCodec, *, taken: Callable[[], int] | None = None) -> None:
        """`taken` says how much of the limit others hold, such as networks; asked when a value with weight comes."""
        self.limit_bytes = limit_bytes
        self._codec = codec
        self._taken = taken
        self._taken_bytes = 0
        self._entries: dict[str, _Kept] = {}
        self._heap: list[tuple[float, int, _Kept]] = []  # (rank, used, entry), as they were when it was pushed
        self._clock = 0.0
        self._uses = itertools.count()
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
        """The entry of that fingerprint, if it is still there and what its values point to is as it was."""
        with self._lock:
            kept = self._entries.get(key)
            if kept is None:
                return None
            kept.rank = self._clock + kept.worth
            kept.used = next(self._uses)
            entry = kept.entry
        if kept.checks and not all(check() for check in kept.checks):
            with self._lock:
                if self._entries.get(key) is kept:
                    self._remove(kept)
            return None
        return entry

    def put(self, key: str, entry: Entry, *, keep_on_disk: bool = True) -> None:
        """Keep an entry, letting go of others beyond the limit; one that is too large by itself is not kept."""
        storages: dict[Hashable, int] = {}
        checks = []
        for value in entry.outputs:
            if blocks := self._codec.storages(value):
                storages.update(blocks)
            if check := self._codec.validity(value):
                checks.append(check)
        kept = _Kept(key, entry, storages, checks)
        if storages and self._taken is not None:
            self._taken_bytes = self._taken()
        room = self.limit_bytes - self._taken_bytes
        left = []
        with self._lock:
            if key in self._entries:
                left.append(self._remove(self._entries[key]))
            fits = kept.size_bytes <= room
            if fits:
                self._add(kept)
            if self._size_bytes > room:
                left += self._make_room(room)
            if fits:
                self._rank(kept)
        del left  # values are let go of here, outside the lock: their destructors may do anything

    def drop(self, key: str) -> None:
        """Forget an entry whose values are not what they were, and all that hold some of the same memory."""
        with self._lock:
            left = [self._remove(kept) for kept in self._sharers(key)]
        del left

    def sharers(self, key: str) -> list[str]:
        """Which entries drop() would forget."""
        with self._lock:
            return [kept.key for kept in self._sharers(key)]

    def where(self, key: str) -> Tier | None:
        """Whether it is here. Does not count as a use."""
        kept = self._entries.get(key)
        return "memory" if kept is not None and all(check() for check in kept.checks) else None

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            left = [self._remove(kept) for kept in list(self._entries.values())]
            self._heap.clear()
        del left

    def trim(self) -> None:
        """Let go of what is beyond the limit now that others have taken more."""
        if self._taken is not None:
            self._taken_bytes = self._taken()
        with self._lock:
            left = self._make_room(self.limit_bytes - self._taken_bytes)
        del left

    # -- under the lock

    def _add(self, kept: _Kept) -> None:
        self._entries[kept.key] = kept
        self._size_bytes += ENTRY_BYTES
        for name, size in kept.storages.items():
            holders = self._holders.get(name, 0)
            self._holders[name] = holders + 1
            if not holders:
                self._size_bytes += size

    def _rank(self, kept: _Kept) -> None:
        """Only from now on it can be chosen to leave."""
        kept.rank = self._clock + kept.worth
        kept.used = next(self._uses)
        heappush(self._heap, (kept.rank, kept.used, kept))
        if len(self._heap) > 2 * len(self._entries) + STALE_MOST:
            self._heap = [(each.rank, each.used, each) for each in self._entries.values()]
            heapify(self._heap)

    def _make_room(self, room: int) -> list[Entry | None]:
        left = []
        while self._size_bytes > room and self._heap:
            rank, used, kept = heappop(self._heap)
            if kept.entry is None:
                continue
            if used != kept.used:
                heappush(self._heap, (kept.rank, kept.used, kept))
                continue
            self._clock = rank
            left.append(self._remove(kept))
        return left

    def _sharers(self, key: str) -> list[_Kept]:
        kept = self._entries.get(key)
        if kept is None or not kept.storages:
            return [kept] if kept is not None else []
        return [
            each
            for each in self._entries.values()
            if each is kept or not kept.storages.keys().isdisjoint(each.storages)
        ]

    def _remove(self, kept: _Kept) -> Entry | None:
        entry, kept.entry = kept.entry, None
        del self._entries[kept.key]
        self._size_bytes -= ENTRY_BYTES
        for name, size in kept.storages.items():
            self._holders[name] -= 1
            if not self._holders[name]:
                del self._holders[name]
                self._size_bytes -= size
        return entry
