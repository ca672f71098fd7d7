"""What the command line shows: plans, node classes and the progress of a run, as lines of text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from itertools import groupby

from graph.events import Event, NodeFinished, NodeProgress, NodeStarted, RunFinished
from graph.model import Plan
from graph.paths import Paths
from graph.registry import Registry
from graph.schema import Schema

BAR_WIDTH = 30  # characters
STAGES = {  # category or class of its nodes: what it is called
    "conditioning": "text encoding",
    "sampling": "denoising",
    "VAEDecode": "decoding",
}


class Progress:
    """A sink of a run's events: a line per node that reports steps, redrawn as it goes on."""

    def __init__(self, plan: Plan) -> None:
        self._schemas = {task.id: task.spec.node.schema() for task in plan.tasks}
        self._started: dict[str, float] = {}
        self._first: dict[str, tuple[float, float]] = {}  # of each node: when its first steps were done, and how many
        self._paces: dict[str, float] = {}  # of each node that has steps: seconds per step
        self._open = ""  # the node whose line is not ended

    def __call__(self, event: Event) -> None:
        match event:
            case NodeStarted():
                self._started[event.node_id] = time.perf_counter()
            case NodeProgress():
                self._draw(event)
            case NodeFinished() if event.node_id == self._open:
                self._end_line()
            case RunFinished():
                self._end_line()

    def times(self, seconds: Mapping[str, float]) -> str:
        """How long each stage took, in one line; `seconds` are those of each node that ran."""
        said: list[str] = []
        for key, stage in STAGES.items():
            names = {node_id for node_id, schema in self._schemas.items() if key in (schema.name, schema.category)}
            if took := [each for node_id, each in seconds.items() if node_id in names]:
                paces = [f"{pace:.3f} s per step" for node_id, pace in self._paces.items() if node_id in names]
                said.append(f"{stage} {sum(took):.2f} s" + (f" ({', '.join(paces)})" if paces else ""))
        return ", ".join(said).capitalize()

    def _draw(self, event: NodeProgress) -> None:
        now = time.perf_counter()
        self._first.setdefault(event.node_id, (now, event.value))
        pace = self._paces[event.node_id] = self._pace(event.node_id, now, event.value)
        self._open = event.node_id
        filled = round(BAR_WIDTH * event.value / event.total)
        name = self._schemas[event.node_id].display
        bar = "█" * filled + "·" * (BAR_WIDTH - filled)
        print(
            f"\r{name} {bar} {event.value:g}/{event.total:g}, {pace:.3f} s per step ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def _pace(self, node_id: str, now: float, done: float) -> float:
        """Seconds per step. The first, which also loads the network, counts only while there is no other."""
        began, before = self._first[node_id]
        if done > before:
            return (now - began) / (done - before)
        return (now - self._started[node_id]) / max(done, 1)

    def _end_line(self) -> None:
        if self._open:
            print(file=sys.stderr)
            self._open = ""


def describe_plan(plan: Plan) -> Iterator[str]:
    """A line per node, in the order in which they would run, with the nodes that each takes values from."""
    width = max(len(task.id) for task in plan.tasks)
    for number, task in enumerate(plan.tasks, 1):
        sources = ", ".join(dict.fromkeys(plan.tasks[index].id for _, index, _ in task.wires))
        after = f"  after {sources}" if sources else ""
        yield f"{number:3}. {task.id:{width}}  {task.spec.node.schema().name}{after}"


def describe_registry(registry: Registry) -> Iterator[str]:
    """Every node class by category: what it takes, what it gives, what it is for."""
    schemas = sorted((node.schema() for node in registry.values()), key=lambda schema: (schema.category, schema.name))
    for category, members in groupby(schemas, key=lambda schema: schema.category):
        yield f"{category}"
        for schema in members:
            gives = ", ".join(output.type for output in schema.outputs) or "nothing"
            yield f"  {schema.name}({', '.join(schema.inputs)}) → {gives}"
            yield f"      {schema.description.partition(chr(10))[0]}"


def describe_node(schema: Schema, paths: Paths) -> Iterator[str]:
    """A node class: what it is for, what it takes and what it gives."""
    yield f"{schema.name} ({schema.display}), in {schema.category}"
    yield schema.description
    yield "\nInputs"
    for item in schema.inputs.values():
        facts = [f"{key} {item.options[key]!r}" for key in ("default", "min", "max") if key in item.options]
        if not item.required:
            facts.append("optional")
        if item.type == "COMBO":
            facts.append(f"one of {', '.join(map(str, item.choices_now(paths))) or 'nothing yet'}")
        yield "  " + "; ".join([f"{item.name}: {item.type}", *facts])
        if "tooltip" in item.options:
            yield f"      {item.options['tooltip']}"
    yield "\nOutputs"
    yield from (f"  {output.name}: {output.type}" for output in schema.outputs)
    if not schema.outputs:
        yield "  none"
