"""Engine: runs a plan. asyncio waits for the whole; the nodes run on lanes, without a trip through the event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from graph.cache import Cache
from graph.events import Sink
from graph.fingerprint import Fingerprinter
from graph.lanes import Lanes, Slice
from graph.model import Plan
from graph.paths import Paths
from graph.run import Result, Run


class Engine:
    """Runs plans, several at a time, on shared lanes with a shared cache.

    `resources` are what nodes get by `ctx.resource(type)`; `code` and `environment` enter every fingerprint, see there.
    """

    def __init__(
        self,
        lanes: Lanes,
        cache: Cache,
        paths: Paths,
        *,
        resources: Iterable[object] = (),
        code: str = "",
        environment: str = "",
    ) -> None:
        self.lanes = lanes
        self.cache = cache
        self.paths = paths
        self.resources: Mapping[type, Any] = {type(resource): resource for resource in resources}
        self.code = code
        self.environment = environment

    async def run(
        self,
        plan: Plan,
        *,
        sink: Sink | None = None,
        keep: Collection[str] = (),
        priority: int = 0,
        run_id: str | None = None,
    ) -> Result:
        """Run the plan; errors of nodes are in the result. Runs of higher priority go first, then the older.

        Cancelling the task that awaits this ends the run between two slices: when CancelledError comes out, nothing
        of the run is left on any lane. An error of the sink ends the run and comes out as well.
        """
        if self.lanes.closed:
            raise RuntimeError("the lanes of this engine are closed")
        for lane in {task.schema.lane for task in plan.tasks}.difference(self.lanes.names):
            raise LookupError(f"there is no lane {lane!r}; there are: {', '.join(self.lanes.names)}")
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        run = Run(
            plan, self.paths, self.cache, run_id=run_id or str(uuid.uuid4()), keep=keep, sink=sink,
            resources=self.resources, order=(-priority, next(self.lanes.ages)),
            printer=Fingerprinter(plan.graph, self.paths, code=self.code, environment=self.environment),
            on_over=partial(loop.call_soon_threadsafe, over.set),
        )  # fmt: skip
        self.lanes.put(Slice("io", run.urgency(-1), run.prepare))
        cancelled: asyncio.CancelledError | None = None
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError as error:
                cancelled = error
                run.cancel()
        if run.crash is not None:
            raise run.crash
        if cancelled is not None:
            raise cancelled
        return run.result()
