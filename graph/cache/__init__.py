"""Results of tasks kept for other runs: what a cache is, and what it must be told of values to weigh them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished task: its outputs, what it showed, and how long it took.

    With `asks` it is no result: a task with these plain inputs asks for these lazy ones. Its result stands under the
    fingerprint that counts them in.
    """

    outputs: tuple[Any, ...]
    ui: Mapping[str, Sequence[Any]]
    seconds: float
    asks: tuple[str, ...] = ()


class Cache(Protocol):
    """Entries by fingerprint; used from many threads."""

    def get(self, key: str) -> Entry | None:
        """The entry of that fingerprint, if it is still there."""

    def put(self, key: str, entry: Entry, *, keep_on_disk: bool = True) -> None:
        """Keep an entry, as long as there is room; on disk only if it may be."""

    def drop(self, key: str) -> None:
        """Forget an entry whose values are not what they were."""


class ValueCodec(Protocol):
    """Knows what values consist of, since the engine does not."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """The blocks of memory that a value holds: (identity, bytes). A block that several values share counts once."""


class Guard(Protocol):
    """Notices when a node writes into what it was given."""

    def versions(self, value: object) -> object:
        """Something that compares as unequal once a tensor in the value has been written into."""


class WeightlessValues:
    """The codec for values that hold no memory worth counting."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """None, whatever the value."""
        return ()
