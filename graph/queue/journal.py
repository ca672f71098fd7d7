"""Journal: numbers the events of each job, hands them to whoever listens, and keeps what a client may have missed."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from graph.events import Event, NodeFailed, NodeFinished, NodeProgress, RunFinished
from graph.queue.events import JobDeleted, JobEvent, JobFinished, from_json, to_json

LINGER_S = 0.05  # so long events are gathered before they are written, in one transaction
LEAP = 10**9  # after a restart, numbers go on at its next multiple
LAST = 2**53 - 1  # the number of JobDeleted, after which nothing comes; clients in JavaScript can count so far
PROGRESS_BEHIND = 256  # a listener that is so many events behind gets no progress,
EVENTS_BEHIND = 100_000  # and so many behind none at all, until it has caught up

log = logging.getLogger(__name__)


class Numbered(NamedTuple):
    """An event, its place among those of its job, counted from 1, and its time in seconds since 1970."""

    job_id: str
    sequence: int
    event: Event | JobEvent
    at_s: float


class EventStore(Protocol):
    """Where the journal keeps events: (sequence, JSON) by job."""

    def add_events(self, job_id: str, events: Sequence[tuple[int, str, str]]) -> Future[None]:
        """Keep these, as (sequence, kind, JSON); the future is done when they are on disk."""

    def milestones(self, job_ids: Sequence[str], kinds: Sequence[str]) -> Mapping[str, Sequence[tuple[int, str]]]:
        """Those of certain kinds, by job, in order."""

    def events(self, job_id: str, after: int, limit: int = -1) -> Iterable[tuple[int, str]]:
        """Those with higher numbers, in order; of these the first `limit`, or all."""


@dataclass(slots=True)
class _Line:
    """One job's events as far as they are in memory."""

    last: int = 0
    progress: dict[str, Numbered] = field(default_factory=dict)  # by node id, the last of each that runs
    over: bool = False


class Journal:
    """Events of jobs. Those of a job follow each other without a gap as long as the process lives.

    Milestones, that is everything but NodeProgress, are kept in the store, a few hundredths of a second later; what a
    process that was killed had not written yet is lost, and numbers then go on far above any that it can have given.
    Of progress, the last of each running node is kept, in memory.
    """

    def __init__(
        self, store: EventStore, *, linger_s: float = LINGER_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._clock = clock
        self._linger_s = linger_s
        self._lines: dict[str, _Line] = {}
        self._listeners: dict[Callable[[Numbered], object], SimpleQueue[Numbered | None]] = {}
        self._unwritten: list[Numbered] = []
        self._writing: list[Numbered] = []
        self._changed = threading.Condition(threading.Lock())
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    # -- writing

    def holds(self, job_id: str) -> bool:
        """Whether the next number of this job is in memory; if so, it stays there until the job is over again."""
        with self._changed:
            line = self._lines.get(job_id)
            if line is not None:
                line.over = False
            return line is not None

    def resume(self, job_id: str) -> None:
        """Find out where the numbers of a job end that an earlier process began. Reads the store: call in a thread."""
        last = max((sequence for sequence, _ in self._store.events(job_id, 0)), default=0)
        with self._changed:
            self._lines.setdefault(job_id, _Line((last // LEAP + 1) * LEAP - 1))

    def put(self, job_id: str, event: Event | JobEvent) -> None:
        """The next event of a job, from any thread. A job that is not new must have been resumed."""
        with self._changed:
            line = self._lines.get(job_id)
            if line is None:
                line = self._lines[job_id] = _Line()
            line.last = LAST if isinstance(event, JobDeleted) else line.last + 1
            line.over = isinstance(event, JobFinished)
            entry = Numbered(job_id, line.last, event, self._clock())
            is_progress = isinstance(event, NodeProgress)
            if isinstance(event, NodeProgress):
                line.progress[event.node_id] = entry
            elif isinstance(event, JobDeleted):
                del self._lines[job_id]
                self._unwritten = [each for each in self._unwritten if each.job_id != job_id]
            else:
                if isinstance(event, (NodeFinished, NodeFailed)):
                    line.progress.pop(event.node_id, None)
                elif isinstance(event, RunFinished):
                    line.progress.clear()
                self._unwritten.append(entry)
                if len(self._unwritten) == 1:
                    self._changed.notify()
            behind_most = PROGRESS_BEHIND if is_progress else EVENTS_BEHIND
            for queue in self._listeners.values():
                if queue.qsize() < behind_most:
                    queue.put(entry)

    def close(self) -> None:
        """Write what is not written, and end. Listeners still get what was put before."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
            for queue in self._listeners.values():
                queue.put(None)
            self._listeners.clear()
        self._writer.join()

    # -- reading

    def since(self, job_id: str, sequence: int, limit: int | None = None) -> list[Numbered]:
        """What came after that number, in order; of progress the last of each running node. Reads the store.

        With a limit the first so many of it, and what follows is there for those who ask after the last of these.
        """
        with self._changed:  # before the store: what is written meanwhile is found twice rather than not at all
            line = self._lines.get(job_id, _Line())
            recent = [each for each in (*self._writing, *self._unwritten) if each.job_id == job_id]
            recent += line.progress.values()
        found = {each.sequence: each for each in recent if each.sequence > sequence}
        for number, text in self._store.events(job_id, sequence, -1 if limit is None else limit):
            if number not in found and (kept := from_json(text)) is not None:
                found[number] = Numbered(job_id, number, *kept)
        return [found[number] for number in sorted(found)[:limit]]

    def milestones(self, job_ids: Sequence[str], kinds: Sequence[str]) -> dict[str, list[Numbered]]:
        """Events of certain kinds of several jobs, in order, none of progress. Reads the store, but no others."""
        wanted = set(job_ids)
        with self._changed:
            recent = [each for each in (*self._writing, *self._unwritten) if each.job_id in wanted]
        found: dict[str, dict[int, Numbered]] = {job_id: {} for job_id in job_ids}
        for each in recent:
            if type(each.event).__name__ in kinds:
                found[each.job_id][each.sequence] = each
        for job_id, rows in self._store.milestones(job_ids, kinds).items():
            for number, text in rows:
                if number not in found[job_id] and (kept := from_json(text)) is not None:
                    found[job_id][number] = Numbered(job_id, number, *kept)
        return {job_id: [events[number] for number in sorted(events)] for job_id, events in found.items()}

    def subscribe(self, callback: Callable[[Numbered], object]) -> None:
        """Have it called with every event from now on, in a thread of its own, where it may be slow and may raise.

        One that is far behind gets no progress, and very far behind misses events: the numbers tell, since() helps.
        """
        queue: SimpleQueue[Numbered | None] = SimpleQueue()
        with self._changed:
            self._listeners[callback] = queue
        threading.Thread(target=_listen, args=(queue, callback), name="journal listener", daemon=True).start()

    def unsubscribe(self, callback: Callable[[Numbered], object]) -> None:
        """No more calls, after those for events that came before."""
        with self._changed:
            queue = self._listeners.pop(callback, None)
        if queue is not None:
            queue.put(None)

    # -- the writer's thread

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unwritten or self._closing.is_set())
                if not self._unwritten:
                    return
            self._closing.wait(self._linger_s)
            with self._changed:
                self._writing, self._unwritten = self._unwritten, []
            by_job: defaultdict[str, list[tuple[int, str, str]]] = defaultdict(list)
            for job_id, sequence, event, at_s in self._writing:
                try:
                    by_job[job_id].append((sequence, type(event).__name__, to_json(event, at_s)))
                except Exception as error:  # something in a node's ui has no form as text, and may say so in any way
                    log.error("A %s of job %s is not kept: %s", type(event).__name__, job_id, error)
            self._keep(by_job)
            with self._changed:
                self._writing = []
                for job_id, rows in by_job.items():
                    line = self._lines.get(job_id)
                    if line is not None and line.over and rows and line.last == rows[-1][0]:
                        del self._lines[job_id]

    def _keep(self, by_job: dict[str, list[tuple[int, str, str]]]) -> None:
        pending: list[tuple[str, Future[None]]] = []
        for job_id, rows in by_job.items():
            try:
                pending.append((job_id, self._store.add_events(job_id, rows)))
            except Exception as error:  # whatever the store raises, this thread must go on
                log.error("Events of job %s are not kept: %s", job_id, error)
        for job_id, written in pending:
            try:
                written.result()
            except Exception as error:  # the same
                log.error("Events of job %s are not kept: %s", job_id, error)


def _listen(queue: SimpleQueue[Numbered | None], callback: Callable[[Numbered], object]) -> None:
    while (entry := queue.get()) is not None:
        try:
            callback(entry)
        except Exception:  # one listener's fault is none of the others', nor the end of this one
            log.exception("A listener to the events of jobs failed.")
