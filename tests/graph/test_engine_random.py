"""The engine against a naive evaluation, on random graphs."""

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph import Lanes, Result, plan
from graph.events import Event, RunFinished
from graph.fingerprint import Fingerprinter
from graph.read.api import read_api
from tests.graph.toys import Log, document, engine, graph

PROPERTY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """A graph of up to 25 nodes, each taking numbers or the outputs of nodes before it; ids in any order."""
    count = draw(st.integers(1, 25))
    ids = draw(st.permutations([str(n) for n in range(count)]))
    prompt: dict[str, Any] = {}
    outputs: list[list[Any]] = []
    for node_id in ids:
        value = st.integers(-3, 3) | st.sampled_from(outputs) if outputs else st.integers(-3, 3)
        class_type = draw(st.sampled_from(["Add", "Add", "Divide", "Show"]))
        if class_type == "Show":
            inputs = {"value": draw(value)}
        else:
            inputs = {"a": draw(value), "b": draw(value)}
            outputs += [[node_id, slot] for slot in range(2 if class_type == "Divide" else 1)]
        prompt[node_id] = {"class_type": class_type, "inputs": inputs}
    prompt["end"] = {"class_type": "Show", "inputs": {"value": draw(st.sampled_from(outputs)) if outputs else 1}}
    order = draw(st.permutations(list(prompt)))
    return {node_id: prompt[node_id] for node_id in order}


def naive(prompt: dict[str, Any], node_id: str) -> tuple[Any, ...] | None:
    """A node's outputs by plain recursion; None if it, or what it needs, divides by zero."""
    values = {}
    for name, given_value in prompt[node_id]["inputs"].items():
        if isinstance(given_value, list):
            source = naive(prompt, given_value[0])
            if source is None:
                return None
            values[name] = source[given_value[1]]
        else:
            values[name] = given_value
    match prompt[node_id]["class_type"]:
        case "Add":
            return (values["a"] + values["b"],)
        case "Divide":
            return divmod(values["a"], values["b"]) if values["b"] else None
    return (values["value"],)


def needed(prompt: dict[str, Any]) -> set[str]:
    found = {node_id for node_id, node in prompt.items() if node["class_type"] == "Show"}
    while True:
        links = [value for node_id in found for value in prompt[node_id]["inputs"].values() if isinstance(value, list)]
        if found.issuperset(source for source, _ in links):
            return found
        found.update(source for source, _ in links)


@PROPERTY
@given(prompt=prompts())
def test_outputs_equal_a_naive_evaluation_and_needed_work_is_done_once(
    prompt: dict[str, Any], lanes: Lanes, tmp_path: Path
) -> None:
    log = Log()
    runner = engine(lanes, tmp_path, log)
    planned = plan(graph(read_api(prompt), runner.paths))
    expected = {node_id: naive(prompt, node_id) for node_id in needed(prompt)}
    effects = [node_id for node_id in expected if prompt[node_id]["class_type"] == "Show"]
    shown = {node_id: {"text": [*values]} for node_id in effects if (values := expected[node_id]) is not None}

    result = asyncio.run(runner.run(planned))
    assert result.ui == shown
    assert {task.id for task in planned.tasks} == set(expected)
    assert bool(result.failures) == (len(shown) < len(effects))

    # Every needed node ran exactly once, or an equal one did, or it could not run, or only failed nodes needed it.
    printer = Fingerprinter(planned.graph, runner.paths, code="", environment="")
    keys: list[str | None] = []
    for task in planned.tasks:
        keys.append(printer.of(task, [keys[index] for _, index, _ in task.wires]))
    ran = [key for task, key in zip(planned.tasks, keys, strict=True) if task.id in log.ran and task.id not in effects]
    assert len(log.ran) == len(set(log.ran))
    assert len(ran) == len(set(ran))
    if not result.failures:
        assert set(ran) == {key for task, key in zip(planned.tasks, keys, strict=True) if task.id not in effects}

    succeeded = set(log.ran) - {failure.node_id for failure in result.failures}
    log.ran.clear()
    again = asyncio.run(runner.run(planned))
    assert again.ui == shown
    assert succeeded.intersection(log.ran) <= set(effects)
    if not result.failures:
        assert sorted(log.ran) == sorted(effects)


@PROPERTY
@given(prompt=prompts(), moment=st.integers(0, 60))
def test_a_run_cancelled_at_any_moment_leaves_the_engine_whole(
    prompt: dict[str, Any], moment: int, lanes: Lanes, tmp_path: Path
) -> None:
    log = Log()
    told: list[Event] = []
    runner = engine(lanes, tmp_path, log)
    planned = plan(graph(read_api(prompt), runner.paths))

    async def scene() -> Result | None:
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            told.append(event)
            if len(told) == moment:
                loop.call_soon_threadsafe(task.cancel)

        task = asyncio.create_task(runner.run(planned, sink=sink))
        try:
            return await task
        except asyncio.CancelledError:
            return None

    result = asyncio.run(scene())
    assert [type(event) for event in told].count(RunFinished) == 1
    assert isinstance(told[-1], RunFinished)
    before = list(log.ran)
    fresh = engine(lanes, tmp_path, Log())
    whole = asyncio.run(fresh.run(planned))
    assert log.ran == before  # nothing of the cancelled run came later
    assert result is None or (result.ui, bool(result.failures)) == (whole.ui, bool(whole.failures))
    assert asyncio.run(runner.run(planned)).ui == whole.ui  # with what the cancelled run left in the cache


def test_a_chain_of_20_000_nodes_runs(lanes: Lanes, tmp_path: Path) -> None:
    count = 20_000
    chain = {f"n{n}": ("Add", {"a": [f"n{n - 1}", 0] if n else 0, "b": 1}) for n in range(count)}
    log = Log()
    runner = engine(lanes, tmp_path, log)
    planned = plan(graph(document(**chain, s=("Show", {"value": [f"n{count - 1}", 0]})), runner.paths))
    assert asyncio.run(runner.run(planned)).ui == {"s": {"text": [count]}}
    assert len(log.ran) == count + 1
    assert asyncio.run(runner.run(planned)).ui == {"s": {"text": [count]}}
    assert len(log.ran) == count + 2
