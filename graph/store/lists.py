"""Which jobs a question finds: rows of the store's tables, in order; and those that its limits leave no room for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

from graph.jobs import OVER, JobState
from graph.store import search
from graph.store.schema import STATES

Found = list[tuple[int, int]]  # (place in the list, row)


def column(rows: sqlite3.Cursor) -> list[int]:
    """The only value of each row."""
    return [row[0] for row in rows]


def listed(
    db: sqlite3.Connection,
    states: Sequence[JobState] | None,
    client: str | None,
    newest_first: bool,
    by: Literal["accepted", "ended"],
    limit: int,
    after: int | None,
) -> Found:
    """See Store.list(). State by state, each by its index: a few failed jobs among 100,000 are found as fast as any."""
    key = "seq" if by == "accepted" else "ended"
    way, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    found: Found = []
    for state in STATES if states is None else dict.fromkeys(states):
        where = ["state = ?", f"{key} IS NOT NULL"]
        values: list[Any] = [state]
        if client is not None:
            where.append("client = ?")
            values.append(client)
        if after is not None:
            where.append(f"{key} {beyond} ?")
            values.append(after)
        query = f"SELECT {key}, seq FROM jobs WHERE {' AND '.join(where)} ORDER BY {key} {way} LIMIT ?"
        found += db.execute(query, (*values, limit))
    return sorted(found, reverse=newest_first)[:limit]


def searched(db: sqlite3.Connection, text: str, limit: int, after: int | None) -> Found:
    """See Store.search()."""
    query = search.query(text)
    if query is None:
        return []
    select = "SELECT rowid, rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
    return db.execute(select, (query, 2**62 if after is None else after, limit)).fetchall()


def beyond(db: sqlite3.Connection, finished: int, oldest_s: float, limit: int) -> list[int]:
    """Some jobs that are over and too many, by the order in which they ended, or that ended before `oldest_s`."""
    over = sum(jobs for state, jobs in db.execute("SELECT state, jobs FROM totals") if state in OVER)
    query = "SELECT seq FROM jobs WHERE ended IS NOT NULL ORDER BY ended LIMIT ?"
    found = column(db.execute(query, (max(0, min(limit, over - finished)),)))
    query = "SELECT seq FROM jobs WHERE ended IS NOT NULL AND ended_s < ? ORDER BY ended_s LIMIT ?"
    return found or column(db.execute(query, (oldest_s, limit)))
