"""What the command line shows: plans, node classes and the progress of a run, as lines of text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping

from graph.events import Event, NodeFinished, NodeProgress, NodeStarted, RunFinished
from graph.model import Plan
from graph.paths import Paths
from graph.registry import Registry
from graph.schema import Schema

BAR_WIDTH = 30  # characters
STAGES = {"conditioning": "text encoding", "sampling": "denoising", "VAEDecode": "decoding"}  # by category or class


class Progress:
    """A sink of a run's events: a line per node that reports steps, redrawn as it goes on."""

    def __init__(self, plan: Plan) -> None:
        self._schemas = {task.id: task.spec.node.schema() for task in plan.tasks}
        self._started: dict[str, float] = {}
        self._first: dict[str, tuple[float, float]] = {}  # of each node: when its first steps were done, and how many
        self._step_seconds: list[float] = []  # of each node that has steps
        self._open = ""  # the node whose line is not ended

    def __call__(self, event: Event) -> None:
        match event:
            case NodeStarted():
                self._started[event.node_id] = time.perf_counter()
            case NodeProgress():
                self._draw(event)
            case NodeFinished() if event.node_id == self._open:
                self._step_seconds.append(self._pace(event.node_id, *self._last))
                self._end_line()
            case RunFinished():
                self._end_line()

    def times(self, seconds: Mapping[str, float]) -> str:
        """How long each stage took, in one line; `seconds` are those of each node that ran."""
        stages: dict[str, float] = {}
        for node_id, each in seconds.items():
            schema = self._schemas[node_id]
            stage = STAGES.get(schema.name) or STAGES.get(schema.category)
            if stage:
                stages[stage] = stages.get(stage, 0.0) + each
        pace = f" ({', '.join(f'{each:.3f} s per step' for each in self._step_seconds)})" if self._step_seconds else ""
        said = [f"{stage} {took:.2f} s" + (pace if stage == "denoising" else "") for stage, took in stages.items()]
        return ", ".join(said).capitalize()

    def _draw(self, event: NodeProgress) -> None:
        now = time.perf_counter()
        self._first.setdefault(event.node_id, (now, event.value))
        self._last = (now, event.value)
        self._open = event.node_id
        filled = round(BAR_WIDTH * event.value / event.total)
        name = self._schemas[event.node_id].display
        bar = "█" * filled + "·" * (BAR_WIDTH - filled)
        pace = self._pace(event.node_id, now, event.value)
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
    """A line per node class, by category."""
    width = max(map(len, registry))
    schemas = sorted((node.schema() for node in registry.values()), key=lambda schema: (schema.category, schema.name))
    for schema in schemas:
        yield f"{schema.name:{width}}  {schema.description.partition(chr(10))[0]}"


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
