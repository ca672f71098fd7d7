"""Which jobs a question finds: rows of the store's tables, in order; and those that its limits leave no room for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal

from graph.jobs import OVER, JobState
from graph.store import search
from graph.store.schema import STATES, column

AT_ONCE = 500  # jobs that one statement asks for by id

Found = list[tuple[int, int]]  # (place in the list, row)


def listed(
    db: sqlite3.Connection,
    states: Sequence[JobState] | None,
    client: str | None,
    newest_first: bool,
    by: Literal["accepted", "ended"],
    limit: int,
    after: int | None,
    offset: int,
) -> Found:
    """See Store.list(). State by state, each by its index: a few failed jobs among 100,000 are found as fast as any."""
    key, every = ("seq", STATES) if by == "accepted" else ("ended", OVER)
    way, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    conditions = [f"{key} IS NOT NULL"]
    values: list[str | int] = []
    if client is not None:
        conditions.append("client = ?")
        values.append(client)
    if after is not None:
        conditions.append(f"{key} {beyond} ?")
        values.append(after)
    parts: list[tuple[Any, ...]] = [(*values, state) for state in every if states is None or state in states]
    if client is None and len(parts) == len(every):  # one index has them all
        parts = [tuple(values)]
    else:
        conditions.append("state = ?")
    if not parts:
        return []
    query = " UNION ALL ".join([f"SELECT {key}, seq FROM jobs WHERE {' AND '.join(conditions)}"] * len(parts))
    return db.execute(f"{query} ORDER BY 1 {way} LIMIT ? OFFSET ?", (*chain(*parts), limit, offset)).fetchall()


def searched(db: sqlite3.Connection, text: str, limit: int, after: int | None) -> Found:
    """See Store.search()."""
    query = search.query(text)
    if query is None:
        return []
    select = "SELECT rowid, rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
    return db.execute(select, (query, 2**62 if after is None else after, limit)).fetchall()


def milestones(
    db: sqlite3.Connection, job_ids: Sequence[str], kinds: Sequence[str]
) -> dict[str, list[tuple[int, str]]]:
    """See Store.milestones(). An index has the kinds, so that no other body is read."""
    found: dict[str, list[tuple[int, str]]] = {}
    among = ", ".join("?" * len(kinds))
    for start in range(0, len(job_ids), AT_ONCE):
        some = job_ids[start : start + AT_ONCE]
        query = (
            "SELECT id, number, body FROM jobs CROSS JOIN events USING (seq) "
            f"WHERE id IN ({', '.join('?' * len(some))}) AND kind IN ({among}) ORDER BY seq, number"
        )
        for job_id, number, body in db.execute(query, (*some, *kinds)):
            found.setdefault(job_id, []).append((number, body))
    return found


def beyond(db: sqlite3.Connection, finished: int, oldest_s: float, limit: int) -> list[int]:
    """Some jobs that are over and too many, by the order in which they ended, or that ended before `oldest_s`."""
    over = sum(jobs for state, jobs in db.execute("SELECT state, jobs FROM totals") if state in OVER)
    query = "SELECT seq FROM jobs WHERE ended IS NOT NULL ORDER BY ended LIMIT ?"
    found = column(db.execute(query, (max(0, min(limit, over - finished)),)))
    query = "SELECT seq FROM jobs WHERE ended IS NOT NULL AND ended_s < ? ORDER BY ended_s LIMIT ?"
    return found or column(db.execute(query, (oldest_s, limit)))
