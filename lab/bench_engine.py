"""Measures the graph engine alone: what trivial nodes cost, for several shapes and sizes of graph.

CPU time of the whole process, from the parsed JSON on: reading it and validation, planning, a first run; the same
again; and once more with one leaf changed. Rows of JSON, which `make bench` collects.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from graph.cache import WeightlessValues
from graph.cache.memory import MemoryCache
from graph.context import Context
from graph.document import Document
from graph.engine import Engine
from graph.events import Event
from graph.lanes import Lanes
from graph.model import Graph, Plan
from graph.node import Node
from graph.paths import Paths
from graph.plan import plan
from graph.read.api import read_api
from graph.registry import Registry
from graph.validate import validate
from graph.widgets import Int
from nodes.loops import ForLoopEnd, ForLoopStart

NODES = 10_000
Prompt = dict[str, Any]


class Add(Node[int], category="bench"):
    """Adds two numbers: the least a node can do."""

    a: int = Int(default=0)
    b: int = Int(default=0, optional=True)

    def run(self, ctx: Context) -> int:
        return self.a + self.b


class Show(Node[None], category="bench", output=True):
    """Takes a number: the least an output node can do. It saves no file, so that it runs each time."""

    value: int = Int(default=0)

    def run(self, ctx: Context) -> None:
        ctx.show("text", [self.value])


# -- shapes: a prompt, and the node that changes in it


def chain(count: int) -> tuple[Prompt, str]:
    """Each node on the one before; the last number changes."""
    prompt = {"0": _add(1)} | {str(n): _add([str(n - 1), 0], n) for n in range(1, count - 1)}
    return prompt | {"end": _show([str(count - 2), 0])}, str(count - 2)


def wide(count: int) -> tuple[Prompt, str]:
    """One source that all the others take from, in pairs of a node and its output; one of them changes."""
    prompt = {"0": _add(1)}
    for n in range(1, count // 2):
        prompt |= {str(n): _add(["0", 0], n), f"{n} out": _show([str(n), 0])}
    return prompt, "1"


def tree(count: int) -> tuple[Prompt, str]:
    """Pairwise sums of half as many sources, down to one output; a source changes."""
    prompt: Prompt = {}
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
    return prompt | {"end": _show([level[0], 0])}, "0"


def lanes(count: int) -> tuple[Prompt, str]:
    """Chains of 50 with an output each; the first node of one changes."""
    prompt: Prompt = {}
    for lane in range(count // 50):
        prompt[f"{lane}.0"] = _add(lane)
        for n in range(1, 49):
            prompt[f"{lane}.{n}"] = _add([f"{lane}.{n - 1}", 0], n)
        prompt[f"{lane}.out"] = _show([f"{lane}.48", 0])
    return prompt, "0.0"


SHAPES: dict[str, Callable[[int], tuple[Prompt, str]]] = {"chain": chain, "wide": wide, "tree": tree, "lanes": lanes}


def loop(iterations: int) -> Prompt:
    """A number that grows by one in each iteration."""
    return {
        "start": {"class_type": "ForLoopStart", "inputs": {"count": iterations, "value0": 0}},
        "body": _add(["start", 2], 1),
        "end": {"class_type": "ForLoopEnd", "inputs": {"loop": ["start", 0], "value0": ["body", 0]}},
        "out": _show(["end", 0]),
    }


def _note(told: list[None], event: Event) -> None:
    """A sink that counts events and keeps none."""
    told.append(None)


def _add(a: object, b: object = 0) -> Prompt:
    return {"class_type": "Add", "inputs": {"a": a, "b": b}}


def _show(value: object) -> Prompt:
    return {"class_type": "Show", "inputs": {"value": value}}


# -- trivial nodes


class Bench:
    """What the cases share: lanes, a folder, the classes."""

    def __init__(self, threads: Lanes, folder: Path) -> None:
        self.threads = threads
        self.paths = Paths(folder)
        self.registry = Registry(Add, Show, ForLoopStart, ForLoopEnd)

    def engine(self) -> Engine:
        """One that remembers nothing yet."""
        return Engine(self.threads, MemoryCache(10**9, WeightlessValues()), self.paths, registry=self.registry)

    def planned(self, document: Document) -> Plan:
        """The plan of a workflow that is right."""
        graph = validate(document, self.registry, self.paths)
        assert isinstance(graph, Graph), graph[:3]
        return plan(graph)

    def figures(self, prompt: Prompt, leaf: str) -> dict[str, float]:
        """CPU microseconds per node of each way from the prompt to outputs; how many nodes ran, how many events."""
        engine, count = self.engine(), len(prompt)
        found: dict[str, float] = {}
        for name in ("first", "again", "leaf"):
            if name == "leaf":
                changed = {**prompt[leaf], "inputs": {**prompt[leaf]["inputs"], "b": 10**6}}
                prompt = {**prompt, leaf: changed}
            told: list[None] = []
            began = time.process_time()
            graph = validate(read_api(prompt), self.registry, self.paths)
            assert isinstance(graph, Graph), graph[:3]
            validated = time.process_time()
            tasks = plan(graph)
            planned = time.process_time()
            result = asyncio.run(engine.run(tasks, sink=partial(_note, told)))
            ended = time.process_time()
            if name == "first":
                found["validate_us"] = (validated - began) / count * 1e6
                found["plan_us"] = (planned - validated) / count * 1e6
            found[f"{name}_run_us"] = (ended - planned) / count * 1e6
            found[f"{name}_us"] = (ended - began) / count * 1e6
            found[f"{name}_ran"] = len(result.seconds)
            found[f"{name}_events"] = len(told)
        return found

    def memory(self, prompt: Prompt) -> dict[str, float]:
        """Bytes per node that Python holds at most from the prompt to the end of a run, and what remains cached."""
        engine = self.engine()
        tracemalloc.start()
        result = asyncio.run(engine.run(self.planned(read_api(prompt)), sink=lambda event: None))
        assert not result.failures
        del result
        remaining, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {"peak_bytes": round(peak / len(prompt)), "cached_bytes": round(remaining / len(prompt))}

    def row(self, shape: str, count: int, repeats: int, *, with_memory: bool = False) -> dict[str, Any]:
        """Medians for one shape and size."""
        prompt, leaf = SHAPES[shape](count)
        measured = [self.figures(prompt, leaf) for _ in range(repeats)]
        medians = {key: round(sorted(each[key] for each in measured)[repeats // 2], 1) for key in measured[0]}
        memory = self.memory(prompt) if with_memory else {}
        case = f"engine {shape} {len(prompt)}"
        return {"case": case, "nodes": len(prompt), "unit": "CPU µs per node", **medians, **memory}

    def loop_row(self, iterations: int) -> dict[str, Any]:
        """A loop whose body is one node: what an iteration of three nodes costs, the first time and again."""
        tasks = self.planned(read_api(loop(iterations)))
        engine = self.engine()
        times: list[float] = []
        for _ in range(2):
            began = time.process_time()
            result = asyncio.run(engine.run(tasks))
            times.append((time.process_time() - began) / iterations * 1e6)
            assert result.ui["out"] == {"text": [iterations]}, result.failures
        first, again = (round(each, 1) for each in times)
        case = f"engine loop {iterations}"
        return {"case": case, "nodes": 4, "unit": "CPU µs per iteration", "first_us": first, "again_us": again}


def engine_cases() -> Iterator[dict[str, Any]]:
    """A row for each shape, then for other sizes, then for loops."""
    with tempfile.TemporaryDirectory() as folder, Lanes() as threads:
        bench = Bench(threads, Path(folder))
        bench.figures(*lanes(1000))  # imports, and threads that start, count for nobody
        for shape in SHAPES:
            yield bench.row(shape, NODES, 3, with_memory=True)
        for count in (1_000, 50_000):
            yield bench.row("lanes", count, 3 if count < NODES else 1)
        yield bench.row("chain", 100_000, 1)
        for iterations in (1_000, 10_000):
            yield bench.loop_row(iterations)


if __name__ == "__main__":
    gc.set_threshold(10_000)  # as main.py does
    for each in engine_cases():
        print(json.dumps(each), flush=True)
