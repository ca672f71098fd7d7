"""Events of jobs: numbered, handed on, kept, and found again."""

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import pytest

from graph import events
from graph.events import NodeFailed, NodeFinished, NodeProgress, NodesAdded, NodeStarted, RunFinished, RunStarted
from graph.jobs import JobRequest
from graph.queue.events import (
    CLASSES,
    JobDeleted,
    JobEvent,
    JobFinished,
    JobMoved,
    JobQueued,
    JobRequeued,
    JobStarted,
    PastError,
    from_json,
    to_json,
)
from graph.queue.journal import LEAP, PROGRESS_BEHIND, Journal, Numbered
from graph.store import Store, StoreLimits
from tests.graph.scheduler_toys import PATIENCE_S

MILESTONES = [
    RunStarted("a", ("1", "2")),
    events.NodesCached("a", ()),
    NodesAdded("a", "1", (("1.0", "1"), ("1.1", "1"))),
    NodeStarted("a", "1", "1", "Toy"),
    NodeFinished("a", "1", "1", {"images": [{"filename": "x.png"}, [1, 2]]}, 0.5, ("output/x.png",)),
    events.NodeBlocked("a", "2", "2", "Toy", "blocked"),
    events.NodeWarned("a", "2", "2", "Toy", "wrote"),
    RunFinished("a", "failed", 1.5),
    JobQueued("a", 1, 2.5, "someone"),
    JobMoved("a", 1, 3),
    JobStarted("a", 1, "someone"),
    JobRequeued("a", "The server was stopped."),
    JobFinished("a", "failed", "It failed.", ({"node_id": "1", "class_type": "Toy", "sentence": "no"},)),
    JobDeleted("a"),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(busy_s=0.01)) as store:
        for name in "ab":
            store.add(JobRequest(name, {"1": {"class_type": "Toy", "inputs": {}}})).result()
        yield store


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    journal = Journal(store, linger_s=0)
    yield journal
    journal.close()


def progress(value: float, node_id: str = "1", preview: object = None) -> NodeProgress:
    return NodeProgress("a", node_id, node_id, value, 10, preview)


def taken(heard: "SimpleQueue[Numbered]", count: int) -> list[Numbered]:
    return [heard.get(timeout=PATIENCE_S) for _ in range(count)]


# -- as text


@pytest.mark.parametrize("event", MILESTONES, ids=lambda event: type(event).__name__)
def test_an_event_is_the_same_after_being_text(event: "events.Event | JobEvent") -> None:
    assert from_json(to_json(event, 12.5)) == (event, 12.5)


def test_every_class_of_event_has_a_text() -> None:
    told = {type(event).__name__ for event in MILESTONES} | {"NodeFailed", "NodeProgress"}
    assert told == set(CLASSES)


def test_an_error_becomes_its_class_its_text_and_its_traceback() -> None:
    try:
        raise sqlite3.OperationalError("no room")
    except sqlite3.OperationalError as error:
        text = to_json(NodeFailed("a", "1", "1", "Toy", error, "Toy (node 1) failed: no room"), 0.0)
    kept = from_json(text)
    assert kept
    found = kept[0]
    assert isinstance(found, NodeFailed)
    assert found.message == "Toy (node 1) failed: no room"
    assert isinstance(found.error, PastError)
    assert (found.error.kind, str(found.error)) == ("sqlite3.OperationalError", "no room")
    assert any("raise sqlite3" in line for line in found.error.trace)
    assert to_json(found, 0.0) == text


def test_an_event_of_another_version_is_passed_over() -> None:
    assert from_json('{"event": "NodeDreamt", "run_id": "a"}') is None
    assert from_json('{"event": "JobStarted", "job_id": "a", "attempt": 1, "mood": "good"}') is None
    assert from_json('{"event": "JobStarted", "job_id": "a"}') is None


def test_an_event_of_an_earlier_version_has_no_time_and_no_more_than_was_known() -> None:
    assert from_json('{"event": "JobStarted", "job_id": "a", "attempt": 1}') == (JobStarted("a", 1), 0.0)


def test_what_has_no_form_in_json_is_shown() -> None:
    event = NodeFinished("a", "1", "1", {"odd": [Path("x"), {1, 2}]}, 0.5)
    assert json.loads(to_json(event, 0.0))["ui"]["odd"][0] == repr(Path("x"))


class Shy:
    """What has no form as text, and says so in its own way."""

    def __repr__(self) -> str:
        raise RuntimeError("nobody may see me")


def test_an_event_that_has_no_text_at_all_is_left_out_and_the_next_ones_are_kept(
    journal: Journal, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    journal.put("a", NodeFinished("a", "1", "1", {"odd": [Shy()]}, 0.5))
    journal.put("a", RunFinished("a", "succeeded", 1.0))
    journal.close()
    assert [number for number, _ in store.events("a")] == [2]
    assert "A NodeFinished of job a is not kept: nobody may see me" in caplog.text


# -- numbers and listeners


def test_the_events_of_each_job_are_counted_and_heard_in_order(journal: Journal) -> None:
    heard: SimpleQueue[Numbered] = SimpleQueue()
    journal.subscribe(heard.put)

    def many(job_id: str) -> None:
        for n in range(50):
            journal.put(job_id, JobStarted(job_id, n))

    threads = [threading.Thread(target=many, args=(job_id,)) for job_id in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = taken(heard, 200)
    for job_id in "ab":
        assert [entry.sequence for entry in everything if entry.job_id == job_id] == list(range(1, 101))


def test_a_listener_that_is_stuck_or_raises_harms_nobody(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    heard: SimpleQueue[Numbered] = SimpleQueue()

    def stuck(entry: Numbered) -> None:
        release.wait(PATIENCE_S)

    def failing(entry: Numbered) -> None:
        heard.put(entry)
        raise RuntimeError("not today")

    journal.subscribe(stuck)
    journal.subscribe(failing)
    for event in MILESTONES[:5]:
        journal.put("a", event)
    assert [entry.event for entry in taken(heard, 5)] == MILESTONES[:5]
    release.set()
    assert "not today" in caplog.text


def test_a_listener_that_is_behind_gets_no_progress_but_every_milestone(journal: Journal) -> None:
    begun, release = threading.Event(), threading.Event()
    heard: SimpleQueue[Numbered] = SimpleQueue()

    def slow(entry: Numbered) -> None:
        begun.set()
        release.wait(PATIENCE_S)
        heard.put(entry)

    journal.subscribe(slow)
    journal.put("a", MILESTONES[0])
    assert begun.wait(PATIENCE_S)
    for n in range(2 * PROGRESS_BEHIND):
        journal.put("a", progress(n))
    journal.put("a", MILESTONES[-2])
    release.set()
    entries = taken(heard, PROGRESS_BEHIND + 2)
    assert [entry.sequence for entry in entries[:-1]] == list(range(1, PROGRESS_BEHIND + 2))
    assert entries[-1][:3] == ("a", 2 * PROGRESS_BEHIND + 2, MILESTONES[-2])


def test_who_unsubscribes_hears_no_more(journal: Journal) -> None:
    heard: SimpleQueue[Numbered] = SimpleQueue()
    others: SimpleQueue[Numbered] = SimpleQueue()
    put = heard.put
    journal.subscribe(put)
    journal.subscribe(others.put)
    journal.put("a", MILESTONES[0])
    journal.unsubscribe(put)
    journal.unsubscribe(put)
    journal.put("a", MILESTONES[1])
    taken(others, 2)
    assert taken(heard, 1)[0].sequence == 1
    assert heard.empty()


# -- what was missed


def test_what_was_missed_is_told_in_order_written_or_not(store: Store) -> None:
    times = map(float, count(1))
    journal = Journal(store, linger_s=PATIENCE_S, clock=lambda: next(times))  # nothing is written before it closes
    for event in MILESTONES[:3]:
        journal.put("a", event)
    journal.put("b", JobStarted("b", 1))
    assert store.events("a") == []
    expected = [Numbered("a", number, event, float(number)) for number, event in enumerate(MILESTONES[:3], 1)]
    assert journal.since("a", 0) == expected
    assert journal.since("a", 2) == expected[2:]
    assert journal.since("a", 3) == []
    journal.close()
    assert [number for number, _ in store.events("a")] == [1, 2, 3]
    assert journal.since("a", 0) == expected


@pytest.mark.parametrize("linger_s", [0.0, PATIENCE_S])
def test_what_was_missed_comes_in_parts_to_those_who_want_no_more_at_once(store: Store, linger_s: float) -> None:
    journal = Journal(store, linger_s=linger_s)
    for event in MILESTONES[:-1]:
        journal.put("a", event)
    journal.put("a", progress(1, "9"))
    whole, parts, last = journal.since("a", 0), [], 0
    while part := journal.since("a", last, 5):
        assert len(part) <= 5
        parts += part
        last = part[-1].sequence
    assert parts == whole
    journal.close()


def test_of_progress_the_last_of_each_running_node_is_told(journal: Journal) -> None:
    journal.put("a", RunStarted("a", ("1", "2")))
    for value in (1, 2, 3):
        journal.put("a", progress(value, "1", preview=b"picture"))
        journal.put("a", progress(value, "2"))
    found = journal.since("a", 0)
    assert [(entry.sequence, type(entry.event)) for entry in found] == [
        (1, RunStarted), (6, NodeProgress), (7, NodeProgress),
    ]  # fmt: skip
    assert found[1].event == progress(3, "1", preview=b"picture")
    journal.put("a", NodeFinished("a", "1", "1", {}, 0.1))
    assert [entry.sequence for entry in journal.since("a", 1)] == [7, 8]
    journal.put("a", RunFinished("a", "cancelled", 0.1))
    assert [entry.sequence for entry in journal.since("a", 1)] == [8, 9]


def test_after_a_restart_milestones_are_there_and_numbers_go_on_far_above(store: Store) -> None:
    first = Journal(store)
    for event in MILESTONES[:2]:
        first.put("a", event)
    first.put("a", progress(1))
    first.close()
    second = Journal(store)
    assert not second.holds("a")
    second.resume("a")
    second.resume("b")
    assert second.holds("a")
    second.put("a", JobStarted("a", 2))
    second.put("b", JobStarted("b", 1))
    told = second.since("a", 0)
    assert [entry.sequence for entry in told] == [1, 2, LEAP]
    assert [each[:3] for each in second.since("a", 3)] == [
        ("a", LEAP, JobStarted("a", 2))
    ]  # to one who has heard of the progress
    assert [entry.sequence for entry in second.since("b", 0)] == [LEAP]  # what was told of it may be lost
    second.close()
    third = Journal(store)
    third.resume("a")
    third.put("a", JobStarted("a", 3))
    assert third.since("a", LEAP)[0].sequence == 2 * LEAP
    third.close()


def test_a_job_that_is_over_leaves_memory_and_may_come_back(journal: Journal, store: Store) -> None:
    journal.put("a", JobFinished("a", "failed", "no", ()))
    journal.put("b", JobStarted("b", 1))
    journal.close()
    assert not journal.holds("a")
    assert journal.holds("b")


def test_of_a_deleted_job_nothing_is_told_or_kept(journal: Journal, store: Store) -> None:
    heard: SimpleQueue[Numbered] = SimpleQueue()
    journal.subscribe(heard.put)
    journal.put("a", JobFinished("a", "cancelled", "", ()))
    store.finish("a", "cancelled").result()
    store.delete(["a"]).result()
    journal.put("a", JobDeleted("a"))
    assert [type(entry.event) for entry in taken(heard, 2)] == [JobFinished, JobDeleted]
    journal.close()
    assert journal.since("a", 0) == []
    assert not journal.holds("a")


def test_a_store_that_cannot_write_stops_no_event(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    journal = Journal(store, linger_s=0)
    heard: SimpleQueue[Numbered] = SimpleQueue()
    journal.subscribe(heard.put)
    other = sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.put("a", JobStarted("a", 1))
    assert taken(heard, 1)[0].sequence == 1
    journal.close()
    other.close()
    assert "Events of job a are not kept" in caplog.text
    assert "keeps the queue" in caplog.text


class Speechless(Exception):
    """An error whose own code fails."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_that_cannot_say_what_it_is_is_told_all_the_same() -> None:
    past = PastError.of(Speechless())
    assert past.kind.endswith("Speechless")
    assert past.text == past.kind
    assert past.trace
    assert PastError.of(past) is past
