"""Where several things that nodes may do meet: none of it is lost, told twice, or waited for in vain."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from graph import Context, Engine, Lanes, MemoryCache, Node, Paths, Registry, WeightlessValues, plan
from graph.document import Document, DocumentNode, Link
from graph.events import Event, NodeFailed, NodesCached, RunFinished
from graph.given import Expansion, Many
from tests.graph.semantic_toys import EVERY, go
from tests.graph.toys import PATIENCE_S, Gate, Log, document, graph, ran


def test_a_sink_that_fails_while_a_result_of_another_run_is_taken_ends_the_run_once(house: Engine, log: Log) -> None:
    """Of two equal runs, one takes what the other has finished meanwhile; the news of that is what fails."""
    told: list[Event] = []

    class Slow(Node[int]):
        def run(self, ctx: Context) -> int:
            gate = ctx.resource(Gate)
            if not gate.reached.is_set():  # only the first
                gate.reached.set()
                gate.open.wait(PATIENCE_S)
            return 0

    class Sinking(Exception):
        pass

    def sink(event: Event) -> None:
        told.append(event)
        if isinstance(event, NodesCached) and event.node_ids:
            raise Sinking

    registry = Registry(*EVERY.values(), Slow)
    first = document(slow=("Slow", {}), c=("Add", {"a": 2, "b": ["slow", 0]}))
    planned = plan(graph(first, house.paths, registry, ["c"]))

    async def scene() -> None:
        one = asyncio.create_task(house.run(planned, sink=sink))
        gate = house.resources[Gate]
        await asyncio.to_thread(gate.reached.wait, PATIENCE_S)
        await house.run(planned)
        gate.open.set()
        with pytest.raises(Sinking):
            await one

    asyncio.run(scene())
    assert [type(event) for event in told].count(RunFinished) <= 1


def test_what_a_failed_node_asked_for_runs_for_another_that_asks_later(house: Engine, log: Log) -> None:
    """`one` asks for something that has failed, and for `good`, which `two` holds and asks for after that."""

    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}), wait=("Odd", {"number": 1}), good=("Add", {"a": 5}),
        numbers=("Numbers", {"count": 2}), odd=("Odd", {"number": ["numbers", 0]}),
        one=("If", {"condition": ["odd", 0], "on_true": ["bad", 0], "on_false": ["good", 0]}),
        also=("Add", {"a": ["bad", 0]}),
        late0=("Add", {"a": 1}), late1=("Add", {"a": ["late0", 0]}), late2=("Odd", {"number": ["late1", 0]}),
        two=("If", {"condition": ["late2", 0], "on_true": ["good", 0]}),
    )  # fmt: skip
    with Lanes({"cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), house.paths, registry=EVERY, resources=[log])
        result = go(house, prompt, ["also", "one", "two"])
    assert result.outputs == {"two": (5,)}


class Elsewhere(Node[int]):
    lane = "device"

    def run(self, ctx: Context) -> int:
        return 1


class Makes(Node[int]):
    """Makes a node for a device."""

    def run(self, ctx: Context) -> Expansion:
        return Expansion(Document({"x": DocumentNode("Elsewhere", {})}, {}), (Link("x", 0),), local=True)


def test_nodes_for_a_lane_that_is_not_there_are_the_fault_of_the_one_that_made_them(paths: Paths, log: Log) -> None:
    registry = Registry(*EVERY.values(), Makes, Elsewhere)
    planned = plan(graph(document(m=("Makes", {}), s=("Show", {"value": 1})), paths, registry, ["m", "s"]))
    with Lanes({"cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, registry=registry, resources=[log])
        result = asyncio.run(house.run(planned))
    assert [failure.node_id for failure in result.failures] == ["m"]
    assert "lane" in str(result.failures[0])
    assert result.ui == {"s": {"text": [1]}}


def test_a_work_that_gives_its_outputs_once_more_leaves_its_device_once(paths: Paths, log: Log) -> None:
    class Later(Node[int]):
        """Takes from a node that nobody seemed to need any more."""

        after: int

        def run(self, ctx: Context) -> Expansion:
            nodes = {"x": DocumentNode("Add", {"a": Link("c", 0), "b": 0})}
            return Expansion(Document(nodes, {}), (Link("x", 0),), local=True)

    registry = Registry(*EVERY.values(), Later)
    prompt = document(c=("Count", {"to": 2}), a=("Add", {"a": ["c", 0], "b": 1}), l=("Later", {"after": ["a", 0]}))
    with Lanes({"device": 1, "cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, registry=registry, resources=[log])
        result = asyncio.run(house.run(plan(graph(prompt, paths, registry, ["l"]))))
        assert result.outputs == {"l": (2,)}
        assert ran(log).count("c start") == 2
        assert house._house.placement._works == {"device 0": 0}


def test_a_list_given_to_a_made_node_is_not_several_values(house: Engine) -> None:
    class Gives(Node[Any]):
        several: bool = False

        def run(self, ctx: Context) -> Expansion:
            value = Many((1, 2)) if self.several else [1, 2]
            return Expansion(Document({"x": DocumentNode("Same", {"value": value})}, {}), (Link("x", 0),), local=True)

    class Same(Node[Any]):
        value: Any = None

        def run(self, ctx: Context) -> Any:
            return self.value

    registry = Registry(*EVERY.values(), Gives, Same)
    runner = Engine(house.lanes, house.cache, house.paths, registry=registry)
    for several, value in ((False, [1, 2]), (True, Many((1, 2)))):
        planned = plan(graph(document(g=("Gives", {"several": several})), house.paths, registry, ["g"]))
        assert asyncio.run(runner.run(planned)).outputs == {"g": (value,)}


def test_all_calls_of_an_async_node_have_ended_when_its_run_has(house: Engine, log: Log) -> None:
    class Tidy(Node[int]):
        value: int = 0

        async def run(self, ctx: Context) -> int:
            try:
                if self.value == 1:
                    raise ZeroDivisionError
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ctx.resource(Log).ran.append(f"tidied {self.value}")
            return 1

    registry = Registry(*EVERY.values(), Tidy)
    prompt = document(n=("Numbers", {"count": 2}), t=("Tidy", {"value": ["n", 0]}))
    result = asyncio.run(house.run(plan(graph(prompt, house.paths, registry, ["t"]))))
    assert isinstance(result.failures[0].error, ZeroDivisionError)
    assert sorted(ran(log)) == ["tidied 0", "tidied 1"]


def test_nodes_that_need_what_was_given_up_as_needless_say_so(paths: Paths, log: Log) -> None:
    class Later(Node[int]):
        def run(self, ctx: Context) -> Expansion:
            nodes = {"x": DocumentNode("Add", {"a": Link("b", 0), "b": 0})}
            return Expansion(Document(nodes, {}), (Link("x", 0),), local=True)

    registry = Registry(*EVERY.values(), Later)
    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}),
        a=("Add", {"a": 1}),
        b=("Add", {"a": ["a", 0]}),
        t=("Add", {"a": ["bad", 0], "b": ["b", 0]}),
        l=("Later", {}),
    )
    with Lanes({"cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, registry=registry, resources=[log])
        result = asyncio.run(house.run(plan(graph(prompt, paths, registry, ["t", "l"]))))
    assert [failure.node_id for failure in result.failures] == ["bad", "l"]
    assert "needless" in str(result.failures[1])


def test_a_branch_that_is_asked_for_later_finds_what_only_a_failed_node_needed_before(paths: Paths, log: Log) -> None:
    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}), a=("Add", {"a": 1}), t=("Add", {"a": ["bad", 0], "b": ["a", 0]}),
        y=("Add", {"a": ["a", 0], "b": 1}), if_=("If", {"condition": True, "on_true": ["y", 0]}),
    )  # fmt: skip
    with Lanes({"cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, registry=EVERY, resources=[log])
        result = go(house, prompt, ["t", "if_"])
    assert result.outputs == {"if_": (2,)}


def test_a_branch_that_is_asked_for_is_lost_where_something_before_it_has_failed(paths: Paths, log: Log) -> None:
    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}), y=("Add", {"a": ["bad", 0], "b": 1}),
        if_=("If", {"condition": True, "on_true": ["y", 0]}), s=("Show", {"value": 1}),
    )  # fmt: skip
    with Lanes({"cpu": 1, "io": 1}) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, registry=EVERY, resources=[log])
        result = go(house, prompt, ["bad", "if_", "s"])
    assert [failure.node_id for failure in result.failures] == ["bad"]
    assert result.ui == {"s": {"text": [1]}}


def test_a_node_that_has_failed_is_not_given_up_as_well(paths: Paths, log: Log) -> None:
    """Its slice is over the limit only because the news of its failure takes so long."""
    told: list[Event] = []
    second = threading.Event()

    def sink(event: Event) -> None:
        if isinstance(event, NodeFailed):
            told.append(event)
            if len(told) == 1:
                second.wait(0.1)
            else:
                second.set()

    planned = plan(
        graph(document(bad=("Divide", {"a": 1, "b": 0}), s=("Show", {"value": 1})), paths, EVERY, ["bad", "s"])
    )
    with Lanes({"cpu": 1, "io": 1}, limit_s=0.02) as lanes:
        house = Engine(lanes, MemoryCache(0, WeightlessValues()), paths, resources=[log])
        result = asyncio.run(house.run(planned, sink=sink))
    assert len(told) == len(result.failures) == 1
    assert result.ui == {"s": {"text": [1]}}
