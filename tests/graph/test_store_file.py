"""The job store's file: one holder, older and newer versions, damage, locks, a full disk, and death at any moment."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from graph.jobs import JobRequest
from graph.queue.events import JobStarted
from graph.queue.journal import Journal
from graph.store import Store, StoreError, StoreLimits, jobs
from graph.store.schema import STEPS, connect, open_file
from graph.store.search import index_all
from graph.store.text import pack
from graph.store.writer import Writer
from tests.graph.toys import PATIENCE_S

HOUSE = Path(__file__).resolve().parents[2]
PROMPT = {"1": {"class_type": "Add", "inputs": {"text": "lighthouse"}}}


def fill(file: Path, count: int = 50) -> None:
    with Store(file) as store:
        for number in range(count):
            store.add(JobRequest(f"job {number}", PROMPT))


def python(source: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)], cwd=HOUSE, stdout=subprocess.PIPE, text=True
    )


def lines(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout
    return process.stdout


# -- one holder


HOLD = """
import sys
from pathlib import Path
from graph.store import Store
store = Store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], cwd=HOUSE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert lines(holder).readline() == "open\n"
    with pytest.raises(StoreError, match=f"queue.sqlite is in use by another server, process {holder.pid}; stop"):
        Store(file)
    holder.kill()
    holder.communicate()
    with Store(file) as store:
        assert store.pending() == []
        with pytest.raises(StoreError, match=f"process {os.getpid()}"):
            Store(file)
    Store(file).close()


# -- versions


OLD_JOBS = """
INSERT INTO jobs (id, state, priority, place, client, created_s, ended) VALUES
    ('a', 'pending', 0, 1, 'me', 1.0, NULL), ('b', 'pending', 0, 0, 'me', 2.0, NULL),
    ('c', 'succeeded', 0, 7, '', 3.0, 1), ('d', 'pending', 0, -3, 'me', 4.0, NULL);
INSERT INTO requests SELECT
    seq, :prompt, :nothing, '{"targets":null,"client":"' || client || '","priority":0,"front":' ||
    CASE id WHEN 'b' THEN 'true' ELSE 'false' END || '}' FROM jobs;
INSERT INTO events SELECT seq, 1, '{"event": "JobStarted", "job_id": "' || id || '", "attempt": 1}' FROM jobs;
"""


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    file = tmp_path / "queue.sqlite"
    db, _ = open_file(file, 1, "NORMAL", STEPS[:version])
    for statement in OLD_JOBS.split(";"):
        values = {"prompt": pack(PROMPT), "nothing": pack({})}
        db.execute(statement, values if ":prompt" in statement else ())
    if version > 1:
        index_all(db)
    db.close()
    with Store(file) as store:
        assert store.notices == ()
        assert [job.request.id for job in store.pending()] == ["b", "d", "a"]  # b was put to the front
        assert len(store.search("lighth").jobs) == 4
        again = store.add(JobRequest("a", PROMPT, client="me")).result()
        assert (again.request.extra, again.request.place, again.accepted) == ({}, None, 1)
        assert store.add(JobRequest("e", PROMPT)).result().number == 8
        assert list(store.milestones(["a", "c"], ["JobStarted"])) == ["a", "c"]
        journal = Journal(store)
        assert [entry[1:] for entry in journal.since("a", 0)] == [(1, JobStarted("a", 1), 0.0)]
        journal.close()
    db = connect(file, 1)
    assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
    db.close()


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    fill(file)

    def broken(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE words")
        db.execute("CREATE TABLE jobs (seq)")  # is there

    with pytest.raises(StoreError, match="already exists"):
        open_file(file, 1, "NORMAL", (*STEPS, broken))
    with Store(file) as store:
        assert len(store.search("lighthouse").jobs) == 50


def test_a_file_of_a_later_version_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    fill(file)
    db = connect(file, 1)
    db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()
    before = file.read_bytes()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"written by a later version of Darkroom .* start that version"):
            Store(file)
    assert file.read_bytes() == before


def test_a_database_of_another_program_is_refused_untouched(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE bookmarks (url)")
    db.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="is a database of another program; choose another file"):
        Store(file)
    assert file.read_bytes() == before


def test_where_no_file_can_be_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").mkdir()
    with pytest.raises(StoreError, match="cannot be read or written"):
        Store(tmp_path / "queue.sqlite")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be read or written"):
        Store(tmp_path / "file" / "queue.sqlite")
    for _ in range(2):  # made, then found
        with Store(tmp_path / "new" / "a ?#%41ö" / "queue.sqlite") as store:
            assert store.notices == ()


# -- damage


DAMAGES = {
    "cut short": lambda data: data[: len(data) // 2],
    "cut within the header": lambda data: data[:50],
    "filled with zeros": lambda data: bytes(len(data)),
    "zeros inside": lambda data: data[: len(data) // 4] + bytes(len(data) // 4) + data[len(data) // 2 :],
    "another file": lambda data: b"This is no database at all.\n" * 1000,
    "noise inside": lambda data: data[:5000] + os.urandom(8192) + data[13192:],
}


def asides(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_set_aside_and_said_so(tmp_path: Path, how: str) -> None:
    file = tmp_path / "queue.sqlite"
    fill(file)
    broken = DAMAGES[how](file.read_bytes())
    file.write_bytes(broken)
    with Store(file) as store:
        [notice] = store.notices
        assert store.pending() == []
        store.add(JobRequest("new", PROMPT)).result()
    [aside] = asides(tmp_path)
    assert aside.read_bytes() == broken
    assert notice.startswith("The queue queue.sqlite was damaged (")
    assert notice.endswith(f") and was set aside as {aside.name}; a new one was begun.")
    with Store(file) as store:
        assert store.notices == ()
        assert len(store.pending()) == 1


def test_a_damaged_file_takes_its_log_along_and_overwrites_no_other(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    for count in range(3):
        with Store(file) as store:
            store.add(JobRequest("a", PROMPT)).result()
            for ending in ("", "-wal"):
                shutil.copy(f"{file}{ending}", tmp_path / f"copy{ending}")
        for ending in ("", "-wal"):
            shutil.copy(tmp_path / f"copy{ending}", f"{file}{ending}")
        file.write_bytes(b"no database" if count else b"")
    with Store(file) as store:
        assert len(store.notices) == 1
    assert len(asides(tmp_path)) == 3
    log = (tmp_path / "copy-wal").stat().st_size
    assert all(path.with_name(f"{path.name}-wal").stat().st_size == log for path in asides(tmp_path))


# -- others in the way


def test_a_file_that_another_program_locks_is_waited_for_then_said_so(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    with Store(file, limits=StoreLimits(busy_s=0.05)) as store:
        other = connect(file, 1)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"Another program keeps the queue .* locked; close it"):
            store.add(JobRequest("a", PROMPT)).result()
        assert store.pending() == []  # reading goes on
        other.execute("ROLLBACK")
        store.add(JobRequest("a", PROMPT)).result()
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match=r"Another program keeps the queue .* locked; close it"):
        Store(file, limits=StoreLimits(busy_s=0.05))
    other.close()
    with Store(file, limits=StoreLimits(busy_s=60)) as store:
        other = connect(file, 1)
        other.execute("BEGIN IMMEDIATE")
        waiting = store.add(JobRequest("b", PROMPT))
        other.execute("ROLLBACK")
        other.close()
        assert waiting.result(PATIENCE_S).number == 2


FULL = """
import resource, secrets, signal, sys
from pathlib import Path
from graph.jobs import JobRequest
from graph.store import Store, StoreError
file = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
big = {"1": {"class_type": "Add", "inputs": {"text": secrets.token_hex(4_000_000)}}}
with Store(file) as store:
    store.add(JobRequest("before", {}))
    store.add(JobRequest("also before", {})).result()
    log = file.with_name(file.name + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 2_000_000, resource.RLIM_INFINITY))
    futures = [store.add(JobRequest(name, big if name == "big" else {})) for name in ("a", "big", "b")]
    for future in futures:
        try:
            print(future.result().request.id)
        except StoreError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(store.add(JobRequest("big", big)).result().request.id)
"""


def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(tmp_path: Path) -> None:
    """The disk is full for this process alone: its files may not grow."""
    file = tmp_path / "queue.sqlite"
    process = python(FULL, file)
    said = process.communicate(timeout=PATIENCE_S)[0].splitlines()
    assert [said[0], said[2], said[3]] == ["a", "b", "big"]
    assert said[1].startswith(("There is no room left for the queue", f"The queue {file} cannot be read or written"))
    with Store(file) as store:
        assert store.notices == ()
        assert [job.request.id for job in store.pending()] == ["before", "also before", "a", "b", "big"]


def test_where_a_failure_cannot_be_undone_the_next_write_undoes_it(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    db, _ = open_file(file, 5, "NORMAL")
    refused: list[str] = []

    def judge(action: int, what: str | None, *more: str | None) -> int:
        if action == sqlite3.SQLITE_TRANSACTION and what == "ROLLBACK" and not refused:
            refused.append(what)
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def fail(db: sqlite3.Connection) -> None:
        jobs.add(db, JobRequest("half", PROMPT), 0.0)
        db.execute("this is no SQL")

    db.set_authorizer(judge)
    writer = Writer(db, file)
    with pytest.raises(StoreError):
        writer.put(fail).result(PATIENCE_S)
    assert writer.put(lambda db: jobs.add(db, JobRequest("a", PROMPT), 0.0)).result(PATIENCE_S).request.id == "a"
    writer.close()
    assert refused
    with Store(file) as store:
        assert [job.request.id for job in store.pending()] == ["a"]


# -- death


WORK = """
import sys
from pathlib import Path
from graph.jobs import JobOutput, JobRequest
from graph.store import Store, StoreLimits
store = Store(Path(sys.argv[1]), limits=StoreLimits(deaths=1000), durable=sys.argv[3])
print("notices", len(store.notices), flush=True)
first = int(sys.argv[2])
store.recover()
for job in store.pending():
    if job.attempts:
        store.start(job.request.id)
        store.finish(job.request.id, "succeeded")
def say(what):
    def told(future):  # in either thread: in one piece, so that lines do not run into each other
        sys.stdout.write(what + "\\n")
        sys.stdout.flush()
    return told
for number in range(first, first + 100_000):
    name = f"job {number}"
    prompt = {"1": {"class_type": "Add", "inputs": {"text": name}}}
    store.add(JobRequest(name, prompt)).add_done_callback(say("added " + name))
    store.start(name).add_done_callback(say("started " + name))
    for node in "ab":
        store.finish_task(name, JobOutput(node, node, {})).add_done_callback(say(f"output {node} {name}"))
    end = store.finish(name, "succeeded")
    end.add_done_callback(say("finished " + name))
    if number % 20 == 19:
        end.result()  # a thread that only asks leaves the one that writes no time
"""


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, list[str]]:
    """A store whose process was killed eight times while it wrote, and all that it had said was done."""
    file = tmp_path / "queue.sqlite"
    said: list[str] = []
    for time in range(8):
        process = python(WORK, file, time * 1_000_000, "power" if time == 7 else "process")
        output = lines(process)
        assert output.readline() == "notices 0\n"
        said += [output.readline().rstrip("\n") for _ in range(37 + 101 * time)]
        process.send_signal(signal.SIGKILL)
        said += [line.rstrip("\n") for line in output.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        output.close()
    return file, said


def test_what_was_done_before_a_kill_is_there_and_nothing_is_half_done(killed: tuple[Path, list[str]]) -> None:
    file, said = killed
    with Store(file) as store:
        assert store.notices == ()
        jobs = {job.request.id: job for job in store.list(limit=10**6).jobs}
        counts = store.counts()
        assert len(store.search("job", limit=10**6).jobs) == len(jobs)
    assert sum(counts.values()) == len(jobs)
    assert len(said) > 8 * 37
    for line in said:
        what, _, name = line.partition(" ")
        if what == "added":
            assert name in jobs
        elif what == "started":
            assert jobs[name].attempts >= 1
        elif what == "output":
            node, _, name = name.partition(" ")
            assert [output.node_id for output in jobs[name].outputs].count(node) == 1
        elif what == "finished":
            assert jobs[name].state == "succeeded"
    assert {len(job.outputs) for job in jobs.values() if job.attempts == 1 and job.state == "succeeded"} == {2}
