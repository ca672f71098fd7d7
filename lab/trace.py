"""Which node was worked on when, and by which thread: a sink for a run's events, and the lines it makes of them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from graph.events import Event, NodeFinished, NodeProgress, NodeStarted


@dataclass(frozen=True)
class Span:
    """A node, or a step of one, from `began` to `ended`: seconds since the trace began."""

    thread: str
    name: str
    began: float
    ended: float

    def __str__(self) -> str:
        return f"{self.began:7.3f} to {self.ended:7.3f} s  {self.thread:10} {self.name}"


class Trace:
    """Collects the spans of one or more runs; safe to use from many threads."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._start = time.perf_counter()
        self._began: dict[tuple[str, str], float] = {}

    def sink(self, event: Event) -> None:
        """Take an event, in the thread that works on the node."""
        now = time.perf_counter() - self._start
        if isinstance(event, NodeStarted):
            self._began[event.run_id, event.node_id] = now
        elif isinstance(event, NodeProgress):
            self._end(event, f"step {event.value:g} of {event.total:g}", now)
            self._began[event.run_id, event.node_id] = now
        elif isinstance(event, NodeFinished):
            self._end(event, "", now)

    def lines(self) -> list[str]:
        """One for each span, in the order in which they began."""
        return [str(span) for span in sorted(self.spans, key=lambda span: span.began)]

    def overlap(self, one: str, other: str) -> float:
        """Seconds in which a thread of a lane `one` and a thread of a lane `other` were both at work."""
        pairs = ((a, b) for a in self._of(one) for b in self._of(other))
        return sum(max(0.0, min(a.ended, b.ended) - max(a.began, b.began)) for a, b in pairs)

    def _of(self, lane: str) -> list[Span]:
        return [span for span in self.spans if span.thread.startswith(lane)]

    def _end(self, event: NodeProgress | NodeFinished, what: str, now: float) -> None:
        thread = threading.current_thread().name
        name = f"{event.run_id} {event.display_id} {what}".rstrip()
        self.spans.append(Span(thread, name, self._began[event.run_id, event.node_id], now))
