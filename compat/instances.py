"""The objects of a V1 class: one for each node, which keeps what it remembers in `self` from run to run."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MOST = 32  # a workflow seldom has more nodes of one class, and each may hold a file's content


class Instances:
    """Objects by node id, the `most` that were used last. The same node of another workflow has the same object."""

    def __init__(self, make: Callable[[], Any], most: int = MOST) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[str, Any] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, node_id: str) -> Any:
        """The node's object."""
        with self._lock:
            if node_id not in self._kept:
                self._kept[node_id] = self._make()
            self._kept.move_to_end(node_id)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return self._kept[node_id]
