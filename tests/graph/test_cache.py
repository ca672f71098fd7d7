"""The memory tier: bounded in bytes, shared memory counted once; what saves the least for its room goes first."""

import threading
import weakref
from collections.abc import Hashable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph import Entry, MemoryCache, WeightlessValues
from graph.cache.memory import ENTRY_BYTES
from tests.graph.blocks import Block, Blocks, Handle


class Sizes(WeightlessValues):
    """A codec for values that are lists of (storage, bytes)."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        assert isinstance(value, list)
        return value


def entry(*storages: tuple[str, int], seconds: float = 0.0) -> Entry:
    return Entry(([*storages],), {}, seconds)


def cache(room: int, entries: int) -> MemoryCache:
    """With room for that many bytes in that many entries."""
    return MemoryCache(room + entries * ENTRY_BYTES, Sizes())


def test_get_gives_what_was_put() -> None:
    kept, one = cache(100, 2), entry(("s", 1))
    assert kept.get("a") is None
    assert kept.where("a") is None
    kept.put("a", one)
    assert kept.get("a") is one
    assert kept.where("a") == "memory"
    kept.clear()
    assert (kept.get("a"), len(kept), kept.size_bytes) == (None, 0, 0)


def test_of_equal_worth_the_least_recently_used_goes_first() -> None:
    kept = cache(100, 3)
    for name in "abc":
        kept.put(name, entry((name, 30)))
    kept.get("a")
    kept.put("d", entry(("d", 30)))
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    assert kept.size_bytes == 90 + 3 * ENTRY_BYTES


def test_what_took_long_outlives_what_was_quick() -> None:
    kept = cache(100, 3)
    for name, seconds in (("slow", 10.0), ("quick", 0.1), ("slower", 20.0), ("new", 1.0)):
        kept.put(name, entry((name, 30), seconds=seconds))
    assert [name for name in ("slow", "quick", "slower", "new") if kept.get(name)] == ["slow", "slower", "new"]


def test_what_is_never_used_leaves_in_the_end_however_long_it_took() -> None:
    kept = cache(100, 3)
    kept.put("slow", entry(("slow", 30), seconds=10.0))
    for number in range(25):
        kept.put(f"{number}", entry((f"{number}", 30), seconds=1.0))
    assert kept.get("slow") is None


class Naive:
    """GreedyDual-Size word for word: entries are (rank, last use) by name, the least is searched for each time."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.entries: dict[str, tuple[float, int, int, float]] = {}  # rank, use, bytes, worth
        self.clock = 0.0
        self.uses = 0

    def use(self, name: str, size: int, worth: float) -> None:
        self.uses += 1
        self.entries[name] = (self.clock + worth, self.uses, size, worth)

    def get(self, name: str) -> bool:
        if name in self.entries:
            _, _, size, worth = self.entries[name]
            self.use(name, size, worth)
        return name in self.entries

    def put(self, name: str, size: int, seconds: float) -> None:
        self.entries.pop(name, None)
        size += ENTRY_BYTES
        if size > self.limit_bytes:
            return
        while sum(each[2] for each in self.entries.values()) + size > self.limit_bytes:
            least = min(self.entries, key=lambda each: self.entries[each][:2])
            self.clock = self.entries.pop(least)[0]
        self.use(name, size, seconds / size)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"), st.integers(0, 4000), st.sampled_from([0, 0.5, 1, 3]), st.integers(0, 2)
        ),
        max_size=60,
    )
)
def test_it_keeps_what_greedy_dual_size_keeps(uses: list[tuple[str, int, float, int]]) -> None:
    kept, naive = cache(6000, 2), Naive(6000 + 2 * ENTRY_BYTES)
    for number, (name, size, seconds, what) in enumerate(uses):
        if what:
            assert (kept.get(name) is not None) == naive.get(name)
        else:
            kept.put(name, entry((f"{number}", size), seconds=seconds))
            naive.put(name, size, seconds)
        assert {each for each in "abcdefgh" if kept.where(each)} == set(naive.entries)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "get", "drop"]),
            st.sampled_from("abcdef"),
            st.dictionaries(st.sampled_from("uvwxyz"), st.integers(0, 3000), max_size=3),
            st.integers(0, 4000),
        ),
        max_size=50,
    )
)
def test_it_is_never_above_its_limit_together_with_others(uses: list[tuple[str, str, dict[str, int], int]]) -> None:
    taken = 0
    kept = MemoryCache(8000, Sizes(), taken=lambda: taken)
    for number, (what, name, storages, others) in enumerate(uses):
        if what == "get":
            kept.get(name)
        elif what == "drop":
            kept.drop(name)
            assert kept.get(name) is None
        else:
            taken = others
            # A storage has one size as long as it lives, so another size is another storage.
            kept.put(name, entry(*((f"{each}{size}", size) for each, size in storages.items()), seconds=number % 3))
            kept.trim()
            assert kept.size_bytes + taken <= 8000
        held = {each: size for key in "abcdef" if (got := kept.get(key)) for each, size in got.outputs[0]}
        assert kept.size_bytes == sum(held.values()) + len(kept) * ENTRY_BYTES


def test_room_that_others_take_is_given_up_and_comes_back() -> None:
    taken = 0
    kept = MemoryCache(200 + 2 * ENTRY_BYTES, Sizes(), taken=lambda: taken)
    kept.put("a", entry(("a", 100)))
    kept.put("b", entry(("b", 100)))
    taken = 150
    kept.trim()
    assert [name for name in "ab" if kept.get(name)] == ["b"]
    taken = 0
    kept.put("a", entry(("a", 100)))
    assert [name for name in "ab" if kept.get(name)] == ["a", "b"]


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


def test_what_shares_memory_with_a_dropped_entry_is_dropped_as_well() -> None:
    kept = cache(100, 3)
    for name, storages in (("a", ["s", "t"]), ("b", ["t"]), ("c", ["u"])):
        kept.put(name, entry(*((each, 10) for each in storages)))
    assert kept.sharers("b") == ["a", "b"]
    kept.drop("b")
    assert [name for name in "abc" if kept.get(name)] == ["c"]
    assert kept.size_bytes == 10 + ENTRY_BYTES


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


@pytest.mark.parametrize("how", ["evicted", "dropped", "replaced", "cleared", "too large"])
def test_nothing_holds_back_a_value_that_left(how: str) -> None:
    kept = MemoryCache(3000, Blocks())
    value = Block(b"x" * (5000 if how == "too large" else 1500))
    gone = weakref.ref(value)
    kept.put("a", Entry((value,), {}, 0.0))
    kept.get("a")
    del value
    if how == "evicted":
        kept.put("b", Entry((Block(b"y" * 1500),), {}, 0.0))
    elif how == "dropped":
        kept.drop("a")
    elif how == "replaced":
        kept.put("a", Entry((1,), {}, 0.0))
    elif how == "cleared":
        kept.clear()
    assert gone() is None


def test_a_value_may_use_the_cache_while_it_dies() -> None:
    kept = MemoryCache(2000, Blocks())

    class Last(Block):
        def __del__(self) -> None:
            kept.drop("a")

    for number in range(3):
        kept.put(f"{number}", Entry((Last(b"x" * 900),), {}, 0.0))
    assert len(kept) == 1


def test_entries_that_come_and_go_leave_nothing_behind() -> None:
    kept = cache(100, 2)
    for number in range(10_000):
        kept.put("a", entry((f"{number}", 50)))
        kept.get("a")
    assert len(kept._heap) < 2000


def test_what_points_to_something_that_changed_is_forgotten() -> None:
    kept, handle = MemoryCache(10**6, Blocks()), Handle()
    kept.put("a", Entry((1, handle), {}, 0.0))
    assert kept.get("a") is not None
    handle.is_there = False
    assert kept.where("a") is None
    assert kept.get("a") is None
    assert len(kept) == 0


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
