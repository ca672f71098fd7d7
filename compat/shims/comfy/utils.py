"""ComfyUI's module comfy.utils: progress bars."""

from __future__ import annotations

from typing import Any

from compat.calls import CONTEXT
from nodes.previews import preview_of


class ProgressBar:
    """Reports the progress of the node that made it; outside of a running node, to nobody."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.node_id = node_id
        self._context = CONTEXT.get()

    def update(self, value: float) -> None:
        """`value` more is done. Ends the node when its run is cancelled."""
        self.update_absolute(self.current + value)

    def update_absolute(self, value: float, total: float | None = None, preview: Any = None) -> None:
        """`value` of `total` is done; `preview` is (format, picture, largest side or None)."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        if self._context is not None:
            self._context.progress(self.current, self.total, preview_of(preview))
