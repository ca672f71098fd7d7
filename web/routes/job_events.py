"""/jobs/{job_id}/events: what happened to a job, by cursor or as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from graph.events import (
    NodeBlocked,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesAdded,
    NodesCached,
    NodeStarted,
    NodeWarned,
    RunFinished,
    RunStarted,
)
from graph.jobs import OVER
from graph.paths import Paths
from graph.queue.events import JobDeleted, JobFinished, JobMoved, JobQueued, JobRequeued, JobStarted, PastError
from graph.queue.journal import LAST, Numbered
from web.declare import Call, route
from web.errors import Refused, encode
from web.jobs import STATUS, JobFile, Milliseconds, files, no_job
from web.listening import LISTENERS
from web.protocol import ms
from web.services import Services

AT_ONCE = 500  # events that are read, encoded and sent at a time; a slow reader holds no more
GATHER_S = 0.05  # what happens within this is sent together
COMMENT_S = 15.0  # of silence; then a comment shows proxies, and us, that the connection lives
STUCK_S = 60.0  # a reader that takes nothing for so long is gone
LATE_S = 1.0  # the end of a job may be on record so much before it is told
NAMES: Mapping[str, str] = {
    "RunStarted": "run_started",
    "NodesCached": "nodes_cached",
    "NodesAdded": "nodes_added",
    "NodeStarted": "node_started",
    "NodeProgress": "node_progress",
    "NodeFinished": "node_finished",
    "NodeFailed": "node_failed",
    "NodeBlocked": "node_blocked",
    "NodeWarned": "node_warned",
    "RunFinished": "run_finished",
    "JobQueued": "job_queued",
    "JobMoved": "job_moved",
    "JobStarted": "job_started",
    "JobRequeued": "job_requeued",
    "JobFinished": "job_finished",
    "JobDeleted": "job_deleted",
}


class EventsQuery(msgspec.Struct):
    """From where on."""

    after: Annotated[int, Meta(ge=0, le=2**53, description="the sequence number up to which all is known")] = 0
    limit: Annotated[int, Meta(ge=1, le=5000, description="at most so many, if not as a stream")] = 500


class JobEvent(msgspec.Struct, kw_only=True):
    """Something that happened to a job. Which of the fields are there depends on the kind of event."""

    sequence: Annotated[int, Meta(description="grows from event to event of a job, not always by one")]
    at: Milliseconds
    event: Annotated[str, Meta(description="its kind", extra_json_schema={"enum": sorted(NAMES.values())})]
    node_id: str | UnsetType = UNSET
    display_id: Annotated[str | UnsetType, Meta(description="the node of the prompt that stands for it")] = UNSET
    class_type: str | UnsetType = UNSET
    node_ids: Annotated[list[str] | UnsetType, Meta(description="of run_started and nodes_cached")] = UNSET
    parent_id: Annotated[str | UnsetType, Meta(description="of nodes_added: the node that made them")] = UNSET
    nodes: Annotated[
        list[tuple[str, str]] | UnsetType, Meta(description="of nodes_added: id and display id of each")
    ] = UNSET
    value: Annotated[float | UnsetType, Meta(description="of node_progress")] = UNSET
    total: Annotated[float | UnsetType, Meta(description="of node_progress")] = UNSET
    preview: Annotated[bool | UnsetType, Meta(description="whether there was a picture, which /ws sends")] = UNSET
    ui: Annotated[
        dict[str, Any] | UnsetType,
        Meta(description="of node_finished: what it showed; of nodes_cached: the same by node id"),
    ] = UNSET
    files: Annotated[list[JobFile] | UnsetType, Meta(description="of node_finished: what it saved")] = UNSET
    seconds: float | UnsetType = UNSET
    message: Annotated[str | UnsetType, Meta(description="a sentence with node, class and what happened")] = UNSET
    exception_type: Annotated[str | UnsetType, Meta(description="of node_failed")] = UNSET
    exception_message: Annotated[str | UnsetType, Meta(description="of node_failed")] = UNSET
    traceback: Annotated[list[str] | UnsetType, Meta(description="of node_failed")] = UNSET
    status: Annotated[str | UnsetType, Meta(description="how the run, or the job, ended")] = UNSET
    reason: Annotated[str | UnsetType, Meta(description="of job_requeued and job_finished")] = UNSET
    problems: Annotated[
        list[dict[str, Any]] | UnsetType, Meta(description="of job_finished: node_id, class_type, sentence of each")
    ] = UNSET
    attempt: Annotated[int | UnsetType, Meta(description="of job_started, counted from 1")] = UNSET
    priority: int | UnsetType = UNSET
    number: int | float | UnsetType = UNSET


class EventsAnswer(msgspec.Struct, kw_only=True):
    """Events in order."""

    events: list[JobEvent]
    next: Annotated[int, Meta(description="`after` for what follows")]
    is_over: Annotated[bool, Meta(description="the job is over, and this is the last that happened to it")]


@route("GET", "/jobs/{job_id}/events", answers={200: "text/event-stream", 204: None})
async def show_events(call: Call, job_id: str, query: EventsQuery) -> EventsAnswer | web.StreamResponse:
    """What happened to a job after a certain event: a list, or a stream of server-sent events.

    Of progress only the last of each running node is kept, everything else as long as the job. With
    `Accept: text/event-stream` the answer is a stream that ends when the job is over. Each event has its sequence
    number as `id`, its kind as `event`, and the same JSON as in the list as `data`; `Last-Event-ID` counts as `after`.
    Who asks again after the last event of a job that is over gets 204, which tells browsers to stop.
    """
    services = call.services
    if call.request.method == "GET" and "text/event-stream" in call.request.headers.get("Accept", ""):
        return await _stream(call, job_id, _last_seen(call.request, query.after))
    part = await asyncio.to_thread(_read, services, job_id, query.after, query.limit)
    after = part.events[-1].sequence if part.events else query.after
    return EventsAnswer(events=part.events, next=after, is_over=part.is_over)


async def _stream(call: Call, job_id: str, after: int) -> web.StreamResponse:
    services, request = call.services, call.request
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    listeners = request.app[LISTENERS]
    with listeners.listening(services.journal, job_id) as bell:
        while not listeners.is_closed:
            bell.clear()
            try:
                part = await asyncio.to_thread(_read, services, job_id, after, AT_ONCE)
            except Refused:
                if not response.prepared:
                    raise
                gone = JobEvent(sequence=LAST, at=ms(time.time()), event=NAMES["JobDeleted"])
                await _send(response, _as_text(gone))
                break
            if part.is_over and not part.events and not response.prepared:
                return web.Response(status=204)
            if not response.prepared:
                await response.prepare(request)
            if part.events:
                after = part.events[-1].sequence
                await _send(response, await asyncio.to_thread(lambda new: b"".join(map(_as_text, new)), part.events))
            if part.is_over:
                break
            if part.events:  # a full part is followed by the next one at once
                await asyncio.sleep(GATHER_S if len(part.events) < AT_ONCE else 0)
            elif not await _rings(bell, LATE_S if part.ends else COMMENT_S):
                await _send(response, b": still here\n\n")
    if not response.prepared:
        raise Refused(503, "stopping", "The server is stopping; ask again when it is back.")
    return response


async def _rings(bell: asyncio.Event, within_s: float) -> bool:
    """Whether something happened within this time."""
    try:
        async with asyncio.timeout(within_s):
            await bell.wait()
    except TimeoutError:
        return False
    return True


async def _send(response: web.StreamResponse, data: bytes) -> None:
    """Returns when the reader has taken most of it. Raises ConnectionError if it does not."""
    try:
        async with asyncio.timeout(STUCK_S):
            await response.write(data)
    except TimeoutError:
        raise ConnectionResetError(f"The reader of a stream took nothing for {STUCK_S:.0f} s.") from None


@dataclass(frozen=True, slots=True)
class Part:
    """The next events of a job."""

    events: list[JobEvent]
    ends: bool  # the job is over, but perhaps not everything is told yet
    is_over: bool  # nothing follows these


def _read(services: Services, job_id: str, after: int, limit: int) -> Part:
    """Raises Refused. Waits for the disk: call in a thread."""
    job = services.store.get(job_id)
    if job is None:
        raise no_job(job_id)
    found = services.journal.since(job_id, after, limit)
    ends = job.state in OVER and len(found) < limit
    told = bool(found) and isinstance(found[-1].event, JobFinished)
    long_over = not found and not 0 <= time.time() - (job.ended_s or 0.0) < LATE_S
    return Part([_shown(each, services.paths) for each in found], ends, ends and (told or long_over))


def _last_seen(request: web.Request, after: int) -> int:
    """Where a stream goes on: browsers say so in a header when they connect again."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return after
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise Refused(400, "invalid_value", f"Last-Event-ID is {text[:40]!r}; give the id of an event, a number.")
    return int(text)


def _as_text(event: JobEvent) -> bytes:
    """As a server-sent event. JSON holds no line breaks."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.event.encode(), encode(event))


def _shown(entry: Numbered, paths: Paths) -> JobEvent:
    """An event as clients get it."""
    event: Any = entry.event
    shown = JobEvent(sequence=entry.sequence, at=ms(entry.at_s), event=NAMES[type(event).__name__])
    match event:
        case RunStarted():
            shown.node_ids = list(event.node_ids)
        case NodesCached():
            shown.node_ids, shown.ui = list(event.node_ids), dict(event.ui)
        case NodesAdded():
            shown.parent_id, shown.nodes = event.parent_id, list(event.nodes)
        case RunFinished():
            shown.status, shown.seconds = STATUS[event.status], event.seconds
        case JobQueued() | JobMoved():
            shown.priority, shown.number = event.priority, event.number
        case JobStarted():
            shown.attempt = event.attempt
        case JobRequeued():
            shown.reason = event.reason
        case JobFinished():
            shown.status, shown.reason = STATUS[event.state], event.reason
            shown.problems = [dict(each) for each in event.problems]
        case JobDeleted():
            pass
        case _:
            _show_node(shown, event, paths)
    return shown


def _show_node(shown: JobEvent, event: Any, paths: Paths) -> None:
    shown.node_id, shown.display_id = event.node_id, event.display_id
    match event:
        case NodeProgress():
            shown.value, shown.total, shown.preview = event.value, event.total, event.preview is not None
        case NodeFinished():
            shown.ui, shown.seconds, shown.files = dict(event.ui), event.seconds, list(files(event.files, paths))
        case NodeStarted():
            shown.class_type = event.class_type
        case NodeFailed() | NodeBlocked() | NodeWarned():
            shown.class_type, shown.message = event.class_type, event.message
    if isinstance(event, NodeFailed):
        error = PastError.of(event.error)
        shown.exception_type, shown.exception_message, shown.traceback = error.kind, error.text, list(error.trace)
