"""An engine with the toy pack, and short ways to ask it things."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from compat.packs import PackReport, load
from graph import Engine, Graph, Lanes, MemoryCache, Paths, Problem, Registry, Result, WeightlessValues, plan, validate
from graph.read.api import read_api

PACKS = Path(__file__).resolve().parent / "packs"
Prompt = dict[str, tuple[str, dict[str, Any]]]


class House:
    """A registry with the packs of a folder, and an engine; `ran` is what the toys have noted."""

    def __init__(self, lanes: Lanes, folder: Path, packs: Path = PACKS, **options: Any) -> None:
        self.registry = Registry()
        self.reports: dict[str, PackReport] = {report.name: report for report in load([packs], self.registry)}
        self.paths = Paths(folder)
        cache = MemoryCache(10**9, WeightlessValues())
        self.engine = Engine(lanes, cache, self.paths, registry=self.registry, **options)
        self.events: list[Any] = []
        self._log: list[str] = self.module("log").RAN if packs == PACKS else []

    def module(self, name: str) -> Any:
        """A module of the toy pack."""
        return sys.modules[f"{self.registry['ToyAdd'].declared.cls.__module__.rpartition('.')[0]}.{name}"]

    def ran(self) -> list[str]:
        """Which of the nodes that note it ran since the last question."""
        found = list(self._log)
        self._log.clear()
        return found

    def validate(self, prompt: Prompt, targets: list[str] | None = None) -> Graph | list[Problem]:
        """house.validate({"1": ("ToyAdd", {"a": 1})}, ["1"])"""
        nodes = {key: {"class_type": class_type, "inputs": inputs} for key, (class_type, inputs) in prompt.items()}
        return validate(read_api(nodes), self.registry, self.paths, targets=targets)

    def run(self, prompt: Prompt, *targets: str) -> Result:
        """Run nodes of a prompt, or its output nodes; `events` are what happened."""
        graph = self.validate(prompt, list(targets) or None)
        assert isinstance(graph, Graph), graph
        self.events.clear()
        return asyncio.run(self.engine.run(plan(graph), sink=self.events.append))

    def value(self, prompt: Prompt, target: str, output: int = 0) -> Any:
        """What an output of a node gave."""
        result = self.run(prompt, target)
        assert not result.failures, [str(failure) for failure in result.failures]
        return result.outputs[target][output]

    def of_kind(self, kind: type) -> list[Any]:
        """The events of that kind."""
        return [event for event in self.events if isinstance(event, kind)]
