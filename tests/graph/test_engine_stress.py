"""Many runs at once, with loops, failures, async nodes and two devices, cancelled at any moment: none hangs or lies."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nodes.loops
from graph import Context, Engine, Int, Lanes, MemoryCache, Node, Paths, Plan, Registry, Result, WeightlessValues, plan
from graph.events import Event, RunFinished
from graph.read.api import read_api
from tests.graph.semantic_toys import EVERY
from tests.graph.toys import PATIENCE_S, Log, graph

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Later(Node[int]):
    """Gives its number on, from the async lane."""

    value: int = Int(default=0)

    async def run(self, ctx: Context) -> int:
        await asyncio.sleep(0)
        return self.value


class OnDevice(Node[int]):
    """Gives its number on, from a device."""

    value: int = Int(default=0)

    lane = "device"

    def run(self, ctx: Context) -> int:
        return self.value


CLASSES = Registry(*EVERY.values(), *Registry.scan_module(nodes.loops).values(), Later, OnDevice)
NUMBERS = {  # class: the inputs that take numbers
    "Add": ("a", "b"), "Divide": ("a", "b"), "Sum3": ("a", "b", "c"), "Block": ("value", "bad"), "Down": (),
    "If": ("on_true", "on_false"), "Later": ("value",), "OnDevice": ("value",), "Numbers": (), "Loop": (),
}  # fmt: skip


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """Up to 10 nodes or loops, each taking numbers or what those before it give; some are shown."""
    prompt: dict[str, Any] = {}
    outputs: list[list[Any]] = []

    def value() -> Any:
        return draw(st.integers(-1, 4) | (st.sampled_from(outputs) if outputs else st.nothing()))

    for number in range(draw(st.integers(2, 10))):
        node_id = f"n{number}"
        class_type = draw(st.sampled_from(list(NUMBERS)))
        inputs: dict[str, Any] = {name: value() for name in NUMBERS[class_type]}
        if class_type == "Loop":
            start, body, end = f"{node_id} start", f"{node_id} body", node_id
            prompt[start] = _node("ForLoopStart", count=draw(st.integers(0, 4)), value0=value())
            what = draw(st.sampled_from(["Add", "Divide", "Sum3", "Later"]))
            taken = {name: value() for name in NUMBERS[what]} | {
                NUMBERS[what][-1]: [start, 1],
                NUMBERS[what][0]: [start, 2],
            }
            prompt[body] = _node(what, **taken)
            if draw(st.booleans()):
                prompt[f"{node_id} shown"] = _node("Show", value=[body, 0])
            prompt[end] = _node("ForLoopEnd", loop=[start, 0], value0=[body, 0])
            outputs.append([end, 0])
            continue
        if class_type == "Numbers":
            inputs["count"] = draw(st.integers(0, 3))
        elif class_type == "Down":
            inputs["n"] = draw(st.integers(0, 3))
        elif class_type == "If":
            prompt[f"{node_id} odd"] = _node("Odd", number=value())
            inputs["condition"] = [f"{node_id} odd", 0]
        prompt[node_id] = _node(class_type, **inputs)
        outputs.append([node_id, 0])
        if draw(st.booleans()):
            prompt[f"{node_id} shown"] = _node("Show", value=[node_id, 0])
    prompt["end"] = _node("Show", value=draw(st.sampled_from(outputs)))
    return prompt


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def house(lanes: Lanes, folder: Path, limit_bytes: int) -> Engine:
    cache = MemoryCache(limit_bytes, WeightlessValues())
    return Engine(lanes, cache, Paths(folder), registry=CLASSES, resources=[Log()])


async def cancelled_at(engine: Engine, planned: Plan, moment: int) -> Result | None:
    """The result of a run that is cancelled when it has told of so many events, if that comes too late."""
    loop = asyncio.get_running_loop()
    told: list[Event] = []

    def sink(event: Event) -> None:
        told.append(event)
        if len(told) == moment:
            loop.call_soon_threadsafe(task.cancel)

    task = asyncio.create_task(engine.run(planned, sink=sink))
    try:
        return await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)
    except asyncio.CancelledError:
        return None
    finally:
        assert isinstance(told[-1], RunFinished)
        assert [type(event) for event in told].count(RunFinished) == 1


def outcome(result: Result) -> tuple[Any, Any]:
    """What is shown, but by nodes that Sum3 makes, which do not run where its result is remembered; what failed."""
    shown = {node_id: ui for node_id, ui in result.ui.items() if not node_id.endswith(".show")}
    return shown, {failure.node_id for failure in result.failures}


@SETTINGS
@given(graphs=st.lists(prompts(), min_size=1, max_size=3), moments=st.lists(st.integers(1, 40), min_size=6, max_size=6))
def test_runs_that_are_cancelled_at_any_moment_leave_the_others_right(
    graphs: list[dict[str, Any]], moments: list[int], tmp_path: Path
) -> None:
    with Lanes({"cpu": 1, "io": 1, "device": 1}) as lanes:
        alone = house(lanes, tmp_path, 0)
        plans = [plan(graph(read_api(prompt), alone.paths, CLASSES)) for prompt in graphs]
        expected = [outcome(asyncio.run(asyncio.wait_for(alone.run(each), PATIENCE_S))) for each in plans]

    async def scene(engine: Engine) -> list[Result | None]:
        runs = [(plans[number % len(plans)], moment) for number, moment in enumerate(moments)]
        whole = [(each, 10**9) for each in plans]
        return list(await asyncio.gather(*(cancelled_at(engine, *each) for each in (*runs, *whole))))

    with Lanes({"cpu": 2, "io": 2, "device": 2}) as lanes:
        engine = house(lanes, tmp_path, 10**9)
        results = asyncio.run(scene(engine))[len(moments) :]
        again = [asyncio.run(asyncio.wait_for(engine.run(each), PATIENCE_S)) for each in plans]
    for result, repeated, known in zip(results, again, expected, strict=True):
        assert result is not None
        assert outcome(result) == known
        assert outcome(repeated) == known
