"""Results of tasks kept for other runs: what a cache is, and what it must be told of values to keep them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Tier = Literal["memory", "disk"]


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

    def where(self, key: str) -> Tier | None:
        """Where the entry is, found out without reading its values; None if it is nowhere."""


class ValueCodec(Protocol):
    """Knows what values consist of, since the engine does not."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """The blocks of memory that a value holds: (identity, bytes). A block that several values share counts once."""

    def validity(self, value: object) -> Callable[[], bool] | None:
        """For a value that points to something outside, such as a file: tells whether that is still as it was."""


class Unkeepable(Exception):
    """A value that has no form outside memory."""


class DiskCodec(ValueCodec, Protocol):
    """Writes the parts of values that are no plain Python: in this house, tensors."""

    def pack(self, parts: Sequence[object]) -> tuple[Any, Iterable[bytes]]:
        """Facts that JSON can hold, and the contents of the files that belong to them; equal parts give equal files.

        Raises Unkeepable if one of the parts cannot be written; the contents are made one by one, as they are taken.
        """

    def unpack(self, facts: Any, contents: Sequence[bytes]) -> Sequence[object]:
        """The parts again, exactly as they were."""


class Guard(Protocol):
    """Notices when a node writes into what it was given."""

    def versions(self, value: object) -> object:
        """Something that compares as unequal once a tensor in the value has been written into."""


class WeightlessValues:
    """The codec for values that hold no memory worth counting."""

    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        """None, whatever the value."""
        return ()

    def validity(self, value: object) -> Callable[[], bool] | None:
        """They point to nothing."""
        return None
