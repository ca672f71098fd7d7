"""Values as JSON, small on disk and in memory."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any


class Packed(Mapping[str, Any]):
    """A JSON object as it lies in the store; it is unpacked when somebody looks into it.

    So a queue of 100,000 jobs fits in memory, and a page of a list costs no parsing. `dict(packed)` is an ordinary one.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._value: dict[str, Any] | None = None

    def __getitem__(self, key: str) -> Any:
        return self._unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._unpacked())

    def __len__(self) -> int:
        return len(self._unpacked())

    def __repr__(self) -> str:
        return repr(self._unpacked())

    def _unpacked(self) -> dict[str, Any]:
        if self._value is None:
            self._value = unpack(self._data)
        return self._value


def pack(value: Mapping[str, Any]) -> bytes:
    """A mapping as packed JSON."""
    return zlib.compress(to_json(value).encode("ascii"), 3)


def unpack(data: bytes) -> dict[str, Any]:
    """What pack() was given, with lists for tuples and texts for keys."""
    value: dict[str, Any] = json.loads(zlib.decompress(data))
    return value


def to_json(value: object, *, sort_keys: bool = False) -> str:
    """JSON in ASCII, so that no text breaks it; what JSON cannot say is written as text."""
    return json.dumps(value, default=_plain, separators=(",", ":"), sort_keys=sort_keys)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
