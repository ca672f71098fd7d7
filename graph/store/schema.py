"""The file of the job store: opened, checked, brought up to date; a damaged one is set aside, a foreign one refused."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from graph.store.search import index_all
from graph.store.text import pack

APPLICATION = int.from_bytes(b"Dark", "big")  # marks the file as ours, in its header
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
STATES = ("pending", "running", "succeeded", "failed", "cancelled")

Step = Callable[[sqlite3.Connection], None]


class StoreError(ValueError):
    """The job store cannot do what was asked; nothing has changed. The message is a sentence for people."""


TABLES = (
    # Counts of place and ended go on from the highest there is: order never comes from a clock.
    """CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order they were accepted
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
        priority INTEGER NOT NULL,
        place INTEGER NOT NULL,                 -- lower goes first among equal priorities
        client TEXT NOT NULL,
        created_s REAL NOT NULL,
        started_s REAL,
        ended_s REAL,
        ended INTEGER,                          -- in the order they ended
        attempts INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,      -- how often the process died while it ran
        reason TEXT NOT NULL DEFAULT '',
        problems TEXT NOT NULL DEFAULT '[]',
        CHECK ((ended IS NULL) = (state IN ('pending', 'running')))
    )""",
    "CREATE INDEX jobs_waiting ON jobs (priority DESC, place, seq) WHERE state = 'pending'",
    "CREATE INDEX jobs_place ON jobs (place)",
    "CREATE INDEX jobs_state ON jobs (state, seq)",
    "CREATE INDEX jobs_client ON jobs (client, state, seq)",
    "CREATE INDEX jobs_ended ON jobs (ended) WHERE ended IS NOT NULL",
    "CREATE INDEX jobs_age ON jobs (ended_s) WHERE ended IS NOT NULL",
    # Apart from the jobs, so that a look through those reads no prompts.
    """CREATE TABLE requests (
        seq INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
        prompt BLOB NOT NULL,                   -- JSON, packed by zlib
        extra_pnginfo BLOB NOT NULL,            -- the same
        asked TEXT NOT NULL                     -- JSON of all else in the request, as it was sent
    )""",
    """CREATE TABLE outputs (
        seq INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        node_id TEXT NOT NULL,
        display_id TEXT NOT NULL,
        ui TEXT NOT NULL,
        files TEXT NOT NULL,
        UNIQUE (seq, node_id)
    )""",
    """CREATE TABLE names (                    -- of files that a task has claimed and not yet recorded
        seq INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        node_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        path BLOB NOT NULL,
        proof BLOB NOT NULL,
        marks TEXT NOT NULL,
        PRIMARY KEY (seq, node_id, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE events (
        seq INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        number INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (seq, number)
    ) WITHOUT ROWID""",
    # Counting 100,000 rows takes milliseconds; this is asked after every change.
    "CREATE TABLE totals (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO totals VALUES " + ", ".join(f"('{state}', 0)" for state in STATES),
    """CREATE TRIGGER jobs_more AFTER INSERT ON jobs BEGIN
        UPDATE totals SET jobs = jobs + 1 WHERE state = NEW.state;
    END""",
    """CREATE TRIGGER jobs_less AFTER DELETE ON jobs BEGIN
        UPDATE totals SET jobs = jobs - 1 WHERE state = OLD.state;
    END""",
    """CREATE TRIGGER jobs_other AFTER UPDATE OF state ON jobs BEGIN
        UPDATE totals SET jobs = jobs - 1 WHERE state = OLD.state;
        UPDATE totals SET jobs = jobs + 1 WHERE state = NEW.state;
    END""",
)


def tables(db: sqlite3.Connection) -> None:
    """Version 1: jobs, their requests, outputs, names and events."""
    for statement in TABLES:
        db.execute(statement)


def search_index(db: sqlite3.Connection) -> None:
    """Version 2: an index of the words in every request."""
    db.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')")
    index_all(db)


def order_and_kinds(db: sqlite3.Connection) -> None:
    """Version 3: what clients keep with a job, exact places, the front as a rank, and the kinds of events."""
    for statement in (
        "ALTER TABLE jobs ADD COLUMN front INTEGER NOT NULL DEFAULT 0",  # 1: before all of its priority with 0
        "UPDATE jobs SET front = (SELECT json_extract(asked, '$.front') FROM requests WHERE requests.seq = jobs.seq)",
        f"ALTER TABLE requests ADD COLUMN extra BLOB NOT NULL DEFAULT x'{pack({}).hex()}'",  # as the others there
        "DROP INDEX jobs_waiting",
        "CREATE INDEX jobs_waiting ON jobs (priority DESC, front DESC, place, seq) WHERE state = 'pending'",
        # Of the places, the last that was given by counting. The others are what clients chose, fractions among them.
        "CREATE TABLE counter (place INTEGER NOT NULL)",
        "INSERT INTO counter SELECT max(coalesce((SELECT max(place) FROM jobs), 0), "
        "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0))",
        "DROP INDEX jobs_place",
        "CREATE INDEX jobs_ended_as ON jobs (state, ended) WHERE ended IS NOT NULL",
        "ALTER TABLE events ADD COLUMN kind TEXT NOT NULL DEFAULT ''",
    ):
        db.execute(statement)
    rows = db.execute("SELECT seq, number, body FROM events").fetchall()
    kinds = ((json.loads(body).get("event", ""), seq, number) for seq, number, body in rows)
    db.executemany("UPDATE events SET kind = ? WHERE seq = ? AND number = ?", kinds)
    db.execute("CREATE INDEX events_kind ON events (seq, kind, number)")


STEPS: tuple[Step, ...] = (tables, search_index, order_and_kinds)  # STEPS[n] brings a file from version n to n + 1


def column(rows: sqlite3.Cursor) -> list[int]:
    """The only value of each row."""
    return [row[0] for row in rows]


class Lock:
    """The sole right to a store, held as long as this process lives: a lock on a file beside it, holding our number."""

    def __init__(self, file: Path) -> None:
        """Raises StoreError when another process, or another store of this one, has it."""
        self._file = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip() or "of unknown number"
            os.close(self._file)
            raise StoreError(
                f"The queue {file} is in use by another server, process {holder}; stop that one, "
                "or start this one with a folder of its own."
            ) from None
        os.truncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def release(self) -> None:
        """Let others have it. The file stays: were it removed, two could hold locks on different files of that name."""
        os.truncate(self._file, 0)
        os.close(self._file)


def connect(file: Path, busy_s: float) -> sqlite3.Connection:
    """A connection in autocommit that waits so long for other programs' locks; threads may hand it on."""
    db = sqlite3.connect(file, timeout=busy_s, isolation_level=None, check_same_thread=False, cached_statements=256)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def open_file(
    file: Path, busy_s: float, synchronous: str, steps: Sequence[Step] = STEPS
) -> tuple[sqlite3.Connection, str]:
    """The connection to write with, and a notice for people if there is something to say.

    Raises StoreError for a file that is not ours, or is of a later version, and leaves it untouched.
    """
    notice = ""
    try:
        if damage := _damage(file, busy_s):
            aside = _set_aside(file)
            notice = (
                f"The queue {file.name} was damaged ({damage}) and was set aside as {aside.name}; a new one was begun."
            )
        db = connect(file, busy_s)
        try:
            _upgrade(db, file, steps)
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise StoreError(
                    f"The queue {file} lies where SQLite cannot work safely; choose a folder on a local disk."
                )
            db.execute(f"PRAGMA synchronous = {synchronous}")
            db.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise StoreError(sentence(error, file)) from error
    return db, notice


def sentence(error: Exception, file: Path) -> str:
    """What went wrong with the file, and what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return f"There is no room left for the queue {file}; make room on its disk, then try again."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"Another program keeps the queue {file} locked; close it, then try again."
    if name.startswith(DAMAGE):
        return f"The queue {file} is damaged ({error}); restart, and it will be set aside."
    if name.startswith(("SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")) or isinstance(error, OSError):
        return f"The queue {file} cannot be read or written ({error}); see to its folder and disk, then try again."
    return f"The queue {file} cannot store this: {error}."


def _damage(file: Path, busy_s: float) -> str:
    """What is broken in a store's file; empty if nothing is, or if there is no file yet."""
    log = file.with_name(f"{file.name}-wal")
    if not file.exists() or not file.stat().st_size:
        return "it is empty, yet has a log of changes" if log.exists() and log.stat().st_size else ""
    try:
        # Read only: another connection would, when it closes, write the log of changes into the damaged file.
        db = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=busy_s)
        try:
            found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "").startswith(DAMAGE):
            return str(error)
        raise
    return "" if found == "ok" else found.splitlines()[-1]


def _set_aside(file: Path) -> Path:
    """Rename the file and what belongs to it, so that SQLite finds the log of changes should somebody mend it."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{file.name}.damaged-{stamp}{more}" for more in ["", *(f"-{number}" for number in range(2, 1000))])
    aside = next(path for name in names if not (path := file.with_name(name)).exists())
    for ending in ("-shm", "-wal", ""):  # the file itself last: until then the next start finds the damage again
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return aside


def _upgrade(db: sqlite3.Connection, file: Path, steps: Sequence[Step]) -> None:
    """Bring the tables to the newest version, all steps or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        is_ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if not is_ours and db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(f"{file} is a database of another program; choose another file for the queue.")
        if version > len(steps):
            raise StoreError(
                f"The queue {file} was written by a later version of Darkroom (format {version}, this one knows "
                f"{len(steps)}); start that version, or choose another file for the queue."
            )
        for step in steps[version:]:
            step(db)
        if version < len(steps):
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {len(steps)}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
