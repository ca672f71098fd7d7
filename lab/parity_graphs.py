"""Comparisons with set g of the reference: whole runs as API graphs on the full-size checkpoint, by the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import nodes
from diffusion.memory import Memory
from graph.cache.memory import MemoryCache
from graph.engine import Engine
from graph.lanes import Lanes
from graph.model import Graph
from graph.paths import Paths
from graph.plan import plan
from graph.read.api import read_api
from graph.registry import Registry
from graph.validate import validate
from lab.cases import Case, Difference, relative
from nodes.runtime import TensorValues, lane_settings

CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Graphs:
    """The graphs of one folder, and what they run on."""

    folder: Path
    checkpoint: Callable[[], Path]

    @cached_property
    def registry(self) -> Registry:
        """The node classes that there are."""
        return Registry.scan(nodes)

    @cached_property
    def paths(self) -> Paths:
        """Files as the graphs name them: pictures in the folder, embeddings and LoRAs beside it, the checkpoint."""
        beside = self.folder.parent
        return Paths(
            self.folder,
            models={"checkpoints": [self.checkpoint().parent], "embeddings": [beside], "loras": [beside]},
        )

    @cached_property
    def memory(self) -> Memory:
        """One set of networks for all graphs."""
        return Memory(torch.device("cpu"))

    def run(self, case: Mapping[str, Any]) -> dict[str, Any] | str:
        """Run what the captured outputs need; their values by name, or why that cannot be done yet."""
        captured: dict[str, tuple[str, int]] = {name: tuple(link) for name, link in case["capture"].items()}
        needed = ancestors(case["graph"], [node for node, _ in captured.values()])
        missing = {entry["class_type"] for entry in needed.values()} - self.registry.keys()
        if missing:
            return f"not covered yet: {', '.join(sorted(missing))}"
        checkpoint = self.checkpoint().name
        for entry in needed.values():
            if "ckpt_name" in entry["inputs"]:
                entry["inputs"]["ckpt_name"] = checkpoint
        targets = list(dict.fromkeys(node for node, _ in captured.values()))
        graph = validate(read_api(needed), self.registry, self.paths, targets=targets)
        if not isinstance(graph, Graph):
            return f"not covered yet: {'; '.join(map(str, graph))}"
        with Lanes(around=lane_settings()) as lanes:
            engine = Engine(lanes, MemoryCache(CACHE_BYTES, TensorValues()), self.paths, resources=[self.memory])
            result = asyncio.run(engine.run(plan(graph, targets)))
        for failure in result.failures:
            raise failure.error
        return {name: result.outputs[node][output] for name, (node, output) in captured.items()}


def ancestors(graph: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    """The nodes that these need, themselves included."""
    found: dict[str, Any] = {}
    while wanted:
        node = wanted.pop()
        if node not in found:
            found[node] = graph[node]
            wanted += [value[0] for value in graph[node]["inputs"].values() if isinstance(value, list)]
    return found


def flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A captured value as the reference names its tensors: `latent`, `latent.noise_mask`, `positive.0.cond`, …"""
    match value:
        case Tensor():
            yield name, value
        case {"samples": samples}:
            yield name, samples
            yield from ((f"{name}.{key}", entry) for key, entry in value.items() if key != "samples")
        case list():
            for number, (cond, extras) in enumerate(value):
                yield f"{name}.{number}.cond", cond
                yield from ((f"{name}.{number}.{key}", entry) for key, entry in extras.items())


def compare(graphs: Graphs, name: str, case: Mapping[str, Any]) -> list[Difference] | str:
    """Run a graph and compare every tensor that the reference captured."""
    values = graphs.run(case)
    if isinstance(values, str):
        return values
    ours = dict(pair for key, value in values.items() for pair in flat(key, value))
    stride = case.get("row_stride", 1)
    differences = []
    for key, theirs in load_file(graphs.folder / f"g_{name}.safetensors").items():
        found = ours[key][:, ::stride] if key.endswith(".cond") else ours[key]
        differences += relative(found, theirs.reshape(found.shape) if key.endswith("noise_mask") else theirs, l2=5e-5)
    return differences


def cases(folder: Path, checkpoint: Callable[[], Path]) -> Iterator[Case]:
    """Every graph of the folder `features`; `checkpoint` makes the full-size one on first use."""
    index = folder / "features" / "g_index.json"
    if not index.exists():
        return
    graphs = Graphs(index.parent, checkpoint)
    for name, case in json.loads(index.read_text())["cases"].items():
        yield Case(f"g {name}", partial(compare, graphs, name, case))
