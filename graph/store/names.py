"""Which file names a task of a job has claimed: kept in the store, so that the task reuses them after a crash."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from graph.saving import Reservation, abandon
from graph.store.schema import StoreError

Write = Callable[[Callable[[sqlite3.Connection], None]], "Future[None]"]
Read = Callable[[], AbstractContextManager[sqlite3.Connection]]


def abandon_all(db: sqlite3.Connection, seq: int) -> None:
    """Remove the empty files that a dead process left of a job which will not begin again by itself."""
    for row in db.execute("SELECT path, proof, marks FROM names WHERE seq = ?", (seq,)):
        with suppress(OSError):  # what cannot be removed harms nothing
            abandon(_reservation(row))


def _reservation(row: tuple[bytes, bytes, str]) -> Reservation:
    return Reservation(Path(os.fsdecode(row[0])), Path(os.fsdecode(row[1])), tuple(json.loads(row[2])))


class NamesOfTask:
    """The Ledger of one attempt at one task, as graph.saving.Series asks for it. Its calls wait for the disk."""

    def __init__(self, write: Write, read: Read, job_id: str, node_id: str) -> None:
        self._write = write
        self._read = read
        self._job_id = job_id
        self._node_id = node_id
        self._position = -1  # of the claim that is being made, counted from the task's first

    def earlier(self) -> Reservation | None:
        """See graph.saving.Ledger."""
        self._position += 1
        with self._read() as db:
            row = db.execute(
                "SELECT path, proof, marks FROM names JOIN jobs USING (seq) "
                "WHERE id = ? AND node_id = ? AND position = ?",
                (self._job_id, self._node_id, self._position),
            ).fetchone()
        return _reservation(row) if row else None

    def keep(self, reservation: Reservation) -> None:
        """See graph.saving.Ledger."""
        position = self._position  # of now, not of when the writer comes to it
        row = (
            self._node_id,
            position,
            os.fsencode(reservation.path),
            os.fsencode(reservation.proof),
            json.dumps(reservation.marks),
        )

        def write(db: sqlite3.Connection) -> None:
            found: tuple[Any, ...] | None = db.execute("SELECT seq FROM jobs WHERE id = ?", (self._job_id,)).fetchone()
            if found is None:
                raise StoreError(f"There is no job {self._job_id!r}; it can claim no names for files.")
            db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?)", (*found, *row))

        self._write(write).result()
