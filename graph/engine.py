"""Engine: runs a plan. asyncio waits for the whole; the nodes run on lanes, without a trip through the event loop."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from graph.accounts import House
from graph.cache import Cache, Guard
from graph.effects import Effects
from graph.events import Sink
from graph.execution import Run
from graph.fingerprint import CodeOf, Fingerprinter
from graph.jobs import JobOutput
from graph.lanes import Lanes, Slice
from graph.model import Plan
from graph.paths import Paths
from graph.placement import Placement
from graph.registry import Registry
from graph.result import Limits, Result
from graph.saving import Ledger


class Engine:
    """Runs plans, several at a time, on shared lanes with a shared cache.

    registry: the classes of nodes that nodes make. resources: what nodes get by `ctx.resource(type)`; lane_resources:
    instead of those, on a lane of that name. code, environment: enter every fingerprint, see there. effects: where
    output nodes are remembered whose files need not be saved again; None: they always run. guard: notices third-party
    nodes that write into their inputs. relief: given an error, frees memory; True if the work is worth repeating.
    """

    def __init__(
        self,
        lanes: Lanes,
        cache: Cache,
        paths: Paths,
        *,
        registry: Registry | None = None,
        resources: Iterable[object] = (),
        lane_resources: Mapping[str, Iterable[object]] | None = None,
        code: str | CodeOf = "",
        environment: str = "",
        effects: Effects | None = None,
        guard: Guard | None = None,
        relief: Callable[[BaseException], bool] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.lanes = lanes
        self.cache = cache
        self.paths = paths
        self.resources: dict[type, Any] = {type(each): each for each in resources}
        self.code = code
        self.environment = environment
        self.effects = effects
        by_lane = {
            lane: {**self.resources, **{type(each): each for each in own}}
            for lane, own in (lane_resources or {}).items()
        }
        self._house = House(
            lanes, cache, paths, registry if registry is not None else Registry(), {"": self.resources, **by_lane},
            effects, guard, relief, limits or Limits(), Placement(lanes.devices),
        )  # fmt: skip

    async def run(
        self,
        plan: Plan,
        *,
        sink: Sink | None = None,
        keep: Collection[str] = (),
        priority: int = 0,
        run_id: str | None = None,
        done: Mapping[str, JobOutput] | None = None,
        ledger: Callable[[str], Ledger] | None = None,
    ) -> Result:
        """Run the plan; errors of nodes are in the result. Runs of higher priority go first, then the older.

        done: output nodes that ended in an earlier attempt, which do not run again. ledger: for a node's id, where the
        names of the files that it saves are on record.
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
            self._house, plan, run_id=run_id or str(uuid.uuid4()), keep=keep, sink=sink, priority=priority,
            age=next(self.lanes.ages), ended=done or {}, ledger=ledger,
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
                run.is_cancelled = True
                self.lanes.put(Slice("io", run.urgency(-1), run.cancel))  # it waits for a lock, which this may not
        if run.crash is not None:
            raise run.crash
        if cancelled is not None:
            raise cancelled
        result = run.result()
        run.let_go()
        return result
