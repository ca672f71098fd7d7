"""/jobs: jobs as resources, whatever has become of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from graph.events import NodeFailed
from graph.explain import explain
from graph.jobs import OVER, Job, JobState
from graph.problems import DocumentError
from graph.queue.scheduler import NoSuchJob
from graph.store import StoreError
from web import protocol
from web.cancelling import CANCEL_S, cancel_all
from web.declare import Call, route
from web.errors import ErrorAnswer, Refused
from web.jobs import STATES, STATUS, JobDetail, JobEntry, detail, entry, no_job
from web.services import Services

WAITS: tuple[JobState, ...] = ("pending",)
MAY_RETRY: tuple[JobState, ...] = ("failed", "cancelled")


class JobsQuery(msgspec.Struct):
    """Which jobs, in what order, and which part of them."""

    status: Annotated[str, Meta(description=f"only jobs in these states, separated by commas: {', '.join(STATES)}")] = (
        ""
    )
    client: Annotated[str | None, Meta(description="only jobs that the caller sent with this client_id")] = None
    q: Annotated[
        str, Meta(description="only jobs in whose prompts each of these words begins a word", max_length=1000)
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(ge=0, le=2**53, description="leave out so many first")] = 0
    sort_by: Annotated[
        Literal["create_time", "created_at", "execution_end_time"],
        Meta(
            description="execution_end_time: in the order in which they ended, and only such; not together with q. "
            "created_at is another name of create_time"
        ),
    ] = "create_time"
    sort_order: Literal["asc", "desc"] = "desc"


class Pagination(msgspec.Struct, kw_only=True):
    """Which part of a list this is."""

    offset: int
    limit: int
    total: Annotated[int, Meta(description="jobs in all parts together")]
    has_more: bool


class JobList(msgspec.Struct, kw_only=True):
    """Part of a list of jobs."""

    jobs: list[JobEntry]
    pagination: Pagination
    paused: Annotated[bool, Meta(description="whether waiting jobs are held back; see /jobs/pause")]


class JobChange(msgspec.Struct, kw_only=True):
    """Where a waiting job shall stand instead: give a priority, `front` or both; or `before` alone."""

    priority: Annotated[int, Meta(ge=-1000, le=1000, description="higher goes first")] | None = None
    front: Annotated[bool, Meta(description="before all that wait with its priority")] = False
    before: Annotated[str | None, Meta(description="the id of a waiting job to go before, at its priority")] = None


class JobIds(msgspec.Struct):
    """Some jobs."""

    job_ids: Annotated[list[str], Meta(max_length=1000)]


class Cancelled(msgspec.Struct):
    """The jobs that were cancelled."""

    cancelled: list[str]


class CancelledJob(JobEntry, kw_only=True):
    """A job that was told to end."""

    cancelled: Annotated[bool, Meta(description="whether this ends it; false if it was over already")]


class Deleted(msgspec.Struct):
    """The jobs that are gone."""

    deleted: list[str]


class QueueState(msgspec.Struct, kw_only=True):
    """What the queue is at."""

    paused: bool
    running: Annotated[int, Meta(description="jobs under way")]
    waiting: Annotated[int, Meta(description="jobs that wait")]


class NodeOutlook(msgspec.Struct, kw_only=True):
    """Why a node would run or not."""

    node_id: str
    class_type: str
    runs: Annotated[bool | None, Meta(description="null: known only while the job runs")]
    reason: Annotated[str, Meta(description="for programs")]
    sentence: Annotated[str, Meta(description="for people")]


class Outlook(msgspec.Struct, kw_only=True):
    """What a job would do."""

    nodes: list[NodeOutlook]


@route("GET", "/jobs", answers={200: JobList})
async def list_jobs(call: Call, query: JobsQuery) -> web.Response:
    """Jobs, the newest first: those that wait, run or are over."""
    services = call.services
    states = _states(query.status)
    by_end = query.sort_by == "execution_end_time"
    if query.q.strip() and by_end:
        raise Refused(400, "invalid_value", "What is found by q comes in the order of create_time; leave out sort_by.")
    if by_end:
        states = [each for each in OVER if states is None or each in states]
    positions = await _positions(call) if states is None or "pending" in states else {}
    client = None if query.client is None else protocol.client_of(call.user, query.client)
    newest_first = query.sort_order == "desc"
    paused = services.scheduler.paused

    def look_up() -> JobList:
        store = services.store
        if query.q.strip():
            page = store.search(
                query.q, states=states, client=client, newest_first=newest_first, limit=query.limit, offset=query.offset
            )
        else:
            page = store.list(
                states=states, client=client, newest_first=newest_first, limit=query.limit, offset=query.offset,
                by="ended" if by_end else "accepted",
            )  # fmt: skip
        total = store.count(states=states, client=client, text=query.q)
        shown = _entries(services, page.jobs, positions)
        more = query.offset + len(shown) < total
        pagination = Pagination(offset=query.offset, limit=query.limit, total=total, has_more=bool(shown) and more)
        return JobList(jobs=shown, pagination=pagination, paused=paused)

    return await call.json(await asyncio.to_thread(look_up))


@route("GET", "/jobs/{job_id}", answers={200: JobDetail, 404: ErrorAnswer})
async def show_job(call: Call, job_id: str) -> web.Response:
    """A job with its progress, the times of its nodes, its errors, its outputs and what was sent."""
    services = call.services
    job = await _job(call, job_id)
    positions = await _positions(call) if job.state == "pending" else {}

    def look_up() -> JobDetail:
        return detail(job, positions.get(job_id), services.journal.since(job_id, 0), services.paths)

    return await call.json(await asyncio.to_thread(look_up))


@route("GET", "/jobs/{job_id}/explain", answers={404: ErrorAnswer, 409: ErrorAnswer})
async def explain_job(call: Call, job_id: str) -> Outlook:
    """Why each node of a job would run now, or why not. It may take a while: large files may have to be read."""
    services = call.services

    def look() -> Outlook:
        job = services.store.get(job_id)
        if job is None:
            raise no_job(job_id)
        try:
            found = explain(services.reader.plan(job.request), services.session.engine, services.session.notes)
        except DocumentError as error:
            raise Refused(409, "cannot_run", f"Job {job_id!r} cannot run as things stand: {error}") from None
        return Outlook(
            nodes=[
                NodeOutlook(
                    node_id=each.node_id, class_type=each.class_type, runs=each.runs, reason=each.reason,
                    sentence=each.sentence,
                )
                for each in found
            ]
        )  # fmt: skip

    return await asyncio.to_thread(look)


@route("POST", "/jobs/{job_id}/cancel", answers={202: CancelledJob, 404: ErrorAnswer, 403: ErrorAnswer})
async def cancel_job(call: Call, job_id: str) -> CancelledJob | web.Response:
    """End a job that waits or runs. One that is over stays as it is.

    The answer has the job when it is over. A node that does not let go within three seconds is not waited for: then the
    answer is 202, and the job is still in progress.
    """
    was_over = (await _own_job(call, job_id)).state in OVER
    try:
        async with asyncio.timeout(CANCEL_S):
            job = await _changed(call, job_id, call.services.scheduler.cancel(job_id), (*STATES.values(),))
    except TimeoutError:
        return await call.json(await _cancelled(call, await _own_job(call, job_id), True), 202)
    return await _cancelled(call, job, job.state == "cancelled" and not was_over)


@route("POST", "/jobs/cancel")
async def cancel_jobs(call: Call, body: JobIds) -> Cancelled:
    """End those of these jobs that wait or run and are the caller's. Others are passed over."""
    services = call.services

    def look_up() -> list[str]:
        jobs = [job for job_id in dict.fromkeys(body.job_ids) if (job := services.store.get(job_id)) is not None]
        return [job.request.id for job in jobs if job.state not in OVER and call.may_change(job.request.client)]

    found = await asyncio.to_thread(look_up)
    await cancel_all(services.scheduler, found, "It was cancelled.", CANCEL_S)
    return Cancelled(found)


@route("POST", "/jobs/{job_id}/retry", answers={404: ErrorAnswer, 403: ErrorAnswer, 409: ErrorAnswer})
async def retry_job(call: Call, job_id: str) -> JobEntry:
    """Put a job that failed or was cancelled into the queue again, behind the others. What it saved stays."""
    job = await _own_job(call, job_id)
    if job.state not in MAY_RETRY:
        raise _wrong_state(job, MAY_RETRY, "tried again")
    return await _entry(call, await _changed(call, job_id, call.services.scheduler.retry(job_id), MAY_RETRY))


@route("PATCH", "/jobs/{job_id}", answers={404: ErrorAnswer, 403: ErrorAnswer, 409: ErrorAnswer})
async def change_job(call: Call, job_id: str, body: JobChange) -> JobEntry:
    """Move a waiting job: to another priority, to the front, or before a certain one."""
    moves = body.priority is not None or body.front
    if moves == (body.before is not None):
        raise Refused(400, "invalid_value", "Say where the job shall stand: give priority or front, or before alone.")
    if body.before == job_id:
        raise Refused(400, "invalid_value", "A job cannot go before itself; name another one in before.")
    job = await _own_job(call, job_id)
    other = None if body.before is None else await _job(call, body.before)
    for each, what in ((job, "moved"), (other, "gone before")):
        if each is not None and each.state not in WAITS:
            raise _wrong_state(each, WAITS, what)
    change = call.services.scheduler.change(job_id, priority=body.priority, front=body.front, before=body.before)
    return await _entry(call, await _changed(call, job_id, change, WAITS))


@route("DELETE", "/jobs/{job_id}", answers={404: ErrorAnswer, 403: ErrorAnswer, 409: ErrorAnswer})
async def delete_job(call: Call, job_id: str) -> Deleted:
    """Forget a job that waits or is over, with all that was recorded of it. The files that it saved stay."""
    await _own_job(call, job_id)
    if await call.services.scheduler.delete([job_id]):
        raise Refused(409, "wrong_state", f"Job {job_id!r} is in progress; cancel it before it can be deleted.")
    return Deleted([job_id])


@route("POST", "/jobs/pause")
async def pause(call: Call) -> QueueState:
    """Begin no more jobs, whoever sent them; those that run go on.

    Nothing is lost; a server that starts anew is not paused. Any user may pause the queue, and any may resume it.
    """
    call.services.scheduler.pause()
    return _state(call)


@route("POST", "/jobs/resume")
async def resume(call: Call) -> QueueState:
    """Begin jobs again."""
    call.services.scheduler.resume()
    return _state(call)


def _state(call: Call) -> QueueState:
    scheduler = call.services.scheduler
    running = len(scheduler.running)
    return QueueState(paused=scheduler.paused, running=running, waiting=scheduler.remaining - running)


def _states(text: str) -> list[JobState] | None:
    """States by their names on the wire; None for any. Raises Refused."""
    names = [name for name in (each.strip() for each in text.split(",")) if name]
    unknown = [name for name in names if name not in STATES]
    if unknown:
        there_are = ", ".join(STATES)
        raise Refused(400, "invalid_value", f"status is {unknown[0][:40]!r}, which no job is; there are: {there_are}.")
    return [STATES[name] for name in dict.fromkeys(names)] or None


async def _positions(call: Call) -> dict[str, int]:
    """Of the jobs that wait, by id: 1 for the next."""
    return {job_id: place for place, job_id in enumerate(await call.services.scheduler.in_order(), 1)}


def _entries(services: Services, jobs: Sequence[Job], positions: Mapping[str, int]) -> list[JobEntry]:
    failed = [job.request.id for job in jobs if job.state == "failed"]
    failures: dict[str, list[tuple[NodeFailed, float]]] = {job_id: [] for job_id in failed}
    for job_id, events in services.journal.milestones(failed, ["JobStarted", "NodeFailed"]).items():
        for _, _, event, at_s in events:
            if isinstance(event, NodeFailed):
                failures[job_id].append((event, at_s))
            else:
                failures[job_id].clear()  # an attempt before it does not count
    return [entry(job, positions.get(job.request.id), failures.get(job.request.id, ())) for job in jobs]


async def _entry(call: Call, job: Job) -> JobEntry:
    positions = await _positions(call) if job.state == "pending" else {}
    [found] = await asyncio.to_thread(_entries, call.services, [job], positions)
    return found


async def _cancelled(call: Call, job: Job, by_this: bool) -> CancelledJob:
    return CancelledJob(**msgspec.structs.asdict(await _entry(call, job)), cancelled=by_this)


async def _job(call: Call, job_id: str) -> Job:
    job = await asyncio.to_thread(call.services.store.get, job_id)
    if job is None:
        raise no_job(job_id)
    return job


async def _own_job(call: Call, job_id: str) -> Job:
    """A job that the caller may change. Raises Refused (404, 403)."""
    job = await _job(call, job_id)
    if not call.may_change(job.request.client):
        raise Refused(403, "forbidden", f"Job {job_id!r} is another user's; only that user may change it.")
    return job


async def _changed(call: Call, job_id: str, change: Awaitable[Job], states: Sequence[JobState]) -> Job:
    """What comes of a change that only a job in one of these states allows. Raises Refused if it is in another now."""
    try:
        return await change
    except NoSuchJob:
        raise no_job(job_id) from None
    except StoreError:
        job = await _job(call, job_id)
        if job.state in states:  # the store itself is at fault
            raise
        raise _wrong_state(job, states, "changed") from None


def _wrong_state(job: Job, states: Sequence[JobState], what: str) -> Refused:
    names = " or ".join(STATUS[each] for each in states)
    message = f"Job {job.request.id!r} is {STATUS[job.state]}; only one that is {names} can be {what}."
    return Refused(409, "wrong_state", message)
