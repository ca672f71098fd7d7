"""Scheduler: takes jobs from the store in turn, has them run, and writes down how they end."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from graph.context import RUNNING
from graph.jobs import OVER, Job, JobRequest, JobState
from graph.model import Plan
from graph.queue.attempt import Attempt, End, Runner, answer
from graph.queue.events import JobDeleted, JobEvent, JobFinished, JobMoved, JobQueued, JobRequeued, JobStarted
from graph.queue.journal import Journal
from graph.queue.waiting import Turn, Waiting
from graph.store import Store, StoreError

SMALL = 100  # nodes, or jobs, that are looked at in less time than a trip to a thread takes
AGAIN_S = 5.0  # after the store could not write, so long until it is asked again

T = TypeVar("T")
log = logging.getLogger(__name__)


class QueueClosed(Exception):
    """The scheduler was closed before a job was over."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"The queue was closed before job {job_id} was over; it goes on at the next start.")


class NoSuchJob(ValueError):
    """A job id that nobody knows, or nobody knows any more."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id}; it was deleted, or its id is mistyped.")


class QueueFull(StoreError):
    """As many jobs wait as may."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"The queue is full: {most} jobs wait already. Send this one again when some of them are over."
        )


@dataclass(eq=False, slots=True)
class Active:
    """A job that was taken from the queue."""

    turn: Turn
    work: asyncio.Task[End] | None = None
    stop: End | None = None  # how it shall end instead
    left: asyncio.Event = field(default_factory=asyncio.Event)  # it runs no more, or nobody waits for that any more


class Scheduler:
    """The queue at work, up to `at_once` jobs at a time: one saves while another computes, and equal passes are shared.

    What it changes is on disk before it is told. All methods belong to one event loop, and none blocks it. While the
    store cannot write, such as on a full disk, jobs wait, and it is asked again every `again_s` seconds. What
    `models(request)` will be loaded decides among equals, see Waiting. A failure that may be chance is tried again, up
    to `attempts_most` times in all. A job that ran when the process died runs alone the next time. No more than
    `waiting_most` jobs are let in to wait.
    """

    def __init__(
        self,
        store: Store,
        run: Runner,
        plan_job: Callable[[JobRequest], Plan],
        journal: Journal,
        *,
        models: Callable[[JobRequest], frozenset[str]] = lambda request: frozenset(),
        at_once: int = 4,
        attempts_most: int = 1,
        waiting_most: int | None = None,
        again_s: float = AGAIN_S,
    ) -> None:
        self.paused = False
        self.closing = False  # from close() on: no more jobs begin
        self._store = store
        self._run = run
        self._plan_job = plan_job
        self._journal = journal
        self._models = models
        self._at_once = at_once
        self._attempts_most = attempts_most
        self._waiting_most = waiting_most
        self._again_s = again_s
        self._waiting = Waiting()
        self._active: dict[str, Active] = {}
        self._waiters: defaultdict[str, list[asyncio.Future[Job]]] = defaultdict(list)  # for the ends of jobs
        self._serving: set[asyncio.Task[None]] = set()  # one for each active job
        self._asked: set[asyncio.Task[Any]] = set()  # what callers asked for and is not done
        self._entering: dict[str, asyncio.Task[Any]] = {}  # of these: what puts jobs into the queue, by id
        self._let_in_now = 0  # jobs that have room in the queue and are not there yet
        self._resting: asyncio.TimerHandle | None = None  # set while the store shall be left in peace
        self._store_may_work = asyncio.Event()

    async def open(self) -> None:
        """Take up the queue as the last process left it: the first thing to be called. Raises StoreError."""
        requeued, failed = await asyncio.to_thread(self._store.recover)
        for job in requeued:
            await self._tell(job.request.id, JobRequeued(job.request.id, job.reason))
        for job in failed:
            await self._announce_end(job)
        for turn in await asyncio.to_thread(lambda: [self._turn(job) for job in self._store.pending()]):
            self._waiting.add(turn)
        self._begin_jobs()

    async def close(
        self,
        *,
        drain: bool = False,
        reason: str = "The server was stopped; the job begins anew.",
        within_s: float | None = None,
    ) -> None:
        """Take no more jobs; wait for those that run, or put them back into the queue. Closes journal and store.

        A node that hangs can hold that up for ever. What has not come back `within_s` seconds is put back all the same;
        it may still be at work, so that the caller then has to end the process, by os._exit.
        """
        self.closing = True
        self._ask_store_again()
        for active in self._active.values() if not drain else ():
            self._stop(active, End("pending", reason))
        try:
            async with asyncio.timeout(within_s):
                while self._serving:
                    await asyncio.wait(self._serving)
        except TimeoutError:
            await asyncio.gather(*(self._give_up(active, reason) for active in list(self._active.values())))
        for job_id in list(self._waiters):
            self._tell_waiters(job_id, QueueClosed(job_id))
        while self._asked:
            await asyncio.wait(self._asked)
        await asyncio.to_thread(self._journal.close)
        await asyncio.to_thread(self._store.close)

    # -- what is in the queue

    @property
    def waiting(self) -> list[str]:
        """Ids of the jobs that wait, in the order in which they go as things stand."""
        return [turn.id for turn in self._waiting]

    async def in_order(self) -> list[str]:
        """The same, found in a thread: among ten thousand it takes some milliseconds."""
        now = self._waiting.copy()
        return await asyncio.to_thread(lambda: [turn.id for turn in now])

    @property
    def running(self) -> list[str]:
        """Ids of the jobs under way, the oldest first."""
        return list(self._active)

    @property
    def remaining(self) -> int:
        """How many jobs wait or are under way."""
        return len(self._waiting) + len(self._active)

    def client_of(self, job_id: str) -> str | None:
        """Whose a job is that waits or is under way; None if it is neither."""
        active = self._active.get(job_id)
        turn = self._waiting.get(job_id) if active is None else active.turn
        return None if turn is None else turn.client

    # -- what may be asked for. A caller that gives up in the middle does not break what it began.

    async def submit(self, request: JobRequest) -> Job:
        """Put a job into the queue; it is on disk now. Raises StoreError, also for an id that another request has.

        One that is there already is given whether there is room or not; else QueueFull is raised if there is none.
        """
        return await self._surely(self._submit(request), enters=request.id)

    async def cancel(self, job_id: str, reason: str = "It was cancelled.") -> Job:
        """End a job that waits or runs; returns when it is over. One that is over stays as it is."""
        return await self._surely(self._cancel(job_id, reason))

    async def cancel_waiting(self, job_ids: Iterable[str], reason: str) -> None:
        """End those of these jobs that wait: none of them begins any more. Returns when all of them are over."""
        await self._surely(self._cancel_waiting(list(job_ids), reason))

    async def change(
        self, job_id: str, *, priority: int | None = None, front: bool = False, before: str | None = None
    ) -> Job:
        """Move a waiting job: to another priority, before all others of its priority, or before a certain one."""
        return await self._surely(self._change(job_id, priority, front, before))

    async def retry(self, job_id: str) -> Job:
        """Put a job that failed or was cancelled into the queue again; what it recorded stays. Raises as submit()."""
        return await self._surely(self._retry(job_id), enters=job_id)

    async def delete(self, job_ids: Iterable[str]) -> list[str]:
        """Forget jobs that wait or are over, with all that was kept of them. Those that run are left, and returned."""
        return await self._surely(self._delete(list(dict.fromkeys(job_ids))))

    def pause(self) -> None:
        """Begin no more jobs; those that run go on. Forgotten when the process ends: the next one begins jobs."""
        self.paused = True

    def resume(self) -> None:
        """Begin jobs again, and ask a store that could not write."""
        self.paused = False
        self._ask_store_again()

    async def wait(self, job_id: str) -> Job:
        """The job when it is over. Raises NoSuchJob, also when it is deleted meanwhile."""
        end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiters[job_id].append(end)  # before the store is read: it may end between
        try:
            job = await asyncio.to_thread(self._store.get, job_id)
            if job is not None and job.state in OVER:
                return job
            if job is None:
                raise NoSuchJob(job_id)
            if self.closing and job_id not in self._active and not end.done():
                raise QueueClosed(job_id)
            return await end
        finally:
            if end.done() and not end.cancelled():
                end.exception()  # told when the store said it already: nobody asks again
            if end in self._waiters.get(job_id, ()):
                self._waiters[job_id].remove(end)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    # -- the same, once begun

    async def _submit(self, request: JobRequest) -> Job:
        small = len(request.prompt) <= SMALL
        models = self._models(request) if small else await asyncio.to_thread(self._models, request)
        known = self._is_full() and await asyncio.to_thread(self._store.get, request.id) is not None
        with self._let_in(known):
            job = await answer(self._store.add(request))
        if job.state == "pending" and request.id not in self._active and request.id not in self._waiting:
            self._waiting.add(self._turn(job, models))
            self._journal.put(request.id, JobQueued(request.id, request.priority, job.number, request.client))
            self._begin_jobs()
        return job

    async def _cancel(self, job_id: str, reason: str) -> Job:
        if (entering := self._entering.get(job_id)) is not None:
            await asyncio.wait([entering])
        turn = self._waiting.remove(job_id)
        if turn is not None:
            return await self._end_waiting(turn, reason)
        active = self._active.get(job_id)
        if active is None:
            return await self.wait(job_id)
        self._stop(active, End("cancelled", reason))
        await active.left.wait()
        return await self._cancel(job_id, reason)  # it is over now, unless it had just been put back into the queue

    async def _end_waiting(self, turn: Turn, reason: str) -> Job:
        """End a job that was taken out of the queue; it is put back if that cannot be written down."""
        try:
            job = await answer(self._store.finish(turn.id, "cancelled", reason, ()))
        except BaseException:
            self._waiting.add(turn)
            raise
        await self._announce_end(job)
        self._begin_jobs()  # it may have been one that runs alone, for which others waited
        return job

    async def _cancel_waiting(self, job_ids: Sequence[str], reason: str) -> None:
        turns = iter([turn for each in job_ids if (turn := self._waiting.remove(each)) is not None])
        try:
            while some := list(islice(turns, SMALL)):  # so that others have their turn among thousands
                await asyncio.gather(*(self._end_waiting(turn, reason) for turn in some))
        finally:
            for turn in turns:
                self._waiting.add(turn)

    async def _change(self, job_id: str, priority: int | None, front: bool, before: str | None) -> Job:
        job = await answer(self._store.change(job_id, priority=priority, front=front, before=before))
        numbers: dict[str, int | float] = {job_id: job.number}
        if before is not None:  # others may have moved up to make room
            jobs = await asyncio.to_thread(self._store.pending)
            numbers |= {each.request.id: each.number for each in jobs}
        self._waiting.move(job_id, job.request.priority, front=job.front, numbers=numbers)
        await self._tell(job_id, JobMoved(job_id, job.request.priority, job.number))
        self._begin_jobs()
        return job

    async def _retry(self, job_id: str) -> Job:
        with self._let_in():
            job = await answer(self._store.retry(job_id))
            models = await asyncio.to_thread(self._models, job.request)
        self._waiting.add(self._turn(job, models))
        await self._tell(job_id, JobQueued(job_id, job.request.priority, job.number, job.request.client))
        self._begin_jobs()
        return job

    async def _delete(self, job_ids: Sequence[str]) -> list[str]:
        running = [job_id for job_id in job_ids if job_id in self._active]
        others = [job_id for job_id in job_ids if job_id not in self._active]
        waiting = [job_id for job_id in others if job_id in self._waiting]
        await asyncio.gather(*(self._cancel(job_id, "It was deleted.") for job_id in waiting))
        await answer(self._store.delete(others))
        for job_id in others:
            self._journal.put(job_id, JobDeleted(job_id))
            self._tell_waiters(job_id, NoSuchJob(job_id))
        return running

    # -- a job's way

    def _begin_jobs(self) -> None:
        """Take as many jobs as there is room for."""
        while len(self._active) < self._at_once:
            if self.paused or self.closing or self._resting is not None:
                return
            turn = self._waiting.take()
            if turn is None:
                return
            active = self._active[turn.id] = Active(turn)
            task = asyncio.create_task(self._serve(active))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, active: Active) -> None:
        job_id = active.turn.id
        RUNNING.set((job_id, ""))  # in this task alone
        try:
            job = await answer(self._store.start(job_id))
        except StoreError as error:
            self._let_store_rest()
            log.error("Job %s cannot begin: %s", job_id, error)
            is_there = await self._may_be(job_id, "pending")
            if active.left.is_set():
                return
            self._leave(active)
            if is_there:
                self._waiting.add(active.turn)
            self._begin_jobs()
            return
        if active.left.is_set():
            return
        await self._tell(job_id, JobStarted(job_id, job.attempts, job.request.client))
        end = await self._attempt(active, job)
        if active.left.is_set():
            return
        if end.may_retry and job.attempts < self._attempts_most:
            end = End("pending", end.reason)
        written = await self._write_end(job_id, end)
        if active.left.is_set():
            return
        self._leave(active)
        if written is None:
            return
        if end.state == "pending":
            self._waiting.add(self._turn(written, active.turn.models))
            await self._tell(job_id, JobRequeued(job_id, end.reason))
        else:
            await self._announce_end(written)
        self._begin_jobs()

    async def _attempt(self, active: Active, job: Job) -> End:
        if active.stop is not None:
            return active.stop
        attempt = Attempt(job, self._store, self._journal)
        active.work = asyncio.create_task(attempt.run(self._plan_job, self._run))
        try:
            return await active.work
        except asyncio.CancelledError:
            if active.stop is None:  # not the job is cancelled but the whole program
                raise
            return active.stop
        except Exception as error:  # our fault: it ends one job, not the queue
            log.exception("Job %s broke off.", job.request.id)
            return End("failed", f"The run broke off: {type(error).__name__}: {error}", may_retry=True)

    async def _give_up(self, active: Active, reason: str) -> None:
        """Wait no more for a job that runs: write down how it was to end, or put it back."""
        job_id, end = active.turn.id, active.stop or End("pending", reason)
        written = await self._write_end(job_id, end)
        if active.left.is_set():  # it came back meanwhile
            return
        self._leave(active)
        log.error("Job %s did not come back; what it is at ends with the process.", job_id)
        if written is not None and end.state == "pending":
            await self._tell(job_id, JobRequeued(job_id, end.reason))
        elif written is not None:
            await self._announce_end(written)

    async def _write_end(self, job_id: str, end: End) -> Job | None:
        """The job as it is on disk then; None if it is gone, or the scheduler closes before the store can write."""
        while True:
            try:
                if end.state == "pending":
                    written = self._store.requeue(job_id, end.reason)
                else:
                    written = self._store.finish(job_id, end.state, end.reason, end.problems)
                return await answer(written)
            except StoreError as error:
                self._let_store_rest()
                log.error("The end of job %s (%s) cannot be written down: %s", job_id, end.state, error)
                if self.closing or not await self._may_be(job_id, "running"):
                    return None
                await self._store_may_work.wait()

    async def _may_be(self, job_id: str, state: JobState) -> bool:
        """Whether a job is in that state, as far as the store can say."""
        try:
            job = await asyncio.to_thread(self._store.get, job_id)
        except StoreError:
            return True
        return job is not None and job.state == state

    def _leave(self, active: Active) -> None:
        del self._active[active.turn.id]
        self._waiting.ended(active.turn.id)
        active.left.set()

    @staticmethod
    def _stop(active: Active, end: End) -> None:
        active.stop = active.stop or end
        if active.work is not None:
            active.work.cancel()

    # -- helpers

    def _is_full(self) -> bool:
        return self._waiting_most is not None and len(self._waiting) + self._let_in_now >= self._waiting_most

    @contextmanager
    def _let_in(self, known: bool = False) -> Iterator[None]:
        """Keep room in the queue for one more, if it is not `known` to be there already. Raises QueueFull."""
        if self._waiting_most is not None and self._is_full() and not known:
            raise QueueFull(self._waiting_most)
        self._let_in_now += 1
        try:
            yield
        finally:
            self._let_in_now -= 1

    def _turn(self, job: Job, models: frozenset[str] | None = None) -> Turn:
        request = job.request
        models = self._models(request) if models is None else models
        # Should the process die again, it is known which job it was: a bad one takes no good ones with it.
        alone = job.deaths > 0
        return Turn(request.id, request.client, request.priority, job.front, job.number, job.accepted, models, alone)

    async def _tell(self, job_id: str, event: JobEvent) -> None:
        if not self._journal.holds(job_id):
            try:
                await asyncio.to_thread(self._journal.resume, job_id)
            except StoreError as error:
                log.error("The earlier events of job %s cannot be read: %s", job_id, error)
        self._journal.put(job_id, event)

    async def _announce_end(self, job: Job) -> None:
        job_id = job.request.id
        await self._tell(job_id, JobFinished(job_id, job.state, job.reason, tuple(job.problems)))
        self._tell_waiters(job_id, job)

    def _tell_waiters(self, job_id: str, end: Job | Exception) -> None:
        for waiter in self._waiters.pop(job_id, ()):
            if waiter.done():
                continue
            if isinstance(end, Exception):
                waiter.set_exception(end)
            else:
                waiter.set_result(end)

    def _let_store_rest(self) -> None:
        if self._resting is None and not self.closing:
            self._store_may_work.clear()
            self._resting = asyncio.get_running_loop().call_later(self._again_s, self._ask_store_again)

    def _ask_store_again(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._store_may_work.set()
        self._begin_jobs()

    async def _surely(self, work: Coroutine[Any, Any, T], *, enters: str | None = None) -> T:
        """Do it to its end, even if the one who waits for it goes away. `enters`: the job that joins the queue."""
        task = asyncio.create_task(work)
        self._asked.add(task)
        if enters is not None:
            self._entering[enters] = task

        def done(task: asyncio.Task[T]) -> None:
            self._asked.discard(task)
            if enters is not None and self._entering.get(enters) is task:
                del self._entering[enters]

        task.add_done_callback(done)
        return await asyncio.shield(task)
