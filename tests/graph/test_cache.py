"""The memory tier: bounded in bytes, shared memory counted once, the least recently used goes first."""

import threading
from collections.abc import Hashable, Iterable

from graph import Entry, MemoryCache
from graph.cache.memory import ENTRY_BYTES


class Sizes:
    """A codec for values that are lists of (storage, bytes)."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        assert isinstance(value, list)
        return value


def entry(*storages: tuple[str, int]) -> Entry:
    return Entry(([*storages],), {}, 0.0)


def cache(room: int, entries: int) -> MemoryCache:
    """With room for that many bytes in that many entries."""
    return MemoryCache(room + entries * ENTRY_BYTES, Sizes())


def test_get_gives_what_was_put() -> None:
    kept, one = cache(100, 2), entry(("s", 1))
    assert kept.get("a") is None
    kept.put("a", one)
    assert kept.get("a") is one
    kept.clear()
    assert (kept.get("a"), len(kept), kept.size_bytes) == (None, 0, 0)


def test_the_least_recently_used_goes_first() -> None:
    kept = cache(100, 3)
    for name in "abc":
        kept.put(name, entry((name, 30)))
    kept.get("a")
    kept.put("d", entry(("d", 30)))
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    assert kept.size_bytes == 90 + 3 * ENTRY_BYTES


def test_a_storage_that_entries_share_counts_once_and_until_the_last_is_gone() -> None:
    kept = cache(100, 3)
    kept.put("a", entry(("shared", 60), ("a", 10)))
    kept.put("b", entry(("shared", 60), ("shared", 60)))
    assert kept.size_bytes == 70 + 2 * ENTRY_BYTES
    kept.put("c", entry(("c", 35)))  # "a" must go; the shared storage stays with "b"
    assert [name for name in "abc" if kept.get(name)] == ["b", "c"]
    assert kept.size_bytes == 95 + 2 * ENTRY_BYTES
    kept.put("d", entry(("d", 90)))  # "b" must go, and now the shared storage with it
    assert [name for name in "bcd" if kept.get(name)] == ["c", "d"]
    assert kept.size_bytes == 125 + 2 * ENTRY_BYTES


def test_what_is_too_large_alone_is_not_kept_and_displaces_nothing() -> None:
    kept = cache(100, 2)
    kept.put("a", entry(("a", 50)))
    kept.put("huge", entry(("h", 50 + 100 + ENTRY_BYTES + 1)))
    assert kept.get("huge") is None
    assert kept.get("a") is not None


def test_putting_again_replaces() -> None:
    kept, newer = cache(100, 2), entry(("y", 20))
    kept.put("a", entry(("x", 50)))
    kept.put("a", newer)
    assert kept.get("a") is newer
    assert kept.size_bytes == 20 + ENTRY_BYTES


def test_many_threads_leave_the_count_right() -> None:
    kept = cache(500, 20)

    def work(number: int) -> None:
        for count in range(500):
            kept.put(f"{(number * 7 + count) % 40}", entry((f"s{count % 13}", count % 13 * 10), ("all", 50)))
            kept.get(f"{count % 40}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = {name: size for key in range(40) if (found := kept.get(str(key))) for name, size in found.outputs[0]}
    assert kept.size_bytes == sum(held.values()) + len(kept) * ENTRY_BYTES
    assert kept.size_bytes <= kept.limit_bytes
