"""Values with weight that need no torch, their codec, and a process that uses a cache folder as hard as it can."""

import random
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.cache import Entry, Unkeepable
from graph.cache.disk import DiskCache


@dataclass(frozen=True)
class Block:
    """A value that weighs as much as its content."""

    content: bytes


class Handle:
    """A value that has no form on disk. It points to something that may vanish."""

    is_there = True


class Blocks:
    """The codec of blocks and handles."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        return [(id(value), len(value.content))] if isinstance(value, Block) else ()

    def validity(self, value: object) -> Callable[[], bool] | None:
        return (lambda: value.is_there) if isinstance(value, Handle) else None

    def pack(self, parts: Sequence[object]) -> tuple[Any, Iterable[bytes]]:
        contents = []
        for part in parts:
            if not isinstance(part, Block):
                raise Unkeepable("it is no block")
            contents.append(part.content)
        return len(contents), contents

    def unpack(self, facts: Any, contents: Sequence[bytes]) -> Sequence[object]:
        assert facts == len(contents)
        return [Block(content) for content in contents]


def entry(content: bytes, *more: object, seconds: float = 1.0) -> Entry:
    return Entry((Block(content), *more), {}, seconds)


def size_bytes(folder: Path) -> int:
    """What the files of a cache take, in whole blocks of the disk."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.glob("*/*"))


def expected(key: int) -> bytes:
    """The content under a key; some keys share theirs."""
    return bytes([key % 17]) * (3000 + key % 17 * 1000)


def use(folder: Path, limit_bytes: int, seed: int) -> None:
    """Put and get at random. What comes back must be what was put."""
    chance = random.Random(seed)
    found = 0
    for _ in range(4):
        with DiskCache(folder, limit_bytes, Blocks()) as cache:
            for _ in range(150):
                key = chance.randrange(60)
                got = cache.get(str(key))
                if got is None:
                    cache.put(str(key), entry(expected(key)))
                else:
                    found += 1
                    assert got.outputs == (Block(expected(key)),)
                if chance.random() < 0.05:
                    cache.drop(str(key))
    print(found)


def fill(folder: Path) -> None:
    """Write what is too large for a disk on which no file can exceed 64 KiB, then what is not."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
    with DiskCache(folder, 2**30, Blocks()) as cache:
        for number in range(3):
            cache.put(f"large {number}", entry(bytes([number]) * 10**6))
        cache.put("small", entry(b"small"))


if __name__ == "__main__":
    if sys.argv[1] == "use":
        use(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        fill(Path(sys.argv[2]))
