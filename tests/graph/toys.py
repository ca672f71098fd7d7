"""Small node classes for the tests of the engine, and ways to run them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from graph import (
    UNFINISHED,
    Choice,
    Context,
    Document,
    Engine,
    Graph,
    Int,
    Lanes,
    MemoryCache,
    ModelNames,
    Node,
    Paths,
    Problem,
    Registry,
    Result,
    Socket,
    Stepper,
    Text,
    Unfinished,
    WeightlessValues,
    Wire,
    plan,
    validate,
)
from graph.read.api import read_api

Image = Annotated[bytes, Socket("IMAGE")]
Mask = Annotated[bytes, Socket("MASK")]


PATIENCE_S = 60  # a test that waits longer for another thread has failed


class Log:
    """Which nodes ran, in order; handed to the engine as a resource."""

    def __init__(self) -> None:
        self.ran: list[str] = []


class Gate:
    """Lets the nodes that wait at it through; `reached` tells that one is there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()


class Add(Node[int], category="toys"):
    """Adds two numbers."""

    a: int = Int(default=0)
    b: int = Int(default=0, optional=True)

    def run(self, ctx: Context) -> int:
        ctx.resource(Log).ran.append(ctx.node_id)
        return self.a + self.b


class Divided(NamedTuple):
    quotient: int
    rest: int


class Divide(Node[Divided], category="toys"):
    """Divides two numbers; by zero it fails."""

    a: int = Int(default=0, min=-100, max=100)
    b: int = Int(default=1)

    def run(self, ctx: Context) -> Divided:
        ctx.resource(Log).ran.append(ctx.node_id)
        return Divided(*divmod(self.a, self.b))


class Show(Node[None], category="toys", output=True):
    """Shows a number."""

    value: int = Int(default=0)

    lane = "io"

    def run(self, ctx: Context) -> None:
        ctx.resource(Log).ran.append(ctx.node_id)
        ctx.show("text", [self.value])


class Chance(Node[int], category="toys"):
    """Gives another number each time."""

    pure = False

    def run(self, ctx: Context) -> int:
        log = ctx.resource(Log)
        log.ran.append(ctx.node_id)
        return len(log.ran)


class Wait(Node[int], category="toys"):
    """Waits at the gate, then passes its number on."""

    value: int = Int(default=0)

    def run(self, ctx: Context) -> int:
        gate = ctx.resource(Gate)
        gate.reached.set()
        gate.open.wait(PATIENCE_S)
        ctx.check_cancelled()
        return self.value


class CountingSteps:
    """A Stepper that counts to a number, one a step."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.done = 0

    def start(self, ctx: Context) -> None:
        self.ctx = ctx
        self.log = ctx.resource(Log)
        self.log.ran.append(f"{ctx.node_id} start")

    def step(self) -> int | Unfinished:
        self.done += 1
        self.log.ran.append(f"{self.ctx.node_id} step")
        self.ctx.progress(self.done, self.to, preview=f"picture {self.done}")
        return UNFINISHED if self.done < self.to else self.done

    def close(self) -> None:
        self.log.ran.append(f"{self.ctx.node_id} close")


class Count(Node[int], category="toys"):
    """Counts in steps, on the device lane."""

    to: int = Int(default=3)

    lane = "device"

    def stepper(self) -> Stepper[int]:
        return CountingSteps(self.to)


class Pick(Node[Image], category="toys"):
    """Takes inputs of every kind."""

    model: str = Choice(ModelNames("checkpoints"))
    way: str = Choice(["bilinear", "nearest", "area"])
    text: str = Text(default="", multiline=True, optional=True)
    strength: float = 0.5
    on: bool = True
    image: Image | None = None
    either: Image | Mask | None = Wire(default=None, tooltip="A picture or a mask.")

    def check(self, paths: Paths) -> Iterable[tuple[str, str]]:
        if self.text == "forbidden":
            yield "text", "this word is not allowed; use another"

    def run(self, ctx: Context) -> Image:
        return self.model.encode()


REGISTRY = Registry(Add, Divide, Show, Chance, Wait, Count, Pick)


SUM = {"a": ("Add", {"a": 1}), "b": ("Add", {"a": ["a", 0], "b": 5}), "s": ("Show", {"value": ["b", 0]})}


def ran(log: Log) -> list[str]:
    """What ran since the last question."""
    done = list(log.ran)
    log.ran.clear()
    return done


def document(**nodes: tuple[str, dict[str, Any]]) -> Document:
    """document(a=("Add", {"a": 1}), b=("Show", {"value": ["a", 0]}))"""
    return read_api(
        {name: {"class_type": class_type, "inputs": inputs} for name, (class_type, inputs) in nodes.items()}
    )


def problems(found: Graph | list[Problem]) -> list[Problem]:
    assert isinstance(found, list)
    return found


def graph(prompt: Document, paths: Paths, registry: Registry = REGISTRY, targets: Sequence[str] | None = None) -> Graph:
    found = validate(prompt, registry, paths, targets=targets)
    assert isinstance(found, Graph), found
    return found


def engine(lanes: Lanes, folder: Path, *resources: object, limit_bytes: int = 10**9, **options: str) -> Engine:
    cache = MemoryCache(limit_bytes, WeightlessValues())
    return Engine(lanes, cache, Paths(folder), resources=resources, **options)


def run(runner: Engine, prompt: Document, *, targets: Sequence[str] | None = None, **options: Any) -> Result:
    """Validate, plan and run."""
    return asyncio.run(runner.run(plan(graph(prompt, runner.paths, targets=targets)), **options))
