"""Node classes that do more than give a value, and ways to run them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from graph import (
    Context,
    Engine,
    Int,
    Node,
    Registry,
    Result,
    Toggle,
    plan,
)
from graph.document import Document, DocumentNode, Link
from graph.events import Event
from graph.given import Blocked, Expansion
from graph.wire import Lazy
from tests.graph.toys import REGISTRY, Log, graph


class Numbers(Node[list[int]]):
    """Gives the numbers below another, one by one."""

    count: int = Int(default=3)

    def run(self, ctx: Context) -> list[int]:
        return list(range(self.count))


class Total(Node[int]):
    """Adds up all numbers of a wire."""

    numbers: list[int]
    each: int = Int(default=0, optional=True)

    def run(self, ctx: Context) -> int:
        ctx.resource(Log).ran.append(ctx.node_id)
        return sum(self.numbers) + self.each


class If(Node[Any]):
    """One of two values; the other is never computed."""

    condition: bool
    on_true: Lazy[Any] = None
    on_false: Lazy[Any] = None

    def needs(self) -> Iterable[str]:
        return ("on_true",) if self.condition else ("on_false",)

    def run(self, ctx: Context) -> Any:
        ctx.resource(Log).ran.append(ctx.node_id)
        return self.on_true if self.condition else self.on_false


class Odd(Node[bool]):
    number: int = Int(default=0)

    def run(self, ctx: Context) -> bool:
        return self.number % 2 == 1


class Block(Node[int]):
    """Lets through what is not `bad`."""

    value: int = Int(default=0)
    bad: int = Int(default=-1, optional=True)
    silent: bool = Toggle(default=False, optional=True)

    def run(self, ctx: Context) -> int | Blocked:
        return Blocked(None if self.silent else "it is bad") if self.value == self.bad else self.value


class Pair(NamedTuple):
    sum: int
    last: int


class Sum3(Node[Pair]):
    """Adds three numbers by two nodes that it makes."""

    a: int = Int(default=0)
    b: int = Int(default=0)
    c: int = Int(default=0)

    def run(self, ctx: Context) -> Expansion:
        nodes = {
            "second": DocumentNode("Add", {"a": Link("first", 0), "b": self.c}),
            "first": DocumentNode("Add", {"a": self.a, "b": self.b}),
            "show": DocumentNode("Show", {"value": Link("second", 0)}),
        }
        return Expansion(Document(nodes, {}), (Link("second", 0), self.c), local=True)


class Down(Node[int]):
    """Makes itself again with one less, until there is nothing left."""

    n: int = Int(default=0)

    def run(self, ctx: Context) -> int | Expansion:
        if self.n == 0:
            return 0
        below = DocumentNode("Down", {"n": self.n - 1})
        plus = DocumentNode("Add", {"a": Link("below", 0), "b": 1})
        return Expansion(Document({"below": below, "plus": plus}, {}), (Link("plus", 0),), local=True)


class Strange(Node[int]):
    """Makes nodes that cannot run."""

    how: str

    def run(self, ctx: Context) -> Expansion:
        nodes = {
            "unknown class": {"x": DocumentNode("Ad", {"a": 1})},
            "circle": {"x": DocumentNode("Add", {"a": Link("y", 0)}), "y": DocumentNode("Add", {"a": Link("x", 0)})},
            "waits for me": {"x": DocumentNode("Add", {"a": Link(ctx.node_id, 0)})},
            "no such node": {"x": DocumentNode("Add", {"a": Link("nobody", 0)})},
            "no such output": {"x": DocumentNode("Add", {"a": Link("y", 3)}), "y": DocumentNode("Add", {"a": 1})},
            "missing input": {"x": DocumentNode("Add", {})},
            "taken": {"a": DocumentNode("Add", {"a": 1}), "x": DocumentNode("Add", {"a": 1})},
            "wrong count": {"x": DocumentNode("Add", {"a": 1})},
        }[self.how]
        result = (Link("x", 0), 1) if self.how == "wrong count" else (Link("x", 0),)
        return Expansion(Document(nodes, {}), result)


class Meet(Node[int]):
    """Waits until as many as `of` wait at the same time."""

    value: int = Int(default=0)
    of: int = Int(default=2)

    async def run(self, ctx: Context) -> int:
        log = ctx.resource(Log)
        log.ran.append(ctx.node_id)
        while len(log.ran) < self.of:
            await asyncio.sleep(0)
            ctx.check_cancelled()
        return self.value


class Lies(Node[Pair]):
    """Gives something else than it says."""

    how: str

    def run(self, ctx: Context) -> Any:
        return {"one": 1, "three": (1, 2, 3), "type": ("a", 2), "none": None}[self.how]


EVERY = Registry(*REGISTRY.values(), Numbers, Total, If, Odd, Block, Sum3, Down, Strange, Meet, Lies)


def go(house: Engine, prompt: Document, targets: list[str], told: list[Event] | None = None, **options: Any) -> Result:
    planned = plan(graph(prompt, house.paths, EVERY, targets))
    return asyncio.run(house.run(planned, sink=None if told is None else told.append, **options))


def only_value(house: Engine, prompt: Document, target: str) -> Any:
    result = go(house, prompt, [target])
    assert result.failures == ()
    (value,) = result.outputs[target]
    return value
