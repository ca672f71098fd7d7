"""Library use: a Document in, a Result out, without server, queue or store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from graph.cache import Cache, Guard, ValueCodec, WeightlessValues
from graph.cache.memory import MemoryCache
from graph.document import Document
from graph.engine import Engine
from graph.events import Sink
from graph.execution import Result
from graph.fingerprint import CodeOf
from graph.lanes import Lanes
from graph.model import Plan
from graph.paths import Paths
from graph.plan import plan
from graph.problems import DocumentError
from graph.registry import Registry
from graph.validate import validate

CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Surroundings:
    """What nodes need around them, which the engine does not know of by itself; see Engine and Lanes for each.

    That of the bundled nodes is made by nodes.runtime.
    """

    resources: Iterable[object] = ()
    lane_resources: Mapping[str, Iterable[object]] = field(default_factory=dict)
    sizes: Mapping[str, int] | None = None  # threads of each lane
    around: Callable[[str], AbstractContextManager[object]] = nullcontext
    codec: ValueCodec = field(default_factory=WeightlessValues)
    guard: Guard | None = None
    relief: Callable[[BaseException], bool] | None = None
    code: str | CodeOf = ""
    environment: str = ""


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
        cache: Cache | None = None,
        limit_s: float | None = None,
    ) -> None:
        """`registry`: the classes of workflows that bring none along; `paths`: by default those of the current folder.

        `cache`: by default in memory, up to CACHE_BYTES. `limit_s`: how long a node, or a step of one, may take.
        """
        around = surroundings or Surroundings()
        self.registry = registry or Registry()
        self.paths = paths or Paths(Path.cwd())
        self.lanes = Lanes(around.sizes, around=around.around, limit_s=limit_s)
        self.engine = Engine(
            self.lanes, cache or MemoryCache(CACHE_BYTES, around.codec), self.paths, registry=self.registry,
            resources=around.resources, lane_resources=around.lane_resources, code=around.code,
            environment=around.environment, guard=around.guard, relief=around.relief,
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
        document: Document,
        *,
        targets: Sequence[str] | None = None,
        keep: Collection[str] = (),
        sink: Sink | None = None,
    ) -> Result:
        """Run a workflow: its output nodes, or the `targets`. Errors of nodes are in the result.

        The result holds the outputs of the targets and of the nodes to `keep`. Raises DocumentError with every Problem
        if the workflow cannot run.
        """
        return await self.engine.run(self.plan(document, targets), sink=sink, keep=keep)

    def close(self) -> None:
        """End the threads."""
        self.lanes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
