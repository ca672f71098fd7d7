"""Measures reading the editor's form: a workflow of subgraphs is converted and validated. Rows of JSON."""

from __future__ import annotations

import gc
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from graph.context import Context
from graph.model import Graph
from graph.node import Node
from graph.paths import Paths
from graph.read.api import read_api
from graph.read.convert import to_prompt
from graph.read.facts import Registered
from graph.registry import Registry
from graph.validate import validate
from graph.widgets import Choice, Float, Int, Text

INSIDE = 19  # working nodes in a subgraph, beside a reroute
REPEATS = 7


class Work(Node[int], category="bench"):
    """As many inputs as a sampler has."""

    value: int = Int(default=0)
    seed: int = Int(default=0, max=2**64 - 1, control_after_generate=True)
    steps: int = Int(default=20)
    strength: float = Float(default=1.0)
    method: str = Choice(["plain", "fancy"])
    text: str = Text(default="", multiline=True, dynamic_prompts=True)

    def run(self, ctx: Context) -> int:
        return self.value + self.steps


class Show(Node[None], category="bench", output=True):
    """The least an output node can do."""

    value: int = Int(default=0)

    def run(self, ctx: Context) -> None:
        ctx.show("text", [self.value])


def large(nodes: int) -> dict[str, Any]:
    """An editor's workflow that becomes so many nodes: subgraphs in a chain, each with a chain of nodes inside."""
    definition = _subgraph()
    drawn: list[dict[str, Any]] = []
    links: list[list[Any]] = []
    for number in range(nodes // (INSIDE + 1)):
        wires: list[dict[str, Any]] = [{"name": "seed", "type": "INT", "widget": {"name": "seed"}, "link": None}]
        if number:
            wires.insert(0, {"name": "value", "type": "INT", "link": 2 * number})
            links.append([2 * number, number - 1, 0, number, 0, "INT"])
        drawn.append(
            {"id": number, "type": definition["id"], "mode": 0, "inputs": wires, "widgets_values": [0, number]}
        )
        ends = [{"name": "value", "type": "INT", "widget": {"name": "value"}, "link": 2 * number + 1}]
        drawn.append({"id": f"show {number}", "type": "Show", "inputs": ends, "widgets_values": [0]})
        links.append([2 * number + 1, number, 0, f"show {number}", 0, "INT"])
    return {"version": 0.4, "nodes": drawn, "links": links, "definitions": {"subgraphs": [definition]}}


def _subgraph() -> dict[str, Any]:
    """A chain with a reroute in it; the value that begins it and the seed of its first node are on the outside."""
    drawn: list[dict[str, Any]] = []
    links = [_link(1, -10, 0, 0, 0), _link(2, -10, 1, 0, 1)]
    for number in range(INSIDE):
        saved = [0, number, "randomize", 20, 0.5, "fancy", "one of {many|few} words // and a comment\n" * 4]
        ends = [{"name": "value", "type": "INT", "widget": {"name": "value"}, "link": 10 + number if number else 1}]
        if not number:
            ends.append({"name": "seed", "type": "INT", "widget": {"name": "seed"}, "link": 2})
        drawn.append({"id": number, "type": "Work", "mode": 0, "inputs": ends, "widgets_values": saved})
        if number:
            links.append(_link(10 + number, number - 1 if number != 5 else 99, 0, number, 0))
    drawn.append({"id": 99, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 3}]})
    links += [_link(3, 4, 0, 99, 0), _link(4, INSIDE - 1, 0, -20, 0)]
    inputs = [{"name": "value", "type": "INT", "linkIds": [1]}, {"name": "seed", "type": "INT", "linkIds": [2]}]
    outputs = [{"name": "value", "type": "INT", "linkIds": [4]}]
    return {"id": "chain", "name": "Chain", "nodes": drawn, "links": links, "inputs": inputs, "outputs": outputs}


def _link(link: int, origin: int, slot: int, target: int, target_slot: int) -> dict[str, Any]:
    return {"id": link, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": target_slot}


def figures(workflow: dict[str, Any], registry: Registry, paths: Paths) -> dict[str, float]:
    """CPU milliseconds of each step from JSON to a graph that can run."""
    data = json.dumps(workflow)
    began = time.process_time()
    parsed = json.loads(data)
    read = time.process_time()
    prompt = to_prompt(parsed, Registered(registry, paths)).prompt
    converted = time.process_time()
    graph = validate(read_api(prompt), registry, paths)
    ended = time.process_time()
    assert isinstance(graph, Graph), graph[:3]
    return {
        "nodes": len(prompt), "parse_ms": (read - began) * 1e3, "convert_ms": (converted - read) * 1e3,
        "validate_ms": (ended - converted) * 1e3, "all_ms": (ended - began) * 1e3,
    }  # fmt: skip


def main() -> None:
    """Print a row for each size: medians."""
    registry = Registry(Work, Show)
    with tempfile.TemporaryDirectory() as folder:
        for nodes in (200, 2000, 20_000):
            workflow = large(nodes)
            gc.collect()
            measured = [figures(workflow, registry, Paths(Path(folder))) for _ in range(REPEATS)]
            medians = {key: round(sorted(each[key] for each in measured)[REPEATS // 2], 2) for key in measured[0]}
            print(json.dumps({"case": f"convert {nodes}", "unit": "CPU ms", **medians}), flush=True)


if __name__ == "__main__":
    main()
