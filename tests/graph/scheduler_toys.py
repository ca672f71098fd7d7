"""A whole queue in a folder, for the tests of the scheduler: real store and engine, and nodes that hold it up."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from graph import Choice, Context, Engine, Int, Lanes, MemoryCache, ModelNames, Node, Paths, Registry, Text
from graph.cache import WeightlessValues
from graph.jobs import Job, JobRequest
from graph.queue.journal import Journal
from graph.queue.reader import JobReader
from graph.queue.scheduler import Scheduler
from graph.store import Store, StoreLimits

T = TypeVar("T")

PATIENCE_S = 60  # a test that waits longer has failed


@dataclass(eq=False)
class Gate:
    """Holds up the nodes that come to it; `reached` tells that one is there."""

    reached: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)


class World:
    """What the toy nodes see of the test: gates by name, what ran, and which of them shall fail."""

    def __init__(self) -> None:
        self.gates: defaultdict[str, Gate] = defaultdict(Gate)
        self.ran: list[str] = []
        self.failing: set[str] = set()

    async def reached(self, name: str) -> None:
        """Returns when a node is at that gate."""
        assert await asyncio.to_thread(self.gates[name].reached.wait, PATIENCE_S), f"nothing came to {name}"

    def open(self, *names: str) -> None:
        """Let through what is at these gates, or comes to them."""
        for name in names:
            self.gates[name].open.set()


class Toy(Node[int], category="toys"):
    """Says that it ran; fails if it shall."""

    name: str = Text(default="")
    value: int = Int(default=0, optional=True)

    pure = False

    def run(self, ctx: Context) -> int:
        world = ctx.resource(World)
        world.ran.append(self.name)
        if self.name in world.failing:
            raise RuntimeError("this is bad luck")
        if self.value < 0:
            raise ToyError("the value is negative; give another")
        return self.value


class ToyError(ValueError):
    """For people: something given must change."""


class Held(Node[int], category="toys"):
    """Waits at a gate, and can be cancelled there."""

    name: str = Text(default="")

    pure = False
    lane = "io"

    def run(self, ctx: Context) -> int:
        world = ctx.resource(World)
        world.ran.append(self.name)
        gate = world.gates[self.name]
        gate.reached.set()
        while not gate.open.wait(0.005):
            ctx.check_cancelled()
        return 1


class Stuck(Node[int], category="toys"):
    """Waits at a gate, and hears nothing meanwhile."""

    name: str = Text(default="")

    pure = False
    lane = "io"

    def run(self, ctx: Context) -> int:
        gate = ctx.resource(World).gates[self.name]
        gate.reached.set()
        gate.open.wait(PATIENCE_S)
        return 1


class Loader(Node[int], category="toys"):
    """Loads a model, as far as the scheduler can see."""

    model: str = Choice(ModelNames("checkpoints"))

    def run(self, ctx: Context) -> int:
        ctx.resource(World).ran.append(self.model)
        return 1


class Keep(Node[None], category="toys", output=True):
    """Saves a number as a file."""

    value: int = Int(default=0, optional=True)
    prefix: str = Text(default="kept", optional=True)

    lane = "io"

    def run(self, ctx: Context) -> None:
        ctx.resource(World).ran.append(f"keep {ctx.node_id}")
        with ctx.series(self.prefix).claim(".txt") as claim:
            claim.part.write_text(str(self.value))
        ctx.show("files", [claim.entry])


class KeepTwo(Node[None], category="toys", output=True):
    """Saves two files, and waits at a gate between them."""

    name: str = Text(default="")

    lane = "io"

    def run(self, ctx: Context) -> None:
        series = ctx.series(self.name)
        for number in (1, 2):
            with series.claim(".txt") as claim:
                claim.part.write_text(str(number))
            gate = ctx.resource(World).gates[self.name]
            gate.reached.set()
            while not gate.open.wait(0.005):
                ctx.check_cancelled()


class Loud(Node[None], category="toys", output=True):
    """Shows more text than may fit on a disk."""

    size: int = Int(default=0)

    pure = False

    def run(self, ctx: Context) -> None:
        ctx.show("text", [secrets.token_hex(self.size)])


REGISTRY = Registry(Toy, Held, Stuck, Loader, Keep, KeepTwo, Loud)


@dataclass
class House:
    """One life of a server."""

    store: Store
    journal: Journal
    scheduler: Scheduler
    world: World
    paths: Paths

    async def submit(self, job_id: str, prompt: dict[str, Any], **options: Any) -> Job:
        return await self.scheduler.submit(JobRequest(job_id, prompt, **options))

    async def ends(self, *job_ids: str) -> list[Job]:
        """The jobs when they are over."""
        async with asyncio.timeout(PATIENCE_S):
            return list(await asyncio.gather(*map(self.scheduler.wait, job_ids)))

    def kept(self) -> dict[str, str]:
        """What lies in the output folder: hidden files, too."""
        folder = self.paths.folders["output"]
        return {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}


def live(
    folder: Path,
    scenario: Callable[[House], Awaitable[T]],
    *,
    world: World | None = None,
    registry: Registry = REGISTRY,
    dies: bool = False,
    busy_s: float = 5.0,
    linger_s: float = 0.0,
    **options: Any,
) -> T:
    """One life of a server on that folder. It closes in order, or, if it `dies`, leaves everything as it stands."""
    world = world or World()
    paths = Paths(folder)
    reader = JobReader(registry, paths)

    async def life() -> T:
        house = House(
            store,
            journal,
            Scheduler(store, engine.run, reader.plan, journal, **({"models": reader.models} | options)),
            world,
            paths,
        )
        await house.scheduler.open()
        try:
            return await scenario(house)
        finally:
            if not dies:
                await house.scheduler.close()

    with Lanes({"device": 1, "cpu": 2, "io": 8}) as lanes:
        engine = Engine(lanes, MemoryCache(10**6, WeightlessValues()), paths, registry=registry, resources=[world])
        with Store(folder / "queue.sqlite", limits=StoreLimits(busy_s=busy_s)) as store:
            journal = Journal(store, linger_s=linger_s)
            try:
                return asyncio.run(life())
            finally:
                journal.close()


def toy(name: str = "", value: Any = 0) -> dict[str, Any]:
    """A job of one toy that is kept."""
    return {"toy": node("Toy", name=name, value=value), "keep": node("Keep", value=["toy", 0])}


def held(name: str) -> dict[str, Any]:
    """A job that waits at a gate before it keeps its file."""
    return {"held": node("Held", name=name), "keep": node("Keep", value=["held", 0])}


def loading(model: str) -> dict[str, Any]:
    """A job that loads a model."""
    return {"load": node("Loader", model=model), "keep": node("Keep", value=["load", 0])}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node in API form."""
    return {"class_type": class_type, "inputs": inputs}
