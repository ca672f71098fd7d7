"""The objects of a V1 class: one for each node, which keeps what it remembers in `self` from run to run."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MOST = 32  # a workflow seldom has more nodes of one class, and each may hold a file's content


class Instances:
    """Objects by node id; of those that are not at work, the ones used last are kept, `most` at a time.

    Two threads never have the same object: while it is at work, the same node of another run gets a new one.
    """

    def __init__(self, make: Callable[[], Any], most: int = MOST) -> None:
        self._make = make
        self._most = most
        self._idle: OrderedDict[str, Any] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._idle)

    @contextmanager
    def of(self, node_id: str) -> Iterator[Any]:
        """The node's object, for one call."""
        with self._lock:
            found = self._idle.pop(node_id, None)
        if found is None:
            found = self._make()
        try:
            yield found
        finally:
            self._keep(node_id, found)

    def shared(self, node_id: str) -> Any:
        """The node's object, for calls that overlap in one thread."""
        with self._lock:
            found = self._idle.get(node_id)
        if found is None:
            found = self._make()
        self._keep(node_id, found)
        return found

    def _keep(self, node_id: str, found: Any) -> None:
        with self._lock:
            self._idle[node_id] = found
            self._idle.move_to_end(node_id)
            if len(self._idle) > self._most:
                self._idle.popitem(last=False)
