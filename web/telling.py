"""Telling: the events of one job as messages of the wire, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graph.events import (
    NodeBlocked,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesAdded,
    NodesCached,
    NodeStarted,
)
from graph.queue.events import JobFinished, JobStarted
from graph.queue.journal import Numbered
from web import protocol
from web.protocol import Message


@dataclass(eq=False, slots=True)
class Telling:
    """What has been told of a job. Kept also while nobody listens, since its client may come back.

    A message holds what changed and what runs, never all nodes, so that the messages of a job grow with its size and
    not with its square. That a node failed is told at the end of the job, when its record can be read: the rest of the
    graph goes on until then.
    """

    job_id: str
    client: str
    running: dict[str, dict[str, Any]] = field(default_factory=dict)  # by node id: its state on the wire
    classes: dict[str, str] = field(default_factory=dict)  # of nodes that began
    parents: dict[str, str] = field(default_factory=dict)  # of nodes that others made
    ran: list[str] = field(default_factory=list)
    failure: tuple[NodeFailed, float] | None = None
    held: list[Numbered] = field(default_factory=list)  # events that wait until others of the client were told

    def messages(self, entry: Numbered) -> Iterator[Message]:
        """What to tell of an event."""
        event, job_id = entry.event, self.job_id
        match event:
            case NodeStarted(_, node_id, display_id, class_type):
                state = protocol.node_state(job_id, node_id, display_id, self.parents.get(node_id), "running")
                self.running[node_id] = state
                self.classes[node_id] = class_type
                yield protocol.progress_state(job_id, self.running.values())
                yield protocol.executing(job_id, node_id, display_id)
            case NodeFinished(_, node_id, display_id, ui):
                if ui:
                    yield protocol.executed(job_id, node_id, display_id, ui)
                yield self._finished(node_id, display_id)
                self.ran.append(node_id)
            case NodeProgress(_, node_id, display_id, value, total):
                state = self.running.get(node_id) or protocol.node_state(
                    job_id, node_id, display_id, self.parents.get(node_id), "running"
                )
                self.running[node_id] = {**state, "value": value, "max": total}
                yield protocol.progress_state(job_id, self.running.values())
                yield protocol.progress(job_id, node_id, value, total)
            case NodesCached(_, node_ids, ui):
                yield protocol.execution_cached(job_id, node_ids, entry.at_s)
                for node_id in ui:
                    yield protocol.executed(job_id, node_id, node_id, ui[node_id] or None)
                    yield self._finished(node_id, node_id)
            case NodesAdded(_, parent_id, nodes):
                self.parents |= dict.fromkeys((node_id for node_id, _ in nodes), parent_id)
            case NodeFailed():
                self.failure = self.failure or (event, entry.at_s)
            case NodeBlocked():
                yield protocol.execution_blocked(job_id, event)
            case JobStarted():
                yield protocol.execution_start(job_id, entry.at_s)
            case JobFinished():
                yield self._end(event, entry.at_s)

    def _finished(self, node_id: str, display_id: str) -> Message:
        state = self.running.pop(node_id, None) or protocol.node_state(
            self.job_id, node_id, display_id, self.parents.get(node_id), "finished"
        )
        done = {**state, "value": state["max"], "state": "finished"}
        return protocol.progress_state(self.job_id, [*self.running.values(), done])

    def _end(self, event: JobFinished, at_s: float) -> Message:
        if event.state == "succeeded":
            return protocol.execution_success(self.job_id, at_s)
        if event.state == "cancelled":
            running = {each: self.classes.get(each, "") for each in self.running}
            return protocol.execution_interrupted(self.job_id, running, self.ran, at_s)
        if self.failure is not None:
            failed, failed_s = self.failure
            return protocol.execution_error(self.job_id, failed, self.ran, failed_s)
        return protocol.job_error(self.job_id, event.reason, at_s)
