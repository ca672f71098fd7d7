"""Nodes that wait together, fail, hang or write where they may not; what runs share; which device computes."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from graph import (
    Context,
    Engine,
    Int,
    Lanes,
    MemoryCache,
    Node,
    Paths,
    Registry,
    Result,
    Toggle,
    WeightlessValues,
    plan,
)
from graph.build import build
from graph.document import Link
from graph.effects import Effects
from graph.events import Event, NodesCached, NodeStarted, NodeWarned
from graph.given import Expansion, Many
from tests.graph.semantic_toys import EVERY, go, only_value
from tests.graph.toys import PATIENCE_S, Add, Gate, Log, document, graph, ran

# ── async nodes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_async_nodes_wait_at_the_same_time(house: Engine) -> None:
    prompt = document(
        **{f"m{n}": ("Meet", {"value": n, "of": 5}) for n in range(5)},
        t=("Add", {"a": ["m0", 0], "b": ["m4", 0]}), s=("Show", {"value": ["t", 0]}),
    )  # fmt: skip
    result = go(house, prompt, ["s", "m1", "m2", "m3"])
    assert result.ui == {"s": {"text": [4]}}


def test_the_calls_of_an_async_node_wait_at_the_same_time(house: Engine) -> None:
    prompt = document(n=("Numbers", {"count": 3}), m=("Meet", {"value": ["n", 0], "of": 3}))
    assert only_value(house, prompt, "m") == Many((0, 1, 2))


def test_a_waiting_async_node_can_be_cancelled(house: Engine) -> None:
    class Forever(Node[int]):
        async def run(self, ctx: Context) -> int:
            ctx.resource(Gate).reached.set()
            await asyncio.Event().wait()
            return 1

    planned = plan(graph(document(f=("Forever", {})), house.paths, Registry(Forever), ["f"]))

    async def scene() -> None:
        task = asyncio.create_task(house.run(planned))
        await asyncio.to_thread(house.resources[Gate].reached.wait, PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE_S)

    asyncio.run(scene())


def test_an_async_node_that_would_end_the_program_fails_and_others_go_on(house: Engine) -> None:
    class Leave(Node[int]):
        async def run(self, ctx: Context) -> int:
            await asyncio.sleep(0)
            raise SystemExit(3)

    registry = Registry(*EVERY.values(), Leave)
    for _ in range(2):
        prompt = document(x=("Leave", {}), m=("Meet", {"value": 4, "of": 1}))
        result = asyncio.run(house.run(plan(graph(prompt, house.paths, registry, ["x", "m"]))))
        assert [str(failure) for failure in result.failures] == [
            "Leave (node x) failed: RuntimeError: it raised SystemExit: 3"
        ]
        assert result.outputs == {"m": (4,)}


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("one", "declares 2 outputs but gave int"),
        ("three", "a tuple of 3"),
        ("type", "declares its output sum as INT, but gave str"),
        ("none", "gave NoneType"),
    ],
)
def test_a_node_that_gives_something_else_than_it_says_has_failed(house: Engine, how: str, sentence: str) -> None:
    result = go(house, document(x=("Lies", {"how": how})), ["x"])
    assert sentence in str(result.failures[0])


def test_a_node_that_hangs_is_given_up_and_the_rest_goes_on(tmp_path: Path, log: Log) -> None:
    class Hang(Node[int], category="toys"):
        def run(self, ctx: Context) -> int:
            gate = ctx.resource(Gate)
            gate.open.wait(PATIENCE_S)
            return 1

    gate = Gate()
    registry = Registry(*EVERY.values(), Hang)
    prompt = document(
        h=("Hang", {}), s=("Show", {"value": ["h", 0]}), a=("Add", {"a": 1}), t=("Show", {"value": ["a", 0]})
    )
    with Lanes({"cpu": 1, "io": 1}, limit_s=0.05) as lanes:
        house = Engine(lanes, MemoryCache(10**9, WeightlessValues()), Paths(tmp_path), resources=[log, gate])
        result = asyncio.run(house.run(plan(graph(prompt, house.paths, registry))))
        gate.open.set()
    assert [failure.node_id for failure in result.failures] == ["h"]
    assert "longer than 0.05 seconds" in str(result.failures[0])
    assert result.ui == {"t": {"text": [1]}}


class Numbered:
    """A list that counts what is done to it, as a tensor's version does."""

    def __init__(self) -> None:
        self.version = 0


class Versions:
    def versions(self, value: object) -> object:
        return value.version if isinstance(value, Numbered) else 0


def test_a_third_party_node_that_writes_into_its_input_is_named_and_nothing_of_it_is_reused(
    lanes: Lanes, tmp_path: Path, log: Log
) -> None:
    class Make(Node[Any]):
        def run(self, ctx: Context) -> Any:
            ctx.resource(Log).ran.append(ctx.node_id)
            return Numbered()

    class Write(Node[Any]):
        value: Any = None
        settings: Any = None

        def run(self, ctx: Context) -> Any:
            self.value.version += 1
            return 1

    Write._schema = dataclasses.replace(Write.schema(), foreign=True)  # type: ignore[attr-defined]
    registry = Registry(Make, Write)
    house = Engine(lanes, MemoryCache(10**9, WeightlessValues()), Paths(tmp_path), resources=[log], guard=Versions())
    planned = plan(graph(document(m=("Make", {}), w=("Write", {"value": ["m", 0]})), house.paths, registry, ["w"]))
    told: list[Event] = []
    asyncio.run(house.run(planned, sink=told.append))
    asyncio.run(house.run(planned))
    assert ran(log) == ["m", "m"]
    (warned,) = [event for event in told if isinstance(event, NodeWarned)]
    assert (warned.node_id, "as value" in warned.message) == ("w", True)


def test_memory_is_freed_once_for_a_node_that_had_too_little(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    freed: list[BaseException] = []

    def relief(error: BaseException) -> bool:
        freed.append(error)
        return isinstance(error, MemoryError)

    class Hungry(Node[int]):
        need: int = Int(default=1)

        def run(self, ctx: Context) -> int:
            if len(freed) < self.need:
                raise MemoryError
            return self.need

    house = Engine(lanes, MemoryCache(10**9, WeightlessValues()), Paths(tmp_path), relief=relief)
    one = plan(graph(document(h=("Hungry", {"need": 1})), house.paths, Registry(Hungry), ["h"]))
    assert asyncio.run(house.run(one)).outputs == {"h": (1,)}
    assert len(freed) == 1
    many = plan(graph(document(h=("Hungry", {"need": 9})), house.paths, Registry(Hungry), ["h"]))
    result = asyncio.run(house.run(many))
    assert isinstance(result.failures[0].error, MemoryError)
    assert len(freed) == 2


# ── what is shared, and what need not run again ───────────────────────────────────────────────────────────────────────


class Write(Node[None], output=True):
    """Saves a text file."""

    text: str

    lane = "io"

    def run(self, ctx: Context) -> None:
        ctx.resource(Log).ran.append(ctx.node_id)
        with ctx.series("note").claim(".txt") as claim:
            claim.part.write_text(self.text)
        ctx.show("files", [claim.entry])


def test_an_output_node_need_not_save_again_while_its_files_are_there_unchanged(
    lanes: Lanes, tmp_path: Path, log: Log
) -> None:
    cache = MemoryCache(10**9, WeightlessValues())
    house = Engine(lanes, cache, Paths(tmp_path), resources=[log], effects=Effects())
    planned = plan(graph(document(w=("Write", {"text": "a"})), house.paths, Registry(Write)))
    first = asyncio.run(house.run(planned))
    again = asyncio.run(house.run(planned))
    assert (ran(log), again.ui, again.cached) == (["w"], first.ui, ("w",))
    (tmp_path / "output" / "note_00001_.txt").write_text("changed")
    asyncio.run(house.run(planned))
    assert ran(log) == ["w"]
    (tmp_path / "output" / "note_00002_.txt").unlink()
    asyncio.run(house.run(planned))
    assert ran(log) == ["w"]
    always = Engine(lanes, cache, Paths(tmp_path), resources=[log])
    asyncio.run(always.run(planned))
    assert ran(log) == ["w"]


def test_what_another_run_has_finished_meanwhile_is_taken(house: Engine, log: Log) -> None:
    """The second run begins while the first computes what both need; the lane has one thread, so it comes after it."""
    prompt = document(w=("Wait", {"value": 3}), a=("Add", {"a": ["w", 0]}), s=("Show", {"value": ["a", 0]}))
    planned = plan(graph(prompt, house.paths, EVERY))
    told: list[Event] = []

    async def scene(engine: Engine) -> tuple[Result, Result]:
        first = asyncio.create_task(engine.run(planned))
        await asyncio.to_thread(engine.resources[Gate].reached.wait, PATIENCE_S)
        second = asyncio.create_task(engine.run(planned, sink=told.append))
        await asyncio.sleep(0)
        engine.resources[Gate].open.set()
        return await first, await second

    with Lanes({"cpu": 1, "io": 2}) as lanes:
        engine = Engine(
            lanes, MemoryCache(10**9, WeightlessValues()), house.paths, registry=EVERY, resources=[log, Gate()]
        )
        first, second = asyncio.run(scene(engine))
    assert first.ui == second.ui == {"s": {"text": [3]}}
    assert ran(log).count("a") == 1
    started = [event.node_id for event in told if isinstance(event, NodeStarted)]
    cached = [node_id for event in told if isinstance(event, NodesCached) for node_id in event.node_ids]
    assert "a" not in started
    assert "a" in cached


def test_branches_spread_over_two_devices_and_a_chain_stays_on_its_own(tmp_path: Path) -> None:
    class Device:
        def __init__(self, name: str) -> None:
            self.name = name

    class On(Node[str]):
        """Tells on which device it ran; waits until all that shall run at the same time have come."""

        before: Any = None
        meet: bool = Toggle(default=False, optional=True)

        lane = "device"

        def run(self, ctx: Context) -> str:
            if self.meet:
                ctx.resource(threading.Barrier).wait(PATIENCE_S)
            return ctx.resource(Device).name

    prompt = document(
        a=("On", {"meet": True}), b=("On", {"before": "b", "meet": True}),
        a2=("On", {"before": ["a", 0]}), b2=("On", {"before": ["b", 0]}),
    )  # fmt: skip
    with Lanes({"device": 2, "cpu": 1, "io": 1}) as lanes:
        house = Engine(
            lanes, MemoryCache(0, WeightlessValues()), Paths(tmp_path), resources=[threading.Barrier(2)],
            lane_resources={name: [Device(name)] for name in lanes.devices},
        )  # fmt: skip
        planned = plan(graph(prompt, house.paths, Registry(On), ["a2", "b2", "a", "b"]))
        outputs = asyncio.run(house.run(planned)).outputs
    assert {outputs["a"], outputs["b"]} == {("device 0",), ("device 1",)}
    assert (outputs["a2"], outputs["b2"]) == (outputs["a"], outputs["b"])


def test_runs_spread_over_two_devices(tmp_path: Path) -> None:
    """Each waits on its device until the other has come to its own: on one device neither would end."""

    class Meeting(Node[bool]):
        lane = "device"
        pure = False

        def run(self, ctx: Context) -> bool:
            ctx.resource(threading.Barrier).wait(PATIENCE_S)
            return True

    async def both(house: Engine) -> list[Result]:
        planned = plan(graph(document(m=("Meeting", {})), house.paths, Registry(Meeting), ["m"]))
        return list(await asyncio.gather(house.run(planned), house.run(planned)))

    with Lanes({"device": 2, "cpu": 1, "io": 1}) as lanes:
        house = Engine(
            lanes, MemoryCache(0, WeightlessValues()), Paths(tmp_path), resources=[threading.Barrier(2)],
        )  # fmt: skip
        results = asyncio.run(both(house))
    assert [result.outputs for result in results] == [{"m": (True,)}, {"m": (True,)}]


def test_nodes_built_in_python_bring_their_classes_along(house: Engine) -> None:
    class Twice(Node[int]):
        value: int = Int(default=0)

        def run(self, ctx: Context) -> Expansion:
            return Expansion(build(Add(a=self.value, b=self.value)), (Link("1", 0),), local=True)

    prompt = document(t=("Twice", {"value": 4}))
    result = asyncio.run(house.run(plan(graph(prompt, house.paths, Registry(Twice), ["t"]))))
    assert result.outputs == {"t": (8,)}
