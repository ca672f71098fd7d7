"""The engine against a naive evaluation, on random graphs of nodes that do more than give a value."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph import Engine, Lanes, MemoryCache, Paths, WeightlessValues, plan
from graph.events import Event, RunFinished
from graph.given import Blocked, Many
from graph.read.api import read_api
from tests.graph.semantic_toys import EVERY
from tests.graph.toys import Log, graph

PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OPTIONS = {  # class: (inputs that take numbers, inputs that take whole lists)
    "Add": (("a", "b"), ()),
    "Numbers": ((), ()),
    "Total": (("each",), ("numbers",)),
    "If": (("on_true", "on_false"), ()),
    "Block": (("value",), ()),
    "Sum3": (("a", "b", "c"), ()),
    "Down": ((), ()),
}


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """A graph of up to 12 nodes, each taking numbers or the outputs of nodes before it, shown at its end."""
    prompt: dict[str, Any] = {}
    outputs: list[list[Any]] = []
    for number in range(draw(st.integers(1, 12))):
        node_id = f"n{number}"
        value = st.integers(-2, 4) | (st.sampled_from(outputs) if outputs else st.nothing())
        class_type = draw(st.sampled_from(list(OPTIONS)))
        if class_type == "Total" and not outputs:
            class_type = "Add"
        numbers, lists = OPTIONS[class_type]
        inputs: dict[str, Any] = {name: draw(value) for name in numbers}
        inputs |= {name: draw(st.sampled_from(outputs)) for name in lists}
        if class_type == "Numbers":
            inputs["count"] = draw(st.integers(0, 3))
        elif class_type == "Down":
            inputs["n"] = draw(st.integers(0, 3))
        elif class_type == "If":
            prompt[f"{node_id} odd"] = {"class_type": "Odd", "inputs": {"number": draw(value)}}
            inputs["condition"] = [f"{node_id} odd", 0]
        elif class_type == "Block":
            inputs |= {"bad": draw(st.integers(-2, 4)), "silent": True}
        prompt[node_id] = {"class_type": class_type, "inputs": inputs}
        outputs += [[node_id, slot] for slot in range(2 if class_type == "Sum3" else 1)]
    prompt["end"] = {"class_type": "Show", "inputs": {"value": draw(st.sampled_from(outputs))}}
    return prompt


class Naive:
    """Evaluates by plain recursion; `computed` are the nodes that were needed for it."""

    def __init__(self, prompt: dict[str, Any]) -> None:
        self.prompt = prompt
        self.computed: dict[str, tuple[Any, ...]] = {}

    def node(self, node_id: str) -> tuple[Any, ...]:
        if node_id not in self.computed:
            self.computed[node_id] = self._node(**self.prompt[node_id])
        return self.computed[node_id]

    def _node(self, class_type: str, inputs: dict[str, Any]) -> tuple[Any, ...]:
        values: dict[str, list[Any]] = {}
        for name, given_value in inputs.items():
            if class_type != "If" or name == "condition":
                values[name] = self._input(given_value)
        if class_type == "If":
            conditions = [each for each in values["condition"] if type(each) is not Blocked]
            for name, taken in (("on_true", True), ("on_false", False)):
                values[name] = self._input(inputs[name]) if taken in conditions else [None]
        whole = values.pop("numbers", None)
        count = 0 if not all(values.values()) else max(map(len, values.values()), default=1)
        calls = [{name: row[min(n, len(row) - 1)] for name, row in values.items()} for n in range(count)]
        results = [self._call(class_type, call, whole) for call in calls]
        if class_type == "Numbers":
            return (results[0][0] if len(results[0]) == 1 else Many(results[0]),)
        outputs = 2 if class_type == "Sum3" else 1
        if count == 1:
            return tuple(results[0][slot] for slot in range(outputs))
        return tuple(Many(result[slot] for result in results) for slot in range(outputs))

    def _input(self, value: Any) -> list[Any]:
        """What travels on the wire, as a list of values."""
        if not isinstance(value, list):
            return [value]
        given_value = self.node(value[0])[value[1]]
        return list(given_value) if isinstance(given_value, Many) else [given_value]

    def _call(self, class_type: str, call: dict[str, Any], whole: list[Any] | None) -> Any:
        if any(type(each) is Blocked for each in (*call.values(), *(whole or ()))):
            return (Blocked(), Blocked())
        match class_type:
            case "Add":
                return (call["a"] + call["b"],)
            case "Numbers":
                return list(range(call["count"]))
            case "Total":
                return (sum(whole or ()) + call["each"],)
            case "Odd":
                return (call["number"] % 2 == 1,)
            case "If":
                return (call["on_true"] if call["condition"] else call["on_false"],)
            case "Block":
                return (Blocked() if call["value"] == call["bad"] else call["value"],)
            case "Sum3":
                return (call["a"] + call["b"] + call["c"], call["c"])
            case "Down":
                return (call["n"],)
        return (call["value"],)


def shown(prompt: dict[str, Any]) -> list[Any]:
    """What the output node shows: the values that are not blocked."""
    (value,) = Naive(prompt).node("end")
    return [each for each in (value if isinstance(value, Many) else [value]) if type(each) is not Blocked]


def house(lanes: Lanes, folder: Path, log: Log) -> Engine:
    return Engine(lanes, MemoryCache(10**9, WeightlessValues()), Paths(folder), registry=EVERY, resources=[log])


@PROPERTY
@given(prompt=prompts())
def test_outputs_equal_a_naive_evaluation_and_a_second_run_runs_nothing(
    prompt: dict[str, Any], lanes: Lanes, tmp_path: Path
) -> None:
    log = Log()
    runner = house(lanes, tmp_path, log)
    planned = plan(graph(read_api(prompt), runner.paths, EVERY, ["end"]))
    naive = Naive(prompt)
    naive.node("end")
    for _ in range(2):
        result = asyncio.run(runner.run(planned))
        assert result.failures == ()
        assert result.ui.get("end", {"text": []}) == {"text": shown(prompt)}
    once = [node_id for node_id in log.ran if node_id in prompt and prompt[node_id]["class_type"] == "If"]
    assert set(once) <= set(naive.computed)  # a branch that is not taken is not computed
    log.ran.clear()
    result = asyncio.run(runner.run(planned))
    assert set(log.ran) - {node_id for node_id in log.ran if node_id.endswith("show")} <= {"end"}


@PROPERTY
@given(prompt=prompts(), moment=st.integers(0, 60))
def test_a_run_cancelled_at_any_moment_leaves_what_is_right_behind(
    prompt: dict[str, Any], moment: int, lanes: Lanes, tmp_path: Path
) -> None:
    runner = house(lanes, tmp_path, Log())
    planned = plan(graph(read_api(prompt), runner.paths, EVERY, ["end"]))
    told: list[Event] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            told.append(event)
            if len(told) == moment:
                loop.call_soon_threadsafe(task.cancel)

        task = asyncio.create_task(runner.run(planned, sink=sink))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    asyncio.run(scene())
    assert [type(event) for event in told].count(RunFinished) == 1
    assert isinstance(told[-1], RunFinished)
    result = asyncio.run(runner.run(planned))
    assert result.ui.get("end", {"text": []}) == {"text": shown(prompt)}
