"""What the command line shows: plans, node classes and the progress of a run, as lines of text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import fmean
from threading import Lock
from typing import Protocol

from graph.events import (
    Event,
    NodeBlocked,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    NodeWarned,
    RunFinished,
    Sink,
)
from graph.explanation import Explanation
from graph.model import Plan
from graph.paths import Paths
from graph.problems import some
from graph.registry import Registry
from graph.schema import Schema

Place = tuple[int, str]  # number of the run, id of the node
BAR_WIDTH = 30  # characters
STAGES = {  # category or class of its nodes: what it is called
    "conditioning": "text encoding",
    "sampling": "denoising",
    "VAEDecode": "decoding",
}


class Pack(Protocol):
    """What is known of a folder or file of node classes from elsewhere."""

    @property
    def name(self) -> str: ...
    @property
    def problem(self) -> str | None:
        """Why nothing of it is there."""

    @property
    def notes(self) -> Sequence[str]:
        """What of it is not there, and why."""

    @property
    def classes(self) -> Mapping[str, object]: ...


class Progress:
    """What runs report while they go on, drawn as one line that is redrawn, for all of them together."""

    def __init__(self) -> None:
        self._lock = Lock()  # events come from any thread
        self._schemas: dict[Place, Schema | None] = {}
        self._started: dict[Place, float] = {}
        self._first: dict[Place, tuple[float, float]] = {}  # when the first steps were done, and how many
        self._paces: dict[Place, float] = {}  # seconds per step
        # Steps done and in all, by what the nodes are called and where they are: the line is about those of one name.
        self._steps: dict[str, dict[Place, tuple[float, float]]] = {}
        self._open: set[Place] = set()  # the nodes among them that are not at their end
        self._width = 0  # of the line so far

    def of(self, number: int, plan: Plan, name: str = "") -> Sink:
        """The sink for the events of one run; `name` begins each line that is about it alone."""
        schemas = {task.schema.name: task.schema for task in plan.tasks}

        def sink(event: Event) -> None:
            with self._lock:
                self._take(number, event, schemas, name)

        return sink

    def times(self, number: int, seconds: Mapping[str, float]) -> str:
        """How long each stage of a run took, in one line; `seconds` are those of each node that ran."""
        said: list[str] = []
        for key, stage in STAGES.items():
            places = [
                place for place, schema in self._schemas.items() if schema and key in (schema.name, schema.category)
            ]
            mine = [place for place in places if place[0] == number and place[1] in seconds]
            if mine:
                paces = [self._paces[place] for place in mine if place in self._paces]
                took = sum(seconds[node_id] for _, node_id in mine)
                said.append(f"{stage} {took:.2f} s" + (f" ({fmean(paces):.3f} s per step)" if paces else ""))
        return ", ".join(said).capitalize()

    def _take(self, number: int, event: Event, schemas: Mapping[str, Schema], name: str) -> None:
        match event:
            case NodeStarted():
                place = number, event.node_id
                self._started[place] = time.perf_counter()
                self._schemas[place] = schemas.get(event.class_type)
            case NodeProgress():
                self._draw((number, event.node_id), event)
            case NodeFinished() | NodeFailed():
                self._end({(number, event.node_id)})
            case NodeBlocked():
                self._say(f"{name}{event.class_type} (node {event.display_id}) did not run: {event.message}")
            case NodeWarned():
                self._say(f"{name}{event.message}")
            case RunFinished():
                self._end({place for place in self._open if place[0] == number})

    def _draw(self, place: Place, event: NodeProgress) -> None:
        now = time.perf_counter()
        self._first.setdefault(place, (now, event.value))
        self._paces[place] = self._pace(place, now, event.value)
        schema = self._schemas.get(place)
        name = schema.display if schema else "Node"
        steps = self._steps.setdefault(name, {})
        steps[place] = event.value, event.total
        self._open.add(place)
        done, total = (sum(each) for each in zip(*steps.values(), strict=True))
        filled = round(BAR_WIDTH * done / max(total, 1e-9))
        bar = "█" * filled + "·" * (BAR_WIDTH - filled)
        subject = f"{len(steps)} × {name}" if len(steps) > 1 else name
        pace = f", {self._paces[place]:.3f} s per step" if len(steps) == 1 else ""
        line = f"{subject} {bar} {done:g}/{total:g}{pace} "
        print(f"\r{line:{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(line)

    def _pace(self, place: Place, now: float, done: float) -> float:
        """Seconds per step. The first, which also loads the network, counts only while there is no other."""
        began, before = self._first[place]
        if done > before:
            return (now - began) / (done - before)
        return (now - self._started[place]) / max(done, 1)

    def _say(self, sentence: str) -> None:
        """A line of its own; the one that is redrawn goes on below it."""
        self._end_line()
        print(sentence, file=sys.stderr)

    def _end(self, places: set[Place]) -> None:
        """These report nothing more. The line ends when nobody does."""
        self._open -= places
        self._steps = {name: steps for name, steps in self._steps.items() if not self._open.isdisjoint(steps)}
        if not self._open:
            self._end_line()

    def _end_line(self) -> None:
        if self._width:
            print(file=sys.stderr)
            self._width = 0


def describe_plan(plan: Plan) -> Iterator[str]:
    """A line per node, in the order in which they would run, with the nodes that each takes values from."""
    width = max(len(task.id) for task in plan.tasks)
    for number, task in enumerate(plan.tasks, 1):
        sources = ", ".join(dict.fromkeys(plan.tasks[index].id for _, index, _ in task.wires))
        after = f"  after {sources}" if sources else ""
        yield f"{number:3}. {task.id:{width}}  {task.spec.node.schema().name}{after}"


def describe_explanations(explanations: Sequence[Explanation]) -> Iterator[str]:
    """A line per node: why it will run, or why not, and for whom."""
    width = max(len(each.node_id) for each in explanations)
    class_width = max(len(each.class_type) for each in explanations)
    for number, each in enumerate(explanations, 1):
        needed = f"; needed by {some(each.needed_by)}" if each.needed_by else ""
        yield f"{number:3}. {each.node_id:{width}}  {each.class_type:{class_width}}  {each.sentence}{needed}"


def describe_registry(registry: Registry) -> Iterator[str]:
    """Every node class by category: what it takes, what it gives, what it is for."""
    schemas = sorted((node.schema() for node in registry.values()), key=lambda schema: (schema.category, schema.name))
    for category, members in groupby(schemas, key=lambda schema: schema.category):
        yield f"{category}"
        for schema in members:
            gives = ", ".join(output.type for output in schema.outputs) or "nothing"
            yield f"  {schema.name}({', '.join(schema.inputs)}) → {gives}"
            yield f"      {schema.description.partition(chr(10))[0]}"


def describe_packs(packs: Sequence[Pack]) -> Iterator[str]:
    """Every pack of node classes from elsewhere: what it brings, and what of it is not there."""
    if packs:
        yield "\nPacks"
    for pack in packs:
        yield f"  {pack.name}: {pack.problem or some(sorted(pack.classes), 20)}"
        yield from (f"      {note}" for note in pack.notes)


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
