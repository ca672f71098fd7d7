"""The steps a job takes in the store's tables, and jobs read back from them; all within a transaction of the caller."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from graph.jobs import OVER, Job, JobOutput, JobRequest, JobState
from graph.store import names, search
from graph.store.private import without_credentials
from graph.store.schema import StoreError, column
from graph.store.text import Packed, pack, to_json, unpack

COLUMNS = (
    "seq, id, client, priority, prompt, extra_pnginfo, asked, extra, "  # of the request
    "state, place, created_s, started_s, ended_s, attempts, reason, problems, deaths, front"  # of the job
)
PLACE_MOST = 2**53  # beyond, not every number has a float of its own
AT_ONCE = 500  # rows that one statement asks for by number

Row = tuple[Any, ...]


class JobConflict(StoreError):
    """Another job has this id already."""


def read(db: sqlite3.Connection, numbers: Sequence[int]) -> list[Job]:
    """The jobs of these rows, in this order, with their outputs."""
    jobs: list[Job] = []
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        among = f"WHERE seq IN ({', '.join('?' * len(some))})"
        outputs: dict[int, list[JobOutput]] = {}
        for seq, node_id, display_id, ui, files in db.execute(
            f"SELECT seq, node_id, display_id, ui, files FROM outputs {among} ORDER BY rowid", some
        ):
            output = JobOutput(node_id, display_id, json.loads(ui), tuple(json.loads(files)))
            outputs.setdefault(seq, []).append(output)
        rows = {
            row[0]: row for row in db.execute(f"SELECT {COLUMNS} FROM jobs JOIN requests USING (seq) {among}", some)
        }
        jobs += [_job(rows[seq], tuple(outputs.get(seq, ()))) for seq in some]
    return jobs


def one(db: sqlite3.Connection, seq: int) -> Job:
    """The job of that row."""
    return read(db, [seq])[0]


def exists(db: sqlite3.Connection, job_id: str) -> bool:
    """Whether there is a job of that id."""
    return db.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchone() is not None


def seq_of(db: sqlite3.Connection, job_id: str, states: Sequence[JobState], what: str) -> int:
    """The row of a job that is in one of these states, where alone `what` is possible; else a StoreError says so."""
    row = db.execute("SELECT seq, state FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise StoreError(f"There is no job {job_id!r}; it cannot be {what}.")
    if row[1] not in states:
        raise StoreError(f"Job {job_id!r} is {row[1]}; only one that is {' or '.join(states)} can be {what}.")
    return int(row[0])


def add(db: sqlite3.Connection, request: JobRequest, now_s: float) -> Job:
    """A new pending job; or the one that is there already, if its request was equal."""
    request = without_credentials(request)
    place = _exact(request.place)
    said = {"targets": request.targets, "client": request.client, "priority": request.priority, "front": request.front}
    asked = to_json(said if place is None else said | {"place": place})
    if row := db.execute(
        "SELECT seq, prompt, extra_pnginfo, extra, asked FROM jobs JOIN requests USING (seq) WHERE id = ?",
        (request.id,),
    ).fetchone():
        stored = [*(_canonical(unpack(each)) for each in row[1:4]), row[4]]
        if stored != [*map(_canonical, (request.prompt, request.extra_pnginfo, request.extra)), asked]:
            raise JobConflict(f"There is another job with the id {request.id!r}; give this one an id of its own.")
        return one(db, row[0])
    front = request.front or (place is not None and place < 0)
    if place is None:
        place = _front(db, request.priority) if front else _back(db)
    cursor = db.execute(
        "INSERT INTO jobs (id, state, priority, place, client, created_s, front) VALUES (?, 'pending', ?, ?, ?, ?, ?)",
        (request.id, request.priority, place, request.client, now_s, front),
    )
    seq = cursor.lastrowid
    assert seq is not None
    packed = [pack(each) for each in (request.prompt, request.extra_pnginfo, request.extra)]
    db.execute(
        "INSERT INTO requests (seq, prompt, extra_pnginfo, extra, asked) VALUES (?, ?, ?, ?, ?)", (seq, *packed, asked)
    )
    search.index(db, seq, request.id, request.prompt)
    return one(db, seq)


def start(db: sqlite3.Connection, job_id: str, now_s: float) -> Job:
    """pending → running, one attempt more."""
    seq = seq_of(db, job_id, ("pending",), "started")
    db.execute(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_s = ?, reason = '' WHERE seq = ?",
        (now_s, seq),
    )
    return one(db, seq)


def finish_task(db: sqlite3.Connection, job_id: str, output: JobOutput) -> None:
    """Record what a node showed, if that was not done before, and that its names are no longer merely reserved."""
    seq = seq_of(db, job_id, ("running",), "given outputs")
    db.execute(
        "INSERT OR IGNORE INTO outputs (seq, node_id, display_id, ui, files) VALUES (?, ?, ?, ?, ?)",
        (seq, output.node_id, output.display_id, to_json(output.ui), to_json(output.files)),
    )
    db.execute("DELETE FROM names WHERE seq = ? AND node_id = ?", (seq, output.node_id))


def finish(
    db: sqlite3.Connection,
    job_id: str,
    state: Literal["succeeded", "failed", "cancelled"],
    reason: str,
    problems: Sequence[Mapping[str, Any]],
    now_s: float,
) -> Job:
    """To its end; a pending job can only be cancelled, or fail."""
    if state not in OVER:
        raise StoreError(f"A job cannot end as {state!r}; it can end as {', '.join(OVER)}.")
    seq = seq_of(db, job_id, ("running",) if state == "succeeded" else ("pending", "running"), f"ended as {state}")
    if db.execute("SELECT state FROM jobs WHERE seq = ?", (seq,)).fetchone() == ("pending",):
        names.abandon_all(db, seq)  # nobody is at work on it: what it has claimed is of an attempt that died
    db.execute(
        "UPDATE jobs SET state = ?, reason = ?, problems = ?, ended_s = ?, "
        "ended = (SELECT coalesce(max(ended), 0) + 1 FROM jobs WHERE ended IS NOT NULL) WHERE seq = ?",
        (state, search.clean(reason), to_json(problems), now_s, seq),
    )
    if state == "succeeded":  # else a retry goes on with the same names
        db.execute("DELETE FROM names WHERE seq = ?", (seq,))
    return one(db, seq)


def requeue(db: sqlite3.Connection, job_id: str, reason: str) -> Job:
    """running → pending, at its old place, with all that it recorded."""
    seq = seq_of(db, job_id, ("running",), "put back")
    db.execute("UPDATE jobs SET state = 'pending', reason = ? WHERE seq = ?", (search.clean(reason), seq))
    return one(db, seq)


def retry(db: sqlite3.Connection, job_id: str) -> Job:
    """Pending again, behind those that wait, as if it had never begun; but what it recorded stays recorded."""
    seq = seq_of(db, job_id, OVER, "tried again")
    db.execute(
        "UPDATE jobs SET state = 'pending', place = ?, front = 0, started_s = NULL, ended_s = NULL, ended = NULL, "
        "attempts = 0, deaths = 0, reason = '', problems = '[]' WHERE seq = ?",
        (_back(db), seq),
    )
    return one(db, seq)


def recover(db: sqlite3.Connection, deaths: int, now_s: float) -> tuple[list[Job], list[Job]]:
    """What a process left running when it died: put back, or failed when that happened to it so often."""
    requeued, failed = [], []
    for seq, job_id, before in db.execute(
        "SELECT seq, id, deaths FROM jobs WHERE state = 'running' ORDER BY seq"
    ).fetchall():
        db.execute("UPDATE jobs SET deaths = deaths + 1 WHERE seq = ?", (seq,))
        if before + 1 < deaths:
            requeued.append(requeue(db, job_id, "The server stopped while this job ran; it begins again."))
        else:
            reason = (
                f"The server died {before + 1} times while this job ran, perhaps because of it; "
                "it does not begin again by itself. Retry it once you know why."
            )
            failed.append(finish(db, job_id, "failed", reason, (), now_s))
            names.abandon_all(db, seq)
    return requeued, failed


def change(db: sqlite3.Connection, job_id: str, priority: int | None, front: bool, before: str | None) -> Job:
    """Another place among the pending."""
    seq = seq_of(db, job_id, ("pending",), "moved")
    if before is not None:
        place, priority, front = _place_before(db, seq, seq_of(db, before, ("pending",), "moved in front of"))
    else:
        place, old, was = db.execute("SELECT place, priority, front FROM jobs WHERE seq = ?", (seq,)).fetchone()
        priority = old if priority is None else priority
        place = _front(db, priority) if front else place
        front = front or was
    db.execute("UPDATE jobs SET priority = ?, place = ?, front = ? WHERE seq = ?", (priority, place, front, seq))
    return one(db, seq)


def drop(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forget jobs and all that hangs on them."""
    for seq in numbers:
        db.execute("DELETE FROM words WHERE rowid = ?", (seq,))
        db.execute("DELETE FROM jobs WHERE seq = ?", (seq,))


def _back(db: sqlite3.Connection) -> int:
    """The next number; none is given twice, and those that clients choose do not count."""
    [place] = db.execute("UPDATE counter SET place = place + 1 RETURNING place").fetchone()
    return int(place)


def _front(db: sqlite3.Connection, priority: int) -> int:
    """Before all that wait with this priority."""
    least = "SELECT min(place) AS place FROM jobs WHERE state = 'pending' AND priority = :priority AND front ="
    query = f"SELECT min(place) FROM ({least} 1 UNION ALL {least} 0)"
    [place] = db.execute(query, {"priority": priority}).fetchone()
    return _back(db) if place is None else math.floor(place) - 1


def _exact(place: int | float | None) -> int | float | None:
    """A place that a client chose; whole ones as int. Raises StoreError."""
    if place is None:
        return None
    if isinstance(place, bool) or not isinstance(place, int | float) or not abs(place) <= PLACE_MOST:
        raise StoreError(f"A job cannot stand at {place!r}; give a number between -2^53 and 2^53, or none.")
    return int(place) if place == int(place) else place


def _place_before(db: sqlite3.Connection, seq: int, other: int) -> tuple[int, int, bool]:
    """A place directly before another job's, its priority and front; those ahead move up if none is free between."""
    place, priority, front = db.execute("SELECT place, priority, front FROM jobs WHERE seq = ?", (other,)).fetchone()
    free = math.ceil(place) - 1
    ahead = "FROM jobs WHERE state = 'pending' AND priority = ? AND front = ? AND (place, seq) < (?, ?) AND seq != ?"
    values = (priority, front, place, other, seq)
    [last] = db.execute(f"SELECT max(place) {ahead}", values).fetchone()
    if last is not None and last >= free:  # whole numbers, since fractions may become equal on their way
        rows = column(db.execute(f"SELECT seq {ahead} ORDER BY place DESC, seq DESC", values))
        db.executemany("UPDATE jobs SET place = ? WHERE seq = ?", ((free - n, row) for n, row in enumerate(rows, 1)))
    return free, priority, bool(front)


def _canonical(value: Mapping[str, Any]) -> str:
    """The same text for equal values, as they are once they were stored."""
    return to_json(json.loads(to_json(value)), sort_keys=True)


def _job(row: Row, outputs: tuple[JobOutput, ...]) -> Job:
    seq, job_id, client, priority, prompt, extra_pnginfo, asked, extra = row[:8]
    state, place, created, started, ended, attempts, reason, problems, deaths, front = row[8:]
    said = json.loads(asked)
    targets = None if said["targets"] is None else tuple(said["targets"])
    request = JobRequest(
        job_id, Packed(prompt), Packed(extra_pnginfo), targets, client, priority, said["front"], Packed(extra),
        said.get("place"),
    )  # fmt: skip
    return Job(
        request, state, place, created, started, ended, attempts, reason, outputs, tuple(json.loads(problems)), deaths,
        bool(front), seq,
    )  # fmt: skip
