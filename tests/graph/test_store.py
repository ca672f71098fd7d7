"""The job store: the way of a job from pending to its end, the order of the queue, history and its bounds, events."""

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from graph.jobs import OVER, JobOutput, JobRequest, JobState
from graph.store import STEP, JobConflict, Store, StoreError, StoreLimits
from tests.graph.stored import PROMPT, add, request, waiting
from tests.graph.toys import PATIENCE_S


def through(store: Store, *job_ids: str, state: Any = "succeeded") -> None:
    """Add, start and finish."""
    add(store, *job_ids)
    for job_id in job_ids:
        store.start(job_id)
        store.finish(job_id, state).result()


def listed(store: Store, **options: Any) -> list[str]:
    return [job.request.id for job in store.list(**options).jobs]


# -- accepting


def test_a_job_comes_back_as_it_was_asked_for(tmp_path: Path) -> None:
    asked = request("a", extra_pnginfo={"workflow": {"nodes": [1]}}, targets=("1", "2"), client="me", priority=-3)
    with Store(tmp_path / "queue.sqlite", clock=lambda: 12.5) as store:
        added = store.add(asked).result()
        assert added.request == asked
        assert added == store.get("a")
        assert (added.state, added.created_s, added.started_s, added.ended_s) == ("pending", 12.5, None, None)
        assert (added.attempts, added.reason, added.outputs, added.problems) == (0, "", (), ())
        assert store.get("b") is None
    with Store(tmp_path / "queue.sqlite") as store:
        assert store.get("a") == added
        assert store.pending() == [added]


def test_the_same_id_with_an_equal_request_is_the_same_job(store: Store) -> None:
    first = store.add(request("a", extra_pnginfo={"x": (1, 2), "token": "t1"}, client="me")).result()
    turned = dict(reversed(PROMPT.items()))
    again = store.add(request("a", prompt=turned, extra_pnginfo={"x": [1, 2], "token": "t2"}, client="me")).result()
    assert again == first
    store.start("a").result()
    running = store.add(request("a", extra_pnginfo={"x": [1, 2]}, client="me")).result()
    assert running.state == "running"
    assert sum(store.counts().values()) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": PROMPT | {"2": {"class_type": "Add", "inputs": {"a": 1}}}},
        {"extra_pnginfo": {"workflow": {}}},
        {"targets": ("1",)},
        {"client": "you"},
        {"priority": 1},
        {"front": True},
    ],
)
def test_the_same_id_with_another_body_is_a_conflict(store: Store, other: dict[str, Any]) -> None:
    first = store.add(request("a")).result()
    with pytest.raises(JobConflict, match="id 'a'"):
        store.add(request("a", **other)).result()
    assert store.get("a") == first


def test_megabytes_and_odd_texts_are_stored(store: Store) -> None:
    odd = "\0\ud800 \U0001f600 \"'; DROP TABLE jobs; --"
    prompt = {odd: {"class_type": odd, "inputs": {"text": odd * 200_000, "deep": {"__value__": [[odd, 1e999]]}}}}
    job = store.add(request("a", prompt=prompt, extra_pnginfo={odd: odd})).result()
    assert job.request.prompt == prompt
    assert job.request.extra_pnginfo == {odd: odd}
    store.start("a")
    store.finish_task("a", JobOutput(odd.replace("\ud800", ""), "d", {odd: [odd, Path("p")]}, ("\udcff.png",))).result()
    done = store.finish("a", "failed", f"because {odd}", [{"sentence": odd}]).result()
    assert done.outputs[0].ui == {odd: [odd, "p"]}
    assert done.outputs[0].files == ("\udcff.png",)
    assert done.problems == ({"sentence": odd},)


@pytest.mark.parametrize("wrong", [{"id": "\ud800"}, {"priority": 2**70}, {"prompt": {"1": {"x": {(1, 2): 3}}}}])
def test_what_cannot_be_stored_is_refused_and_the_rest_goes_on(store: Store, wrong: dict[str, Any]) -> None:
    futures = [store.add(request(job_id)) for job_id in "abc"]
    refused = store.add(JobRequest(**({"id": "x", "prompt": PROMPT} | wrong)))
    futures += [store.add(request(job_id)) for job_id in "def"]
    with pytest.raises(StoreError, match="cannot store this"):
        refused.result()
    wait(futures)
    assert waiting(store) == list("abcdef")


def test_writes_wait_without_holding_up_the_event_loop(store: Store) -> None:
    async def accept(job_id: str) -> int:
        return (await asyncio.wrap_future(store.add(request(job_id)))).number

    async def accept_all() -> list[int]:
        return await asyncio.gather(*(accept(str(number)) for number in range(300)))

    assert asyncio.run(accept_all()) == list(range(1, 301))


def test_a_write_that_is_cancelled_before_its_turn_does_not_happen(tmp_path: Path) -> None:
    armed, reached, go_on = Event(), Event(), Event()

    def clock() -> float:
        if armed.is_set():  # in the middle of a write
            reached.set()
            go_on.wait(PATIENCE_S)
        return 0.0

    with Store(tmp_path / "queue.sqlite", clock=clock) as store:
        add(store, "before")
        armed.set()
        store.add(request("a"))
        reached.wait(PATIENCE_S)
        second = store.add(request("b"))
        assert second.cancel()
        go_on.set()
        with pytest.raises(CancelledError):
            second.result()
        add(store, "c")
        assert waiting(store) == ["before", "a", "c"]


# -- the way of a job


def test_a_job_that_succeeds(tmp_path: Path) -> None:
    times = iter([float(second) for second in range(100)])
    with Store(tmp_path / "queue.sqlite", clock=lambda: next(times)) as store:
        add(store, "a")
        started = store.start("a").result()
        assert (started.state, started.attempts) == ("running", 1)
        done = store.finish("a", "succeeded").result()
        assert done.state == "succeeded"
        assert started.started_s is not None
        assert done.ended_s is not None
        assert done.created_s < started.started_s < done.ended_s
        assert dict(store.counts()) == {"pending": 0, "running": 0, "succeeded": 1, "failed": 0, "cancelled": 0}


STEPS: dict[str, Callable[[Store], Future[Any]]] = {
    "start": lambda store: store.start("a"),
    "task": lambda store: store.finish_task("a", JobOutput("1", "1", {})),
    "succeed": lambda store: store.finish("a", "succeeded"),
    "fail": lambda store: store.finish("a", "failed", "broken"),
    "cancel": lambda store: store.finish("a", "cancelled"),
    "requeue": lambda store: store.requeue("a", "closing"),
    "retry": lambda store: store.retry("a"),
    "move": lambda store: store.change("a", front=True),
    "delete": lambda store: store.delete(["a"]),
}
POSSIBLE: dict[JobState, dict[str, JobState | None]] = {
    "pending": {"start": "running", "fail": "failed", "cancel": "cancelled", "move": "pending"},
    "running": {
        "task": "running", "succeed": "succeeded", "fail": "failed", "cancel": "cancelled", "requeue": "pending",
    },
    "succeeded": {"retry": "pending", "delete": None},
    "failed": {"retry": "pending", "delete": None},
    "cancelled": {"retry": "pending", "delete": None},
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", POSSIBLE)
def test_only_possible_steps_are_taken(store: Store, state: JobState, step: str) -> None:
    add(store, "a")
    if state != "pending":
        store.start("a").result()
    if state in OVER:
        store.finish("a", state).result()  # type: ignore[arg-type]
    before = store.get("a")
    if step in POSSIBLE[state]:
        STEPS[step](store).result()
        after = store.get("a")
        assert (after and after.state) == POSSIBLE[state][step]
    else:
        with pytest.raises(StoreError, match=f"Job 'a' is {state}; only one that is"):
            STEPS[step](store).result()
        assert store.get("a") == before


@pytest.mark.parametrize("step", STEPS.keys() - {"delete"})
def test_no_step_of_a_job_that_is_not_there(store: Store, step: str) -> None:
    with pytest.raises(StoreError, match="There is no job 'a'"):
        STEPS[step](store).result()


def test_no_state_but_the_three_is_an_end(store: Store) -> None:
    add(store, "a")
    with pytest.raises(StoreError, match="cannot end as 'done'"):
        store.finish("a", "done").result()  # type: ignore[arg-type]


def test_outputs_are_recorded_once_however_often_the_job_begins(store: Store) -> None:
    add(store, "a")
    store.start("a")
    first = JobOutput("9", "9", {"images": [{"filename": "one.png"}]}, ("/one.png",))
    store.finish_task("a", first)
    store.requeue("a", "closing")
    store.start("a")
    store.finish_task("a", JobOutput("9", "9", {"images": [{"filename": "two.png"}]}))
    other = JobOutput("1.2", "1", {"text": ["x"]})
    store.finish_task("a", other)
    assert store.finish("a", "succeeded").result().outputs == (first, other)
    assert store.retry("a").result().outputs == (first, other)


def test_a_requeued_job_keeps_its_place_and_its_attempts(store: Store) -> None:
    add(store, "a", "b")
    store.start("a")
    back = store.requeue("a", "The server closes.").result()
    assert (back.state, back.attempts, back.reason) == ("pending", 1, "The server closes.")
    assert waiting(store) == ["a", "b"]
    again = store.start("a").result()
    assert (again.attempts, again.reason) == (2, "")


def test_a_retried_job_waits_behind_the_others_as_if_new(store: Store) -> None:
    through(store, "a", state="failed")
    add(store, "b")
    back = store.retry("a").result()
    assert (back.state, back.attempts, back.reason, back.problems) == ("pending", 0, "", ())
    assert (back.started_s, back.ended_s) == (None, None)
    add(store, "c")
    assert waiting(store) == ["b", "a", "c"]


def test_jobs_that_ran_when_the_process_died_begin_again_once(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    with Store(file) as store:
        add(store, "a", "b", "c")
        store.start("b")
        store.start("a")
    with Store(file) as store:  # closed above without a word about the running ones, as by a death
        requeued, failed = store.recover()
        assert [job.request.id for job in requeued] == ["a", "b"]
        assert [job.state for job in requeued] == ["pending", "pending"]
        assert "stopped while this job ran" in requeued[0].reason
        assert failed == []
        assert waiting(store) == ["a", "b", "c"]
        store.start("a")
        store.finish("a", "succeeded")
        assert store.start("b").result().attempts == 2
        store.start("c")
    with Store(file) as store:
        requeued, failed = store.recover()
        assert [job.request.id for job in requeued] == ["c"]
        [poison] = failed
        assert (poison.request.id, poison.state) == ("b", "failed")
        assert "died 2 times while this job ran" in poison.reason
        assert store.recover() == ([], [])
        store.retry("b").result()
        store.start("b")
    with Store(file) as store:
        assert [job.request.id for job in store.recover()[0]] == ["b"]  # its deaths were forgiven


# -- the order of the queue


def test_higher_priority_goes_first_then_who_came_first(store: Store) -> None:
    add(store, "a", "b")
    add(store, "c", "d", priority=5)
    add(store, "e", priority=-1)
    add(store, "f", priority=5, front=True)
    add(store, "g", front=True)
    assert waiting(store) == ["f", "c", "d", "g", "a", "b", "e"]


def test_order_comes_from_numbers_even_when_the_clock_goes_backwards(tmp_path: Path) -> None:
    times = iter(range(1000, 0, -10))
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(age_s=50), clock=lambda: float(next(times))) as store:
        through(store, *"abc")
        add(store, "d", "e")
        assert waiting(store) == ["d", "e"]
        assert listed(store) == ["e", "d", "c", "b", "a"]  # none is older than it is: ages are never negative
        assert listed(store, by="ended") == ["c", "b", "a"]


# -- lists


@pytest.mark.parametrize("by", ["accepted", "ended"])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("states", [None, ["failed"], ["succeeded", "failed"], OVER, ["pending", "cancelled"], []])
def test_skipping_gives_the_rest_of_the_same_list(store: Store, states: Any, by: Any, newest_first: bool) -> None:
    names = [f"{number:02}" for number in range(24)]
    add(store, *names)
    ended: dict[str, JobState] = {}
    for number, name in enumerate(reversed(names)):
        if number % 4:
            ended[name] = OVER[number % 4 - 1]
            store.start(name)
            store.finish(name, OVER[number % 4 - 1]).result()  # type: ignore[arg-type]
    order = names if by == "accepted" else list(ended)
    expected = [name for name in order if states is None or ended.get(name, "pending") in states]
    expected = expected[::-1] if newest_first else expected
    options: dict[str, Any] = {"states": states, "by": by, "newest_first": newest_first}
    assert listed(store, **options) == expected
    for offset in (1, 5, 23, 100):
        assert listed(store, offset=offset, limit=3, **options) == expected[offset : offset + 3]


def test_pages_stay_right_while_jobs_come_and_go(store: Store) -> None:
    through(store, *(f"{number:02}" for number in range(10)))
    first = store.list(limit=4)
    through(store, "new")
    store.delete(["06", "03"]).result()
    second = store.list(limit=4, after=first.after)
    third = store.list(limit=4, after=second.after)
    seen = [job.request.id for page in (first, second, third) for job in page.jobs]
    assert seen == ["09", "08", "07", "06", "05", "04", "02", "01", "00"]
    assert third.after is None
    assert listed(store, newest_first=False, limit=2) == ["00", "01"]
    assert listed(store, newest_first=False, limit=2, after=store.list(newest_first=False, limit=2).after) == [
        "02",
        "04",
    ]


def test_lists_by_state_client_and_end(store: Store) -> None:
    add(store, "a", "b", client="me")
    add(store, "c", "d", "e", client="you")
    for job_id, state in [("d", "succeeded"), ("a", "failed"), ("c", "succeeded")]:
        store.start(job_id)
        store.finish(job_id, state).result()  # type: ignore[arg-type]
    assert listed(store, states=["pending"]) == ["e", "b"]
    assert listed(store, states=["failed", "succeeded"]) == ["d", "c", "a"]
    assert listed(store, client="me") == ["b", "a"]
    assert listed(store, client="you", states=["succeeded"], newest_first=False) == ["c", "d"]
    assert listed(store, client="nobody") == []
    assert listed(store, by="ended") == ["c", "a", "d"]
    assert listed(store, by="ended", newest_first=False, limit=2) == ["d", "a"]
    page = store.list(by="ended", limit=1)
    assert listed(store, by="ended", after=page.after) == ["a", "d"]
    assert store.counts() == {"pending": 2, "running": 0, "succeeded": 2, "failed": 1, "cancelled": 0}


# -- forgetting


def test_delete_takes_jobs_that_are_over_all_or_none(store: Store) -> None:
    through(store, "a", "b", "c")
    add(store, "d")
    with pytest.raises(StoreError, match="'d' is pending"):
        store.delete(["a", "d"]).result()
    assert store.get("a")
    assert store.delete(["a", "x", "a", "b"]).result() == 2
    assert listed(store) == ["d", "c"]
    add(store, "a", prompt={"other": {}})  # the id is free again


def test_clear_history_leaves_what_waits_or_runs(store: Store) -> None:
    through(store, *(str(number) for number in range(120)))
    add(store, "a", "b")
    store.start("b")
    assert store.clear_history().result() == 120
    assert listed(store) == ["b", "a"]
    assert store.clear_history().result() == 0
    assert store.search("Add").jobs == store.list().jobs


def test_clear_history_may_leave_the_jobs_of_others(store: Store) -> None:
    for number in range(2 * STEP + 20):
        add(store, str(number), client=f"c{number % 4}")
        store.finish(str(number), "cancelled").result()
    assert store.clear_history(lambda client: client in ("c1", "c3")).result() == STEP + 10
    assert {job.request.client for job in store.list().jobs} == {"c0", "c2"}
    assert store.count() == STEP + 10


def test_clear_history_leaves_what_ends_meanwhile(store: Store) -> None:
    through(store, *(str(number) for number in range(STEP)))
    add(store, "a")
    store.start("a").result()
    cleared = store.clear_history()
    store.finish("a", "succeeded").result()
    assert cleared.result() == STEP
    assert listed(store) == ["a"]


def test_finished_jobs_are_dropped_by_count_the_oldest_first(tmp_path: Path) -> None:
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(finished=3)) as store:
        add(store, "waits", "runs")
        store.start("runs")
        through(store, *(f"{number:03}" for number in range(130)))
        add(store, "last")  # by then the last dropping is done
    with Store(tmp_path / "queue.sqlite") as store:
        assert listed(store) == ["last", "129", "128", "127", "runs", "waits"]
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(finished=0)) as store:
        add(store, "more", "behind the dropping")
        assert listed(store, states=OVER) == []


def test_finished_jobs_are_dropped_by_age(tmp_path: Path) -> None:
    now = 0.0
    with Store(tmp_path / "queue.sqlite", limits=StoreLimits(age_s=100), clock=lambda: now) as store:
        add(store, "waits")
        through(store, *(f"old {number}" for number in range(60)))
        now = 101.0
        through(store, "new")
        add(store, "another", "last")  # each waits for a step of the dropping
        assert listed(store) == ["last", "another", "new", "waits"]


# -- events


def test_events_are_given_from_where_a_client_was(store: Store) -> None:
    add(store, "a", "b")
    store.add_events("a", [(1, "One", '{"n":1}'), (2, "Two", '{"n":2}')])
    store.add_events("b", [(1, "One", "other")])
    store.add_events("a", [(2, "Two", "late"), (3, "Three", '{"n":3}')]).result()
    assert store.events("a", 0) == [(1, '{"n":1}'), (2, '{"n":2}'), (3, '{"n":3}')]
    assert store.events("a", 2) == [(3, '{"n":3}')]
    assert store.events("x", 0) == []
    store.finish("a", "cancelled")
    store.delete(["a"]).result()
    store.add_events("a", [(4, "Four", "too late")]).result()
    add(store, "a")
    assert store.events("a", 0) == []


def test_events_of_certain_kinds_are_found_for_many_jobs_at_once(store: Store) -> None:
    names = [str(number) for number in range(1200)]
    add(store, *names)
    for name in names:
        rows = [(1, "Began", "begins " + name), (2, "Step", "x" * 100), (10, "Ended", "ends"), (9, "Began", "again")]
        store.add_events(name, rows)
    store.add_events("0", [(11, "Step", "last")]).result()
    found = store.milestones([*names, "nobody"], ["Ended", "Began"])
    assert found == {name: [(1, "begins " + name), (9, "again"), (10, "ends")] for name in names}
    assert store.milestones(["0", "1"], ["Step"]) == {"0": [(2, "x" * 100), (11, "last")], "1": [(2, "x" * 100)]}
    assert store.milestones([], ["Step"]) == store.milestones(["0"], []) == {}


# -- closing


def test_close_finishes_what_was_asked_for_and_refuses_the_rest(tmp_path: Path) -> None:
    store = Store(tmp_path / "queue.sqlite")
    futures = [store.add(request(str(number))) for number in range(1000)]
    store.close()
    store.close()
    assert [future.result().number for future in futures] == list(range(1, 1001))
    with pytest.raises(StoreError, match="closed"):
        store.add(request("late")).result()
    with pytest.raises(StoreError, match="closed"):
        store.get("0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queue.sqlite", "queue.sqlite.lock"]
