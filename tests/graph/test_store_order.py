"""Where a waiting job stands: numbers that were counted, exact places, the front, and moves."""

from typing import Any

import pytest

from graph.store import JobConflict, Store, StoreError
from tests.graph.stored import add, request, waiting


def test_pending_jobs_can_be_moved(store: Store) -> None:
    add(store, *"abcd")
    store.change("c", front=True).result()
    assert waiting(store) == ["c", "a", "b", "d"]
    store.change("d", before="b").result()
    assert waiting(store) == ["c", "a", "d", "b"]
    store.change("c", before="b").result()
    assert waiting(store) == ["a", "d", "c", "b"]
    moved = store.change("b", priority=3).result()
    assert moved.request.priority == 3
    assert waiting(store) == ["b", "a", "d", "c"]
    assert store.change("c", before="b").result().request.priority == 3
    assert waiting(store) == ["c", "b", "a", "d"]
    store.change("d", priority=3, front=True).result()
    assert waiting(store) == ["d", "c", "b", "a"]
    add(store, "e")
    assert waiting(store) == ["d", "c", "b", "a", "e"]


def test_an_exact_place_stands_among_those_that_were_counted(store: Store) -> None:
    add(store, *"abc")
    for name, place in {
        "early": 0,
        "between": 1.5,
        "late": 2**53,
        "tie": 2.0,
        "front": -0.5,
        "first": -(2**53),
    }.items():
        job = store.add(request(name, place=place)).result()
        assert (job.number, job.request.place, job.front) == (place, place, place < 0)
    assert waiting(store) == ["first", "front", "early", "a", "between", "b", "tie", "c", "late"]
    assert store.add(request("next")).result().number == 4
    assert store.add(request("head", front=True)).result().number == -(2**53) - 1
    store.change("late", before="between").result()
    assert waiting(store) == ["head", "first", "front", "early", "a", "late", "between", "b", "tie", "c", "next"]


def test_moving_before_keeps_the_order_of_fractions_that_lie_close_together(store: Store) -> None:
    for name, place in {"a": 3e-300, "b": 2e-300, "c": 1e-300, "d": 4e-300}.items():
        store.add(request(name, place=place)).result()
    add(store, "e")
    store.change("e", before="d").result()
    assert waiting(store) == ["c", "b", "a", "e", "d"]


def test_one_at_the_front_stays_before_a_lower_number(store: Store) -> None:
    add(store, "a")
    store.add(request("front", place=-1)).result()
    store.add(request("b", place=-0.0)).result()
    store.change("a", front=True).result()
    assert waiting(store) == ["a", "front", "b"]
    store.start("a")
    store.finish("a", "failed").result()
    assert not store.retry("a").result().front
    assert waiting(store) == ["front", "b", "a"]


@pytest.mark.parametrize("place", [float("nan"), float("inf"), -(2**53) - 1, True, "1", 10**400])
def test_a_place_that_is_no_proper_number_is_refused(store: Store, place: Any) -> None:
    with pytest.raises(StoreError, match=r"cannot stand at .*; give a number between"):
        store.add(request("a", place=place)).result()
    assert store.get("a") is None


def test_an_exact_place_and_what_a_client_keeps_are_part_of_the_request(store: Store) -> None:
    asked = request("a", place=1.5, extra={"client_id": "me", "deep": {"token": "hidden", "x": [1]}})
    store.add(asked).result()
    job = store.add(asked).result()
    assert job.request.extra == {"client_id": "me", "deep": {"x": [1]}}
    assert store.get("a") == job
    for other in ({"place": 1.5}, {"place": 2, "extra": asked.extra}, {"extra": asked.extra}):
        with pytest.raises(JobConflict):
            store.add(request("a", **other)).result()


def test_any_order_can_be_made_by_moving_before(store: Store) -> None:
    names = [f"{number:02}" for number in range(30)]
    add(store, *names)
    expected = list(names)
    for count in range(100):
        job, other = names[count * 7 % 30], names[(count * 11 + 3) % 30]
        if job != other:
            store.change(job, before=other).result()
            expected.remove(job)
            expected.insert(expected.index(other), job)
    assert waiting(store) == expected
    store.change(names[0], before=names[0]).result()
    assert waiting(store) == expected


def test_a_job_moves_only_before_one_that_waits(store: Store) -> None:
    add(store, "a", "b")
    store.start("b")
    with pytest.raises(StoreError, match="Job 'b' is running"):
        store.change("a", before="b").result()
    with pytest.raises(StoreError, match="no job 'x'"):
        store.change("a", before="x").result()
