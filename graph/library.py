"""Library use: a Document in, a Result out, without server, queue or store."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

from graph.cache import Cache, DiskCodec, Guard, Unkeepable, WeightlessValues
from graph.cache.disk import DiskCache
from graph.cache.memory import MemoryCache
from graph.cache.tiered import TieredCache
from graph.document import Document
from graph.effects import Effects
from graph.engine import Engine
from graph.events import Sink
from graph.explain import conclude, explain
from graph.fingerprint import CodeOf
from graph.lanes import Lanes
from graph.model import Plan
from graph.notes import Notes
from graph.paths import Paths
from graph.plan import plan
from graph.problems import DocumentError
from graph.registry import Registry
from graph.result import Result
from graph.validate import validate

DISK_BYTES = 10 * 2**30
LEAST_SHARE = 8  # however much networks hold, results may have this part of the memory that both share


class PlainValues(WeightlessValues):
    """The codec for nodes that give plain Python values: those are kept without it."""

    def pack(self, parts: Sequence[object]) -> tuple[Any, Iterable[bytes]]:
        """Raises Unkeepable: what is asked for here is no plain value."""
        raise Unkeepable(f"there is no file format for a {type(parts[0]).__name__}")

    def unpack(self, facts: Any, contents: Sequence[bytes]) -> Sequence[object]:
        """Raises ValueError: nothing was ever packed."""
        raise ValueError("this codec packs nothing")


@dataclass(frozen=True)
class DeviceFacts:
    """A device that computes, and its memory just now. Reserved: what is kept for tensors, and of that what is free."""

    name: str
    type: str  # such as "cpu" or "cuda"
    index: int | None  # None for the CPU
    memory_total_bytes: int
    memory_free_bytes: int  # for new tensors
    reserved_total_bytes: int
    reserved_free_bytes: int


@dataclass(frozen=True)
class Surroundings:
    """What nodes need around them, which the engine does not know of by itself; see Engine and Lanes for each.

    `nodes.surroundings` makes those of the nodes for pictures.
    """

    resources: Iterable[object] = ()
    lane_resources: Mapping[str, Iterable[object]] = field(default_factory=dict)
    sizes: Mapping[str, int] | None = None  # threads of each lane
    around: Callable[[str], AbstractContextManager[object]] = nullcontext
    codec: DiskCodec = field(default_factory=PlainValues)
    guard: Guard | None = None
    relief: Callable[[BaseException], bool] | None = None
    held_bytes: Callable[[], int] = lambda: 0  # what networks hold of the memory in which results are kept
    code: str | CodeOf = ""
    environment: str = ""
    release: Callable[[], None] = lambda: None  # let go of all networks
    devices: Callable[[], list[DeviceFacts]] = list
    versions: Mapping[str, str] = field(default_factory=dict)  # of what computes, such as {"torch": "2.13.0"}


class Session:
    """Runs workflows, one after another or at the same time, on lanes and with a cache that they share.

    A context manager: the threads end with it.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        paths: Paths | None = None,
        surroundings: Surroundings | None = None,
        *,
        memory_bytes: int | None = None,
        cache_dir: Path | None = None,
        disk_bytes: int = DISK_BYTES,
        explain: bool = False,
        limit_s: float | None = None,
        effects: Effects | None = None,
    ) -> None:
        """`registry`: the classes of workflows that bring none along; `paths`: by default those of the current folder.

        Results and the networks beside them are kept in up to `memory_bytes`, by default half of the machine's memory,
        and with `cache_dir` results are kept there in up to `disk_bytes` for later sessions.
        `explain`: each Result says why its nodes ran or not. `limit_s`: how long a node, or one of its steps, may take.
        `effects`: where output nodes are remembered whose files need not be saved again.
        """
        around = surroundings or Surroundings()
        self.registry = registry if registry is not None else Registry()
        self.paths = paths or Paths(Path.cwd())
        self._open = ExitStack()
        self._release = around.release
        limit = half_of_memory() if memory_bytes is None else memory_bytes
        most_held = limit - limit // LEAST_SHARE
        self._memory = memory = MemoryCache(limit, around.codec, taken=lambda: min(around.held_bytes(), most_held))
        cache: Cache = memory
        if cache_dir is not None:
            cache = TieredCache(memory, self._open.enter_context(DiskCache(cache_dir, disk_bytes, around.codec)))
        # What ran is noted for later sessions, too, so that those can say what has changed since.
        self.notes = Notes(cache_dir and cache_dir / "notes.json") if cache_dir or explain else None
        lanes = self._open.enter_context(Lanes(around.sizes, around=around.around, limit_s=limit_s))
        self.engine = Engine(
            lanes, cache, self.paths, registry=self.registry, resources=around.resources,
            lane_resources=around.lane_resources, code=around.code, environment=around.environment, guard=around.guard,
            effects=effects,
            relief=None if around.relief is None else partial(relieve, around.relief, memory),
        )  # fmt: skip

    def plan(self, document: Document, targets: Sequence[str] | None = None) -> Plan:
        """What is to do. Raises DocumentError with every Problem if the workflow cannot run."""
        registry = Registry(*self.registry.values(), *document.classes.values())
        graph = validate(document, registry, self.paths, targets=targets)
        if isinstance(graph, list):
            raise DocumentError(graph)
        return plan(graph)

    async def run(
        self,
        workflow: Document | Plan,
        *,
        targets: Sequence[str] | None = None,
        keep: Collection[str] = (),
        sink: Sink | None = None,
    ) -> Result:
        """Run a workflow: its output nodes, or the `targets`. Errors of nodes are in the result.

        The result holds the outputs of the targets and of the nodes to `keep`. Raises DocumentError with every Problem
        if the workflow cannot run.
        """
        todo = workflow if isinstance(workflow, Plan) else self.plan(workflow, targets)
        if self.notes is None:
            return await self.engine.run(todo, sink=sink, keep=keep)
        before = await asyncio.to_thread(partial(explain, todo, self.engine, self.notes, keep=keep))
        result = await self.engine.run(todo, sink=sink, keep=keep)
        after = conclude(before, result)
        self.notes.take(after)
        return dataclasses.replace(result, explanations=after)

    def release(self, *, models: bool, results: bool) -> None:
        """Let go of all networks, of all results in memory, or of both. What a run uses now it keeps until it is done.

        Safe in any thread, which may have to wait for a network that is being loaded.
        """
        if models:
            self._release()
        if results:
            self._memory.clear()
            if self.engine.effects is not None:
                self.engine.effects.clear()

    def close(self) -> None:
        """End the threads; what is to be kept on disk is there then."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def relieve(relief: Callable[[BaseException], bool], memory: MemoryCache, error: BaseException) -> bool:
    """Free what the surroundings can free, and the results in memory; whether that is an answer to the error."""
    if not relief(error):
        return False
    memory.clear()
    return True


def half_of_memory() -> int:
    """Half of the machine's memory in bytes; 4 GiB where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


async def run(
    document: Document,
    registry: Registry | None = None,
    paths: Paths | None = None,
    surroundings: Surroundings | None = None,
    *,
    targets: Sequence[str] | None = None,
    keep: Collection[str] = (),
    sink: Sink | None = None,
) -> Result:
    """Run one workflow by itself, see Session, which also remembers results from one run to the next."""
    with Session(registry, paths, surroundings) as session:
        return await session.run(document, targets=targets, keep=keep, sink=sink)
