"""Two tiers as one cache: memory in front, disk behind."""

from __future__ import annotations

from graph.cache import Entry, Tier
from graph.cache.disk import DiskCache
from graph.cache.memory import MemoryCache


class TieredCache:
    """What memory has let go of, or a process before this one knew, comes back from disk."""

    def __init__(self, memory: MemoryCache, disk: DiskCache) -> None:
        self.memory = memory
        self.disk = disk

    def get(self, key: str) -> Entry | None:
        """The entry from memory, else from disk, and then memory has it again."""
        entry = self.memory.get(key)
        if entry is None:
            entry = self.disk.get(key)
            if entry is not None:
                self.memory.put(key, entry)
        return entry

    def put(self, key: str, entry: Entry, *, keep_on_disk: bool = True) -> None:
        """Keep an entry in memory and, if it may be, on disk."""
        self.memory.put(key, entry)
        self.disk.put(key, entry, keep_on_disk=keep_on_disk)

    def drop(self, key: str) -> None:
        """Forget an entry in both, and what memory knows to hold some of the same memory."""
        for each in {key, *self.memory.sharers(key)}:
            self.memory.drop(each)
            self.disk.drop(each)

    def where(self, key: str) -> Tier | None:
        """The first tier that has it."""
        return self.memory.where(key) or self.disk.where(key)
