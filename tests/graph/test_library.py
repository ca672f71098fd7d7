"""Library use: documents run without a server, a queue or a store."""

import asyncio
import threading
from collections.abc import Hashable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from graph import Context, DocumentError, Int, Node, Paths, Registry, Result
from graph.build import build, use
from graph.events import Event, RunFinished
from graph.library import PlainValues, Session, Surroundings, run
from tests.graph.toys import PATIENCE_S, REGISTRY, SUM, Add, Divide, Gate, Log, Show, Wait, document, ran


class Where(Node[str]):
    """Tells in which folder the installation is."""

    def run(self, ctx: Context) -> str:
        return str(ctx.paths.base)


@pytest.fixture
def around(log: Log) -> Surroundings:
    return Surroundings(resources=[log])


def test_a_document_that_was_written_in_python_brings_its_classes(around: Surroundings) -> None:
    result = asyncio.run(run(build(total=Add(a=Add(a=1).out, b=5)), surroundings=around, targets=["total"]))
    assert result.outputs == {"total": (6,)}


def test_a_document_from_a_file_takes_its_classes_from_a_registry(around: Surroundings) -> None:
    result = asyncio.run(run(document(**SUM), REGISTRY, surroundings=around, keep=["b"]))
    assert result.outputs["b"] == (6,)
    assert result.ui == {"s": {"text": [6]}}


def test_a_workflow_may_take_its_classes_from_both(around: Surroundings) -> None:
    written = build(where=Where(), total=use(REGISTRY["Add"], a=1))
    result = asyncio.run(run(written, REGISTRY, Paths(Path("/here")), around, targets=["where", "total"]))
    assert result.outputs == {"where": ("/here",), "total": (1,)}


def test_two_classes_of_one_name_are_not_confused() -> None:
    class Show(Node[None], output=True):
        def run(self, ctx: Context) -> None:
            pass

    with pytest.raises(ValueError, match="two node classes are called 'Show'"):
        asyncio.run(run(build(Show()), REGISTRY))


def test_what_cannot_run_raises_every_problem() -> None:
    with pytest.raises(DocumentError) as caught:
        asyncio.run(run(document(a=("Add", {"a": "x"}), s=("Show", {"value": ["b", 0]})), REGISTRY, targets=["a", "s"]))
    assert [problem.node_id for problem in caught.value.problems] == ["a", "s"]


def test_what_fails_while_it_runs_is_in_the_result(around: Surroundings) -> None:
    written = build(bad=Divide(a=1, b=0), good=Show(value=3))
    result = asyncio.run(run(written, surroundings=around, targets=["bad", "good"]))
    assert [failure.node_id for failure in result.failures] == ["bad"]
    assert result.ui == {"good": {"text": [3]}}


def test_the_sink_is_told_what_happens(around: Surroundings) -> None:
    told: list[Event] = []
    asyncio.run(run(build(Show(value=1)), surroundings=around, sink=told.append))
    assert isinstance(told[-1], RunFinished)


def test_no_thread_is_left_behind(around: Surroundings) -> None:
    before = set(threading.enumerate())
    asyncio.run(run(build(Show(value=1)), surroundings=around))
    with pytest.raises(DocumentError):
        asyncio.run(run(build(Add())))
    assert set(threading.enumerate()) <= before


def test_nothing_is_written(around: Surroundings, tmp_path: Path) -> None:
    asyncio.run(run(build(Show(value=1)), None, Paths(tmp_path), around))
    assert list(tmp_path.rglob("*")) == []


def test_a_session_remembers_results_and_runs_several_at_once(around: Surroundings, log: Log) -> None:
    shared = Add(a=1)

    async def both(session: Session) -> list[Any]:
        await session.run(build(first=shared), targets=["first"])
        assert ran(log) == ["first"]
        documents = [build(last=Add(a=Add(a=1).out, b=number)) for number in (10, 20)]
        return list(await asyncio.gather(*(session.run(each, targets=["last"]) for each in documents)))

    with Session(surroundings=around) as session:
        results = asyncio.run(both(session))
    assert [result.outputs["last"] for result in results] == [(11,), (21,)]
    assert ran(log) == ["last", "last"]


def test_results_say_why_their_nodes_ran_if_that_is_asked_for(around: Surroundings) -> None:
    with Session(surroundings=around, explain=True) as session:
        for a, reason in ((1, "new"), (1, "memory"), (2, "changed")):
            result = asyncio.run(session.run(build(total=Add(a=a)), targets=["total"]))
            assert [(each.node_id, each.reason) for each in result.explanations] == [("total", reason)]
    assert asyncio.run(run(build(Show(value=1)), surroundings=around)).explanations == ()


def test_a_folder_keeps_results_and_what_ran_for_the_next_session(
    around: Surroundings, log: Log, tmp_path: Path
) -> None:
    for a, reason in ((1, "new"), (1, "disk"), (2, "changed")):
        with Session(surroundings=around, cache_dir=tmp_path) as session:
            result = asyncio.run(session.run(build(total=Add(a=a)), targets=["total"]))
            assert result.outputs == {"total": (a,)}
            assert [each.reason for each in result.explanations] == [reason]
    assert ran(log) == ["total", "total"]


def test_a_node_that_takes_too_long_is_a_failure() -> None:
    gate = Gate()
    with Session(surroundings=Surroundings(resources=[gate]), limit_s=0.1) as session:
        result = asyncio.run(session.run(build(w=Wait()), targets=["w"]))
        gate.open.set()
    assert "it took longer than 0.1 seconds" in str(result.failures[0])


def test_a_registry_is_not_changed(around: Surroundings) -> None:
    registry = Registry(Show)
    asyncio.run(run(build(Show(value=Add().out)), registry, surroundings=around))
    assert set(registry) == {"Show"}


class Heavy(Node[Any]):
    """Gives a value that the codec below weighs at 10,000 bytes."""

    number: int = Int(default=0)

    def run(self, ctx: Context) -> Any:
        ctx.resource(Log).ran.append(str(self.number))
        return bytes([self.number])


class Weights(PlainValues):
    def storages(self, value: object) -> Iterable[tuple[Hashable, int]]:
        return [(value, 10_000)] if isinstance(value, bytes) else []


def again(session: Session, log: Log) -> list[str]:
    """What runs the second time, of ten heavy results."""
    heavy = [build(h=Heavy(number=number)) for number in range(10)]
    for each in heavy * 2:
        asyncio.run(session.run(each, targets=["h"]))
    return ran(log)[10:]


def test_networks_and_results_share_one_budget_of_which_results_have_a_part_in_any_case(log: Log) -> None:
    for held_bytes, forgotten in ((0, 0), (20_000, 0), (10**9, 10)):
        around = Surroundings(resources=[log], codec=Weights(), held_bytes=partial(int, held_bytes))
        with Session(surroundings=around, memory_bytes=160_000) as session:
            assert len(again(session, log)) == forgotten
            for _ in range(2):
                asyncio.run(session.run(build(h=Heavy(number=5)), targets=["h"]))
            assert len(ran(log)) == (1 if forgotten else 0)


def test_for_want_of_memory_results_are_let_go_of_too(log: Log) -> None:
    class Hungry(Node[int]):
        def run(self, ctx: Context) -> int:
            ran_before = ctx.resource(Log).ran
            ran_before.append("hungry")
            if ran_before.count("hungry") == 1:
                raise MemoryError
            return 1

    around = Surroundings(resources=[log], relief=lambda error: isinstance(error, MemoryError))
    with Session(surroundings=around) as session:
        asyncio.run(session.run(build(a=Add(a=1)), targets=["a"]))
        assert asyncio.run(session.run(build(h=Hungry()), targets=["h"])).outputs == {"h": (1,)}
        asyncio.run(session.run(build(a=Add(a=1)), targets=["a"]))
    assert ran(log) == ["a", "hungry", "hungry", "a"]


def test_networks_and_results_are_let_go_of_when_asked(log: Log) -> None:
    released: list[str] = []
    around = Surroundings(resources=[log], release=lambda: released.append("networks"))
    prompt = document(**SUM)
    with Session(REGISTRY, surroundings=around) as session:
        asyncio.run(session.run(prompt, targets=["b"]))
        session.release(models=True, results=False)
        assert released == ["networks"]
        asyncio.run(session.run(prompt, targets=["b"]))
        assert ran(log) == ["a", "b"]
        session.release(models=False, results=True)
        assert released == ["networks"]
        asyncio.run(session.run(prompt, targets=["b"]))
        assert ran(log) == ["a", "b"]


def test_results_are_let_go_of_while_a_run_uses_them(log: Log) -> None:
    gate = Gate()
    prompt = document(a=("Add", {"a": 2}), w=("Wait", {"value": 1}), b=("Add", {"a": ["a", 0], "b": ["w", 0]}))

    async def scene(session: Session) -> Result:
        running = asyncio.create_task(session.run(prompt, targets=["b"]))
        assert await asyncio.to_thread(gate.reached.wait, PATIENCE_S)
        session.release(models=True, results=True)
        gate.open.set()
        return await running

    with Session(REGISTRY, surroundings=Surroundings(resources=[log, gate])) as session:
        assert asyncio.run(scene(session)).outputs == {"b": (3,)}
