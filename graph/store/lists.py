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


def searched(
    db: sqlite3.Connection,
    text: str,
    states: Sequence[JobState] | None,
    client: str | None,
    newest_first: bool,
    limit: int,
    after: int | None,
    offset: int,
) -> Found:
    """See Store.search()."""
    query = search.query(text)
    if query is None:
        return []
    way, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    tables, values = _matching(query, states, client)
    if after is not None:
        tables += f" AND words.rowid {beyond} ?"
        values.append(after)
    select = f"SELECT words.rowid, words.rowid FROM {tables} ORDER BY words.rowid {way} LIMIT ? OFFSET ?"
    return db.execute(select, (*values, limit, offset)).fetchall()


def count(db: sqlite3.Connection, text: str, states: Sequence[JobState] | None, client: str | None) -> int:
    """See Store.count()."""
    if text.strip():
        query = search.query(text)
        if query is None:
            return 0
        tables, values = _matching(query, states, client)
        return int(db.execute(f"SELECT count(*) FROM {tables}", values).fetchone()[0])
    wanted = [state for state in STATES if states is None or state in states]
    among = f"WHERE state IN ({', '.join('?' * len(wanted))})"
    if client is None:
        return int(db.execute(f"SELECT coalesce(sum(jobs), 0) FROM totals {among}", wanted).fetchone()[0])
    return int(db.execute(f"SELECT count(*) FROM jobs {among} AND client = ?", (*wanted, client)).fetchone()[0])


def _matching(query: str, states: Sequence[JobState] | None, client: str | None) -> tuple[str, list[str | int]]:
    """Tables and conditions of a search, and the values in them. Jobs are looked at only if a condition asks."""
    conditions = ["words MATCH ?"]
    values: list[str | int] = [query]
    if states is not None:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
        values += states
    if client is not None:
        conditions.append("client = ?")
        values.append(client)
    tables = "words" if len(conditions) == 1 else "words CROSS JOIN jobs ON jobs.seq = words.rowid"
    return f"{tables} WHERE {' AND '.join(conditions)}", values


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
