"""Store: the queue and its history, in one SQLite file that survives the death of the process.

Writes go to one thread and give futures (`await asyncio.wrap_future(store.add(request))`); reads wait for the disk, a
millisecond or so, and belong in a thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graph.jobs import OVER, Job, JobOutput, JobRequest, JobState
from graph.saving import Ledger
from graph.store import jobs, lists
from graph.store.jobs import JobConflict
from graph.store.names import NamesOfTask
from graph.store.schema import Lock, StoreError, column, connect, open_file, sentence
from graph.store.writer import MORE, More, Writer

__all__ = ["JobConflict", "Page", "Store", "StoreError", "StoreLimits"]

STEP = 50  # jobs that are dropped in one transaction: a few milliseconds, so that nobody waits long for the writer

Jobs = list[Job]
Events = list[tuple[int, str]]  # (sequence number, JSON)


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much history is kept. What waits or runs is never dropped."""

    finished: int = 100_000  # jobs that are over, the last to end
    age_s: float = float("inf")  # since they ended
    deaths: int = 2  # a job that ran when the process died, so often, fails and does not begin again
    busy_s: float = 5.0  # how long to wait for another program that keeps the file locked


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list of jobs. Pass `after` on to get what follows; None at the end."""

    jobs: tuple[Job, ...]
    after: int | None


class Store:
    """Jobs by id. Safe to share between threads; one process at a time."""

    def __init__(
        self,
        file: Path,
        *,
        limits: StoreLimits = StoreLimits(),
        durable: Literal["process", "power"] = "process",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens the file or begins a new one. Raises StoreError if another process has it, or it is not ours.

        durable: what is accepted survives the death of the process, or a cut of the power too, which costs a wait for
        the disk at every commit. `notices` says what people should know of the file that was found.
        """
        self.file = file.absolute()
        self.limits = limits
        self._clock = clock
        self._idle: list[sqlite3.Connection] = []  # connections that nobody reads with just now
        self._closed = False
        self._dropping = False  # known to the writer's thread alone
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.file)
        except OSError as error:
            raise StoreError(sentence(error, self.file)) from error
        try:
            db, notice = open_file(self.file, limits.busy_s, "FULL" if durable == "power" else "NORMAL")
        except BaseException:
            self._lock.release()
            raise
        self.notices: tuple[str, ...] = (notice,) if notice else ()
        self._writer = Writer(db, self.file)
        self._writer.put(self._look_at_limits)

    def close(self) -> None:
        """Finish what was asked for, and let go of the file. What is asked for later fails."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        while self._idle:
            self._idle.pop().close()
        self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- the way of a job

    def add(self, request: JobRequest) -> Future[Job]:
        """A job that waits, or the one that is there already, of this id with an equal request; else JobConflict."""
        return self._writer.put(lambda db: jobs.add(db, request, self._clock()))

    def start(self, job_id: str) -> Future[Job]:
        """A pending job runs."""
        return self._writer.put(lambda db: jobs.start(db, job_id, self._clock()))

    def finish_task(self, job_id: str, output: JobOutput) -> Future[None]:
        """Record the output of a node of a running job. What was recorded before stays; its file names are settled."""
        return self._writer.put(lambda db: jobs.finish_task(db, job_id, output))

    def finish(
        self,
        job_id: str,
        state: Literal["succeeded", "failed", "cancelled"],
        reason: str = "",
        problems: Sequence[Mapping[str, Any]] = (),
    ) -> Future[Job]:
        """A running job is over; a pending one can be cancelled, or fail."""

        def write(db: sqlite3.Connection) -> Job:
            job = jobs.finish(db, job_id, state, reason, problems, self._clock())
            self._look_at_limits(db)
            return job

        return self._writer.put(write)

    def requeue(self, job_id: str, reason: str) -> Future[Job]:
        """A running job waits again, at its old place. It keeps what it recorded, and its attempts."""
        return self._writer.put(lambda db: jobs.requeue(db, job_id, reason))

    def retry(self, job_id: str) -> Future[Job]:
        """A job that is over waits again, behind the others, with fresh attempts. It keeps what it recorded."""
        return self._writer.put(lambda db: jobs.retry(db, job_id))

    def recover(self) -> tuple[list[Job], list[Job]]:
        """For the start of a server: jobs that ran when the last one died, as (requeued, failed)."""
        return self._writer.put(lambda db: jobs.recover(db, self.limits.deaths, self._clock())).result()

    def change(
        self, job_id: str, *, priority: int | None = None, front: bool = False, before: str | None = None
    ) -> Future[Job]:
        """Move a pending job: to another priority, before all of its priority, or directly before another pending job.

        `before` brings the other's priority along.
        """
        return self._writer.put(lambda db: jobs.change(db, job_id, priority, front, before))

    # -- history

    def delete(self, job_ids: Sequence[str]) -> Future[int]:
        """Forget jobs that are over, all or (StoreError) none; ids of no job do not matter. Gives how many it were."""

        def write(db: sqlite3.Connection) -> int:
            known = [each for each in dict.fromkeys(job_ids) if jobs.exists(db, each)]
            jobs.drop(db, [jobs.seq_of(db, each, OVER, "deleted") for each in known])
            return len(known)

        return self._writer.put(write)

    def clear_history(self, of: Callable[[str], bool] = lambda client: True) -> Future[int]:
        """Forget jobs that are over now, those of clients to whom `of` says yes, some at a time; gives how many."""
        found: list[int] | None = None
        gone = 0  # of these, known to be

        def write(db: sqlite3.Connection) -> int | More:
            nonlocal found, gone
            if found is None:
                rows = db.execute("SELECT seq, client FROM jobs WHERE ended IS NOT NULL ORDER BY ended").fetchall()
                found = [seq for seq, client in rows if of(client)]
            while some := found[gone : gone + STEP]:
                query = f"SELECT seq FROM jobs WHERE ended IS NOT NULL AND seq IN ({', '.join('?' * len(some))})"
                if there := column(db.execute(query, some)):
                    jobs.drop(db, there)
                    return MORE  # they count as gone when they are seen to be: this commit may fail
                gone += STEP
            return len(found)

        return self._writer.put(write)

    def _look_at_limits(self, db: sqlite3.Connection) -> None:
        """Begin to drop jobs, some at a time, if there are more than may be."""

        def over(_: Future[None]) -> None:
            self._dropping = False

        if not self._dropping and self._beyond(db):
            self._dropping = True
            self._writer.put(self._drop).add_done_callback(over)

    def _drop(self, db: sqlite3.Connection) -> More | None:
        numbers = self._beyond(db)
        jobs.drop(db, numbers)
        return MORE if numbers else None

    def _beyond(self, db: sqlite3.Connection) -> list[int]:
        return lists.beyond(db, self.limits.finished, self._clock() - self.limits.age_s, STEP)

    # -- reading

    def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        with self._reading() as db:
            found = jobs.read(db, column(db.execute("SELECT seq FROM jobs WHERE id = ?", (job_id,))))
            return found[0] if found else None

    def pending(self) -> Jobs:
        """What waits, in the order it should run."""
        with self._reading() as db:
            query = "SELECT seq FROM jobs WHERE state = 'pending' ORDER BY priority DESC, front DESC, place, seq"
            return jobs.read(db, column(db.execute(query)))

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        with self._reading() as db:
            return dict(db.execute("SELECT state, jobs FROM totals"))

    def list(
        self,
        *,
        states: Sequence[JobState] | None = None,
        client: str | None = None,
        newest_first: bool = True,
        by: Literal["accepted", "ended"] = "accepted",
        limit: int = 100,
        after: int | None = None,
        offset: int = 0,
    ) -> Page:
        """Jobs in these states (None: any), of this client, in the order they were accepted, or ended (only such then).

        `after` is that of the page before. Jobs that come or go meanwhile shift nothing between pages, but do so for
        those who skip the first `offset` instead.
        """
        with self._reading() as db:
            return self._page(db, lists.listed(db, states, client, newest_first, by, limit, after, offset), limit)

    def search(
        self,
        text: str,
        *,
        states: Sequence[JobState] | None = None,
        client: str | None = None,
        newest_first: bool = True,
        limit: int = 100,
        after: int | None = None,
        offset: int = 0,
    ) -> Page:
        """Jobs as from list(), in whose prompts every one of these words begins a word; without words, any job.

        Found are ids, classes and titles of nodes, and the texts and numbers of their inputs.
        """
        if not text.strip():
            return self.list(
                states=states, client=client, newest_first=newest_first, limit=limit, after=after, offset=offset
            )
        with self._reading() as db:
            found = lists.searched(db, text, states, client, newest_first, limit, after, offset)
            return self._page(db, found, limit)

    def count(self, *, states: Sequence[JobState] | None = None, client: str | None = None, text: str = "") -> int:
        """How many jobs list() has in all, or search() with a text."""
        with self._reading() as db:
            return lists.count(db, text, states, client)

    def _page(self, db: sqlite3.Connection, found: lists.Found, limit: int) -> Page:
        read = jobs.read(db, [seq for _, seq in found])
        return Page(tuple(read), found[-1][0] if found and len(found) == limit else None)

    # -- what hangs on a job

    def ledger(self, job_id: str, node_id: str) -> Ledger:
        """The names that a task claims in this attempt. Its calls wait for the disk: they are made where files are."""
        return NamesOfTask(self._writer.put, self._reading, job_id, node_id)

    def add_events(self, job_id: str, rows: Sequence[tuple[int, str, str]]) -> Future[None]:
        """Keep events of a job, as (number, kind, JSON). What is there stays; a job that is gone needs none."""

        def write(db: sqlite3.Connection) -> None:
            for seq in column(db.execute("SELECT seq FROM jobs WHERE id = ?", (job_id,))):
                insert = "INSERT OR IGNORE INTO events (seq, number, kind, body) VALUES (?, ?, ?, ?)"
                db.executemany(insert, [(seq, *row) for row in rows])

        return self._writer.put(write)

    def events(self, job_id: str, after: int = 0, limit: int = -1) -> Events:
        """The events of a job whose number is greater, in order; of these the first `limit`, or all."""
        with self._reading() as db:
            query = (
                "SELECT number, body FROM events JOIN jobs USING (seq) WHERE id = ? AND number > ? "
                "ORDER BY number LIMIT ?"
            )
            return db.execute(query, (job_id, after, limit)).fetchall()

    def milestones(self, job_ids: Sequence[str], kinds: Sequence[str]) -> Mapping[str, Events]:
        """The events of these kinds of each of these jobs, in order; a job of which there are none is left out."""
        with self._reading() as db:
            return lists.milestones(db, job_ids, kinds)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one moment of the store."""
        if self._closed:
            raise StoreError(f"The queue {self.file} is closed; nothing can be read from it.")
        try:
            try:
                db = self._idle.pop()
            except IndexError:
                db = connect(self.file, self.limits.busy_s)
                db.execute("PRAGMA query_only = ON")
            try:
                db.execute("BEGIN")
                yield db
                db.execute("ROLLBACK")
            except BaseException:
                db.close()
                raise
            self._idle.append(db)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise StoreError(sentence(error, self.file)) from error
