"""Preview: what a node shows of its work while it runs, see Context.progress()."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable


@runtime_checkable
class Preview(Protocol):
    """A picture of work in progress, kept small until somebody wants to see it."""

    def encode(self, side_most: int) -> tuple[Literal["jpeg", "png"], bytes]:
        """The picture as a file of that format, its sides at most that many pixels. Takes milliseconds; any thread."""
