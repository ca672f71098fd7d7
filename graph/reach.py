"""What can be reached from some things, going from each to those it leads to."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def reached(begin: Iterable[T], ways: Mapping[T, Sequence[T]]) -> set[T]:
    """Those to begin with, and all to which some number of `ways` leads from them."""
    found = set(begin)
    stack = list(found)
    while stack:
        fresh = [each for each in ways.get(stack.pop(), ()) if each not in found]
        found.update(fresh)
        stack += fresh
    return found
