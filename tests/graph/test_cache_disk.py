"""The disk tier: what was put comes back exactly or not at all, whatever happens to the files meanwhile."""

import hashlib
import logging
import math
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph import Entry, MemoryCache
from graph.cache.disk import DiskCache
from graph.cache.form import from_form, to_form
from graph.cache.tiered import TieredCache
from graph.given import Blocked, Many
from tests.graph.blocks import Block, Blocks, Handle, entry, expected, size_bytes
from tests.graph.toys import PATIENCE_S

HOUSE = Path(__file__).resolve().parents[2]
PLENTY = 2**30

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63 - 2, 2**80)
    | st.floats()
    | st.text(st.characters())
    | st.text(st.sampled_from("a\ud83d\ude00"))
    | st.binary(max_size=9)
    | st.builds(Blocked, st.none() | st.text()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(inner, max_size=4).map(Many)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    """Equal in type and value all the way down; NaN is the same as NaN, and 0.0 not the same as -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return same([*one.items()], [*other.items()])
    if isinstance(one, Blocked) and isinstance(other, Blocked):
        return same(one.message, other.message)
    return one == other


def keep(folder: Path, **entries: Entry) -> None:
    with DiskCache(folder, PLENTY, Blocks()) as cache:
        for key, each in entries.items():
            cache.put(key, each)


def reopened(folder: Path) -> DiskCache:
    return DiskCache(folder, PLENTY, Blocks())


def files(folder: Path, kind: str = "*") -> list[Path]:
    return sorted(folder.glob(f"{kind}/*"))


# ── values ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(value=plain)
def test_plain_values_survive_exactly(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.mktemp("cache")
    keep(folder, a=Entry((value, [value, Block(b"x")]), {"text": [value]}, 1.5, ("lazy",)))
    back = reopened(folder).get("a")
    assert back is not None
    assert same(back.outputs, (value, [value, Block(b"x")]))
    assert same([back.ui, back.seconds, back.asks], [{"text": [value]}, 1.5, ("lazy",)])


def test_an_integer_of_any_length_survives() -> None:
    value = -(7**10_000)
    assert from_form(to_form(value, []), ()) == value


@pytest.mark.parametrize("derived", [True, False])
def test_what_has_no_form_is_not_kept(tmp_path: Path, derived: bool) -> None:
    class Names(list[str]):
        """Whatever else it can do would be lost."""

    keep(tmp_path, a=entry(b"x", Names() if derived else Handle()), b=entry(b"y"))
    assert reopened(tmp_path).where("a") is None
    assert reopened(tmp_path).get("b") == entry(b"y")


def test_a_value_that_contains_itself_is_not_kept(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    keep(tmp_path, a=entry(b"x", endless))
    assert files(tmp_path) == []


def test_what_may_not_be_kept_on_disk_is_not(tmp_path: Path) -> None:
    with reopened(tmp_path) as cache:
        cache.put("a", entry(b"x"), keep_on_disk=False)
        assert cache.where("a") is None
    assert files(tmp_path) == []


def test_equal_contents_are_stored_once(tmp_path: Path) -> None:
    keep(tmp_path, a=entry(b"x" * 9000), b=entry(b"x" * 9000, Block(b"x" * 9000)))
    assert len(files(tmp_path, "blobs")) == 1
    assert reopened(tmp_path).get("b") == entry(b"x" * 9000, Block(b"x" * 9000))


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def cut(content: bytes) -> bytes:
    return content[:-1]


def flip(content: bytes) -> bytes:
    return content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]


@pytest.mark.parametrize("kind", ["entries", "blobs"])
@pytest.mark.parametrize("harm", [cut, flip, lambda content: b"", lambda content: b"something else"])
def test_a_damaged_file_is_deleted_reported_and_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, harm: Callable[[bytes], bytes]
) -> None:
    keep(tmp_path, a=entry(b"x" * 100))
    [file] = files(tmp_path, kind)
    file.write_bytes(harm(file.read_bytes()))
    assert reopened(tmp_path).get("a") is None
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(file) in record.message
    assert "damaged" in record.message
    assert not file.exists()
    assert reopened(tmp_path).where("a") is None
    keep(tmp_path, a=entry(b"x" * 100))
    assert reopened(tmp_path).get("a") == entry(b"x" * 100)
    assert len(caplog.records) == 1


def test_another_version_is_ignored_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path, a=entry(b"x"))
    [file] = files(tmp_path, "entries")
    newer = file.read_bytes().replace(b"cache 1 ", b"cache 2 ", 1)
    file.write_bytes(newer)
    cache = reopened(tmp_path)
    assert (cache.get("a"), cache.where("a"), caplog.records) == (None, None, [])
    assert file.read_bytes() == newer


def test_an_entry_names_no_file_outside_the_cache(tmp_path: Path) -> None:
    folder, secret = tmp_path / "cache", tmp_path / "secret"
    secret.write_bytes(b"s")
    keep(folder, a=entry(b"x"))
    [file] = files(folder, "entries")
    [blob] = files(folder, "blobs")
    body = file.read_bytes().partition(b"\n")[2].replace(blob.name.encode(), b"../../secret")
    file.write_bytes(b"darkroom cache 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert reopened(folder).get("a") is None
    assert secret.exists()


@pytest.mark.parametrize("kind", ["entries", "blobs"])
def test_a_file_that_vanished_is_a_miss_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    keep(tmp_path, a=entry(b"x"))
    files(tmp_path, kind)[0].unlink()
    cache = reopened(tmp_path)
    assert (cache.where("a"), cache.get("a"), caplog.records) == (None, None, [])


def test_where_nothing_can_be_written_work_goes_on_and_one_sentence_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "cache"  # there can be no folder here
    keep(folder, a=entry(b"x"), b=entry(b"y"), c=entry(b"z"))
    [record] = caplog.records
    assert str(folder) in record.message
    assert "work goes on without it" in record.message


def test_a_full_disk_keeps_nothing_half_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.graph.blocks", "fill", tmp_path], cwd=HOUSE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "cannot be written" in done.stderr
    assert len(files(tmp_path)) == 2
    cache = reopened(tmp_path)
    assert cache.get("small") == entry(b"small")
    assert cache.where("large 0") is None


def test_what_an_ended_process_left_half_written_goes(tmp_path: Path) -> None:
    keep(tmp_path, a=entry(b"x"))
    old, young = (tmp_path / "blobs" / f"{name}.part" for name in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    keep(tmp_path, b=entry(b"y"))
    assert (old.exists(), young.exists()) == (False, True)


# ── room ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30_000)), min_size=1, max_size=6),
        min_size=1,
        max_size=5,
    )
)
def test_it_is_never_above_its_limit(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[list[tuple[str, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    for session in sessions:
        with DiskCache(folder, 65_536, Blocks()) as cache:
            for key, size in session:
                cache.put(key, entry(key.encode() * size))
                got = cache.get(key)
                assert got is None or got == entry(key.encode() * size)
        assert size_bytes(folder) <= 65_536
        # The last one always has room, whatever was there before.
        assert DiskCache(folder, 65_536, Blocks()).get(key) == entry(key.encode() * size)


def test_the_least_recently_used_leaves_and_nothing_that_another_needs(tmp_path: Path) -> None:
    limit = 12 * 4096
    with DiskCache(tmp_path, limit, Blocks()) as cache:
        for key in "abcd":
            cache.put(key, entry(key.encode() * 4096))  # an entry and a blob, a disk block each
    assert DiskCache(tmp_path, limit, Blocks()).get("a") is not None
    with DiskCache(tmp_path, limit, Blocks()) as cache:
        cache.put("e", entry(b"a" * 4096, Block(b"e" * 4096 * 6)))
    cache = DiskCache(tmp_path, limit, Blocks())
    assert [key for key in "abcde" if cache.where(key)] == ["a", "d", "e"]
    assert all(cache.get(key) for key in "ade")


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    keep(tmp_path, a=entry(b"x"))
    part = tmp_path / "blobs" / "other.part"
    part.write_bytes(b"half")
    started = part.stat().st_mtime - 1000
    os.utime(part, (started, started))
    with DiskCache(tmp_path, 12 * 4096, Blocks()) as cache:
        for key in "bcdefgh":
            cache.put(key, entry(key.encode() * 4096))
    assert part.exists()
    assert reopened(tmp_path).where("a") is None


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    limit = 200_000  # about a third of what they want to keep
    command = [sys.executable, "-m", "tests.graph.blocks", "use", tmp_path, str(limit)]
    processes = [
        subprocess.Popen([*command, seed], cwd=HOUSE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for seed in "12"
    ]
    said = [process.communicate(timeout=PATIENCE_S) for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, said, strict=True)] == [(0, "")] * 2
    assert all(int(found) > 0 for found, _ in said)
    assert not list(tmp_path.glob("*/*.part"))
    unseen = limit // 20 + 20_480 + 4096  # by one process since the other counted: a twentieth, and an entry
    assert 0 < size_bytes(tmp_path) <= limit + unseen
    cache = DiskCache(tmp_path, limit, Blocks())
    kept = [key for key in range(60) if cache.where(str(key))]
    assert kept
    assert all(cache.get(str(key)) == entry(expected(key)) for key in kept)


# ── the backlog ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Slow(Blocks):
    """A codec that writes when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def pack(self, parts: Sequence[object]) -> tuple[Any, Iterable[bytes]]:
        self.begun.set()
        assert self.open.wait(PATIENCE_S)
        return super().pack(parts)


def test_what_waits_to_be_written_is_there_already_and_is_bounded(tmp_path: Path) -> None:
    codec = Slow()
    with DiskCache(tmp_path, PLENTY, codec, backlog_bytes=10_000) as cache:
        for key in "abc":
            cache.put(key, entry(key.encode() * 4000))
        assert cache.get("b") == entry(b"b" * 4000)
        assert [cache.where(key) for key in "abc"] == ["disk", "disk", None]
        codec.open.set()
    assert [reopened(tmp_path).where(key) for key in "abc"] == ["disk", "disk", None]


def test_a_value_larger_than_the_backlog_is_kept_when_nothing_waits(tmp_path: Path) -> None:
    with DiskCache(tmp_path, PLENTY, Blocks(), backlog_bytes=10) as cache:
        cache.put("a", entry(b"x" * 4000))
    assert reopened(tmp_path).where("a") == "disk"


def test_an_entry_that_is_dropped_while_it_is_written_stays_away(tmp_path: Path) -> None:
    codec = Slow()
    with DiskCache(tmp_path, PLENTY, codec) as cache:
        cache.put("a", entry(b"wrong"))
        cache.put("b", entry(b"wrong"))
        assert codec.begun.wait(PATIENCE_S)
        cache.drop("a")
        cache.drop("b")
        assert cache.get("a") is None
        cache.put("b", entry(b"right"))
        codec.open.set()
    assert reopened(tmp_path).get("a") is None
    assert reopened(tmp_path).get("b") == entry(b"right")


def test_the_writer_holds_no_value_back(tmp_path: Path) -> None:
    with reopened(tmp_path) as cache:
        value = Block(b"x" * 1000)
        gone = weakref.ref(value, lambda _: freed.set())
        freed = threading.Event()
        cache.put("a", Entry((value,), {}, 1.0))
        del value
        assert freed.wait(PATIENCE_S)
        assert gone() is None


def test_after_close_nothing_is_kept_and_nothing_breaks(tmp_path: Path) -> None:
    cache = reopened(tmp_path)
    cache.close()
    cache.put("a", entry(b"x"))
    assert cache.get("a") is None


# ── both tiers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def tiers(folder: Path, memory_bytes: int = 10**6) -> TieredCache:
    return TieredCache(MemoryCache(memory_bytes, Blocks()), reopened(folder))


def test_a_later_process_finds_what_an_earlier_one_kept(tmp_path: Path) -> None:
    before = tiers(tmp_path)
    before.put("a", entry(b"x"))
    before.put("b", entry(b"y"), keep_on_disk=False)
    assert (before.where("a"), before.where("b")) == ("memory", "memory")
    before.disk.close()
    after = tiers(tmp_path)
    assert (after.where("a"), after.where("b")) == ("disk", None)
    got = after.get("a")
    assert got == entry(b"x")
    assert after.where("a") == "memory"
    assert after.get("a") is got
    after.drop("a")
    assert after.where("a") is None
    assert after.get("a") is None


def test_what_shares_memory_with_a_dropped_entry_leaves_both_tiers(tmp_path: Path) -> None:
    cache, shared = tiers(tmp_path), Block(b"x" * 1000)
    for key in "ab":
        cache.put(key, Entry((shared,), {}, 1.0))
    cache.put("c", entry(b"y" * 1000))
    cache.disk.close()
    cache.drop("a")
    assert [cache.where(key) for key in "abc"] == [None, None, "memory"]
    assert [reopened(tmp_path).where(key) for key in "abc"] == [None, None, "disk"]


def test_what_memory_let_go_of_comes_back_from_disk(tmp_path: Path) -> None:
    cache = tiers(tmp_path, memory_bytes=6000)
    for key in "abc":
        cache.put(key, entry(key.encode() * 4000))
    cache.disk.close()
    assert [cache.where(key) for key in "abc"] == ["disk", "disk", "memory"]
    assert cache.get("a") == entry(b"a" * 4000)
    assert [cache.where(key) for key in "abc"] == ["memory", "disk", "disk"]
