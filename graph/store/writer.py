"""The one thread that writes to the store: what waits together is committed together."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from graph.store.schema import StoreError, sentence

T = TypeVar("T")

GROUP = 256  # writes of one commit, at most


class More(Enum):
    """Given by a write that is not done: it is called again after the writes that came meanwhile."""

    MORE = 0


MORE = More.MORE


@dataclass(frozen=True, slots=True)
class _Work:
    do: Callable[[sqlite3.Connection], Any]
    future: Future[Any]


class Writer:
    """Takes writes from any thread. Each succeeds or fails by itself, though many share a commit."""

    def __init__(self, db: sqlite3.Connection, file: Path) -> None:
        self._db = db
        self._file = file
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="job store", daemon=True)
        self._thread.start()

    def put(self, do: Callable[[sqlite3.Connection], T | More]) -> Future[T]:
        """Do this within a transaction. The future is done once it is on disk, or with a StoreError and no trace.

        `do` may be called twice, when a commit fails: it changes nothing but the database.
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                future.set_exception(self._is_closed())
            else:
                self._work.put(_Work(do, future))
        return future

    def close(self) -> None:
        """Do what waits, then end. Work in several steps ends before its next one."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._work.put(None)
        self._thread.join()

    def _loop(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._group()
            self._commit(group)
        while not self._work.empty():
            if work := self._work.get():
                work.future.set_exception(self._is_closed())
        self._db.close()

    def _group(self) -> tuple[list[_Work], bool]:
        """What waits, at least one, and whether there may be more to come."""
        group: list[_Work] = []
        while len(group) < GROUP and not (group and self._work.empty()):
            work = self._work.get()
            if work is None:
                return group, False
            if work.future.running() or work.future.set_running_or_notify_cancel():
                group.append(work)
        return group, True

    def _commit(self, group: list[_Work]) -> None:
        outcomes: list[Any] = []
        try:
            if self._db.in_transaction:  # the last one could not even be undone
                self._db.execute("ROLLBACK")
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:  # somebody else holds it: nobody here can write
            outcomes = [self._error(error)] * len(group)
        else:
            try:
                outcomes = [self._one(work) for work in group]
                self._db.execute("COMMIT")
            except sqlite3.Error as error:  # such as a full disk: the transaction is lost
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                if len(group) > 1:  # but perhaps for one of them alone
                    for work in group:
                        self._commit([work])
                    return
                outcomes = [self._error(error)]
        for work, outcome in zip(group, outcomes, strict=True):
            if outcome is MORE:
                self._work.put(work)
            elif isinstance(outcome, Exception):
                work.future.set_exception(outcome)
            else:
                work.future.set_result(outcome)

    def _one(self, work: _Work) -> Any:
        """The result of one write, or its error, with its changes undone."""
        self._db.execute("SAVEPOINT one")
        try:
            outcome = work.do(self._db)
        except sqlite3.Error:
            raise
        except Exception as error:
            self._db.execute("ROLLBACK TO one")
            outcome = error if isinstance(error, StoreError) else self._error(error)
        self._db.execute("RELEASE one")
        return outcome

    def _error(self, error: Exception) -> StoreError:
        refused = StoreError(sentence(error, self._file))
        refused.__cause__ = error
        return refused

    def _is_closed(self) -> StoreError:
        return StoreError(f"The queue {self._file} is closed; this came too late to be stored.")
