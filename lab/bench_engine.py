"""Measures the graph engine alone: CPU time per trivial node, first run and second, for several shapes of graph."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graph.cache import WeightlessValues
from graph.cache.memory import MemoryCache
from graph.context import Context
from graph.engine import Engine
from graph.events import Event
from graph.lanes import Lanes
from graph.model import Graph
from graph.node import Node
from graph.paths import Paths
from graph.plan import plan
from graph.read.api import read_api
from graph.registry import Registry
from graph.validate import validate
from graph.widgets import Int

NODES = 10_000


class Add(Node[int], category="bench"):
    """Adds two numbers: the least a node can do."""

    a: int = Int(default=0)
    b: int = Int(default=0, optional=True)

    def run(self, ctx: Context) -> int:
        return self.a + self.b


class Show(Node[None], category="bench", output=True):
    """Takes a number: the least an output node can do."""

    value: int = Int(default=0)

    def run(self, ctx: Context) -> None:
        ctx.show("text", [self.value])


def chain(count: int) -> dict[str, Any]:
    """Each node on the one before."""
    prompt = {"0": _add(1)} | {str(n): _add([str(n - 1), 0], n) for n in range(1, count - 1)}
    return prompt | {"end": _show([str(count - 2), 0])}


def wide(count: int) -> dict[str, Any]:
    """One source that all the others take from, in pairs of a node and its output."""
    prompt = {"0": _add(1)}
    for n in range(1, count // 2):
        prompt |= {str(n): _add(["0", 0], n), f"{n} out": _show([str(n), 0])}
    return prompt


def tree(count: int) -> dict[str, Any]:
    """Pairwise sums of half as many sources, down to one output."""
    prompt: dict[str, Any] = {}
    level: list[str] = []
    for n in range(count // 2):
        prompt[str(n)] = _add(n)
        level.append(str(n))
    while len(level) > 1:
        sums = level[len(level) // 2 * 2 :]  # the odd one waits for the next level
        for one, other in zip(level[::2], level[1::2], strict=False):
            sums.append(str(len(prompt)))
            prompt[sums[-1]] = _add([one, 0], [other, 0])
        level = sums
    return prompt | {"end": _show([level[0], 0])}


def lanes(count: int) -> dict[str, Any]:
    """Chains of 50 with an output each."""
    prompt: dict[str, Any] = {}
    for lane in range(count // 50):
        prompt[f"{lane}.0"] = _add(lane)
        for n in range(1, 49):
            prompt[f"{lane}.{n}"] = _add([f"{lane}.{n - 1}", 0], n)
        prompt[f"{lane}.out"] = _show([f"{lane}.48", 0])
    return prompt


SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {"chain": chain, "wide": wide, "tree": tree, "lanes": lanes}


def engine_cases(count: int = NODES, repeats: int = 3) -> list[dict[str, Any]]:
    """One row per shape: microseconds of CPU per node, medians, for each way from document to outputs."""
    registry = Registry(Add, Show)
    rows = []
    with tempfile.TemporaryDirectory() as folder, Lanes() as threads:
        for name, shape in SHAPES.items():
            measured = [_measure(shape(count), registry, Paths(Path(folder)), threads) for _ in range(repeats)]
            row = {key: round(sorted(each[key] for each in measured)[repeats // 2], 1) for key in measured[0]}
            rows.append({"case": f"engine {name}", "nodes": count, "unit": "CPU µs per node", **row})
    return rows


def _measure(prompt: dict[str, Any], registry: Registry, paths: Paths, threads: Lanes) -> dict[str, float]:
    events: list[Event] = []
    engine = Engine(threads, MemoryCache(10**9, WeightlessValues()), paths)
    started = time.process_time()
    graph = validate(read_api(prompt), registry, paths)
    assert isinstance(graph, Graph), graph[:3]
    validated = time.process_time()
    tasks = plan(graph)
    planned = time.process_time()
    first = asyncio.run(engine.run(tasks, sink=events.append))
    ran = time.process_time()
    second = asyncio.run(engine.run(tasks, sink=events.append))
    ended = time.process_time()
    assert len(first.seconds) == len(prompt)
    assert len(second.seconds) == len(graph.targets)
    times = {"validate": validated - started, "plan": planned - validated, "first": ran - planned, "again": ended - ran}
    return {f"{step}_us": seconds / len(prompt) * 1e6 for step, seconds in times.items()}


def _add(a: object, b: object = 0) -> dict[str, Any]:
    return {"class_type": "Add", "inputs": {"a": a, "b": b}}


def _show(value: object) -> dict[str, Any]:
    return {"class_type": "Show", "inputs": {"value": value}}


if __name__ == "__main__":
    for row in engine_cases():
        print(json.dumps(row), flush=True)
