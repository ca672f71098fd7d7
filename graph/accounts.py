"""Accounts: what of a run waits, is done or has failed. Each step of the run ends here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from graph.board import Board
from graph.cache import Cache, Entry, Guard
from graph.context import Cancelled
from graph.effects import Effects
from graph.events import Event, NodeFailed, NodeFinished, NodeProgress, RunFinished, Sink
from graph.expand import stalled
from graph.fingerprint import Fingerprinter
from graph.jobs import JobOutput
from graph.lanes import Lanes, Slice
from graph.live import Live
from graph.model import Plan
from graph.paths import Paths
from graph.placement import Placement
from graph.registry import Registry
from graph.result import Failure, Limits, Result
from graph.saving import Ledger
from graph.work import Work


@dataclass(frozen=True)
class House:
    """What all runs of an engine share."""

    lanes: Lanes
    cache: Cache
    paths: Paths
    registry: Registry
    resources: Mapping[str, Mapping[type, Any]]  # by lane
    effects: Effects | None
    guard: Guard | None
    relief: Callable[[BaseException], bool] | None
    limits: Limits
    placement: Placement


class Accounts(ABC):
    """The state of one plan under way, under one lock; its works may be carried on in any threads.

    `on_over` is called when the last slice is done.
    """

    def __init__(
        self,
        house: House,
        plan: Plan,
        *,
        run_id: str,
        keep: Collection[str],
        sink: Sink | None,
        printer: Fingerprinter,
        priority: int,
        age: int,
        ended: Mapping[str, JobOutput],
        ledger: Callable[[str], Ledger] | None,
        on_over: Callable[[], object],
    ) -> None:
        """`keep` names nodes whose outputs are wanted besides those of the targets."""
        self.id = run_id
        self.age = age
        self.paths = house.paths
        self.prompt = plan.graph.prompt
        self.extra_pnginfo = plan.graph.extra_pnginfo
        self.is_cancelled = False
        self.crash: BaseException | None = None  # an error of what surrounds the nodes, such as the sink
        self._house = house
        self._plan = plan
        self._keep = tuple(dict.fromkeys((*plan.targets, *keep)))
        self._sink = sink
        self._printer = printer
        self._priority = priority
        self._ended = ended
        self._ledger = ledger
        self._on_over = on_over
        self._began = time.perf_counter()
        self._lock = threading.Lock()
        self._active = 1  # slices that wait in a lane or are being worked on; prepare() is the first
        self._board: Board | None = None
        self._failures: list[Failure] = []
        self._waits: dict[Work, asyncio.Task[Any]] = {}  # of async nodes

    @property
    def board(self) -> Board:
        assert self._board is not None, "the run was not prepared"
        return self._board

    def result(self) -> Result:
        """What came of it; only when the run is over."""
        board = self._board
        if board is None:
            return Result({}, {}, {}, (), tuple(self._failures))
        kept = {node_id: board.by_id[node_id].leader.outputs for node_id in self._keep}
        outputs = {node_id: given for node_id, given in kept.items() if given is not None}
        found = set(board.cached)
        seconds = {
            work.task.id: work.seconds for work in board.works if work.started and work.done and work not in found
        }
        cached = tuple(work.task.id for work in sorted(found, key=lambda work: work.index))
        return Result(outputs, board.ui, seconds, cached, tuple(self._failures))

    def let_go(self) -> None:
        """Hold no values any more: a run that is over may stay in memory for a while."""
        for work in self.board.works if self._board is not None else ():
            work.outputs = None

    def cancel(self) -> Iterable[Slice]:
        """A slice: begin nothing more; what is being worked on ends at its next step, or when it next looks."""
        with self._lock:
            self.is_cancelled = True
            works = self._board.works if self._board is not None else []
            waiting = [work for work in works if work.queued and not work.started and not work.dropped]
            for work in waiting:
                self._drop(work)
            over = bool(waiting) and self._active == 0
            waits = list(self._waits.values())
        for wait in waits:
            with contextlib.suppress(RuntimeError):  # its event loop has ended
                wait.get_loop().call_soon_threadsafe(wait.cancel)
        if over:
            self._end()
        return ()

    # -- what a node's context asks for

    @property
    def live(self) -> Live:
        """The nodes of the run."""
        return Live(self.board, self.prompt)

    def resources(self, lane: str) -> Mapping[type, Any]:
        """What nodes on that lane can ask for."""
        return self._house.resources.get(lane) or self._house.resources[""]

    def ledger(self, node_id: str) -> Ledger | None:
        """Where the names of files that a node claims are on record."""
        return self._ledger(node_id) if self._ledger is not None else None

    def report(self, node_id: str, display_id: str, value: float, total: float, preview: object | None) -> None:
        """Tell of a node's progress."""
        self._emit(NodeProgress(self.id, node_id, display_id, value, total, preview))

    def _advance(self, ready: Iterable[Work]) -> Iterable[Slice]:
        """Ends a slice: gives those of the works that are ready now, and ends the run if nothing is left to do."""
        with self._lock:
            begin = [work for work in ready if not self.is_cancelled and not work.dropped]
            for work in begin:
                work.queued = True
            self._active += len(begin) - 1
            over = self._active == 0
        if over and not self._fail_stalled():
            self._end()
        return [self._slice(work) for work in begin]

    @abstractmethod
    def _slice(self, work: Work) -> Slice:
        """The work's next turn on a lane."""

    # -- how a work ends

    def _finish(self, work: Work, outputs: tuple[Any, ...]) -> Iterable[Slice]:
        """The node has run."""
        assert work.context is not None
        context, work.context = work.context, None
        task, key = work.task, work.key
        if isinstance(key, str):
            try:
                if not task.schema.effect:
                    self.board.remember(key, Entry(outputs, context.shown, work.seconds), task)
                elif self._house.effects is not None:
                    self._house.effects.remember(key, context.shown, context.files)
            except Exception as error:  # of the cache or what it holds: the run cannot be relied on any more
                self._crash(error)
        if self._sink is not None:
            self._emit(NodeFinished(self.id, task.id, work.display_id, context.shown, work.seconds, context.files))
        return self._end_work(work, outputs, context.shown)

    def _end_work(self, work: Work, outputs: tuple[Any, ...], ui: Mapping[str, Sequence[Any]]) -> Iterable[Slice]:
        """The work has its outputs: those who waited for them can go on."""
        ready = []
        with self._lock:
            if work.given_up:
                return ()
            work.at_work = False
            self.board.finish(work, outputs, ui)
            if not work.uses and not work.held:
                work.outputs = None
            if not work.dropped:
                self._house.placement.leave(work.lane)
                self.board.release(work)
            self.board.release_holds(work)
            for taker in work.takers:
                taker.waiting -= 1
                if not taker.waiting:
                    ready.append(taker)
            work.takers.clear()
            work.results.clear()
            work.calls = work.given = None
        return self._advance(ready)

    def _fail(self, work: Work, error: BaseException) -> Iterable[Slice]:
        """The work gave nothing: what needs it cannot run, what only it needed need not run."""
        if work.stepper is not None:
            stepper, work.stepper = work.stepper, None
            try:
                stepper.close()
            except BaseException as another:
                error = another if isinstance(error, Cancelled) else error
        if not self._ends_slice(work):
            return ()
        if not isinstance(error, Cancelled) or not (self.is_cancelled or work.dropped or self._is_lost(work)):
            self._tell_failure(work, error)
        with self._lock:
            self._drop(work)
        return self._advance(())

    def _ends_slice(self, work: Work) -> bool:
        """Whether the end of the slice counts: the work was not given up, and from now on cannot be."""
        with self._lock:
            work.at_work = False
            return not work.given_up

    def _tell_failure(self, work: Work, error: BaseException) -> None:
        task = work.task
        failure = Failure(task.id, task.schema.name, error, work.display_id)
        self._emit(NodeFailed(self.id, task.id, work.display_id, task.schema.name, error, str(failure)))
        with self._lock:
            self._failures.append(failure)

    def _is_lost(self, work: Work) -> bool:
        return any(source.dropped for source in work.sources)

    # -- under the lock

    def _want(self, wanted: Iterable[Work]) -> list[Work]:
        """What must run besides, for these to have outputs. Of that, what takes from lost works is lost as well."""
        fresh = self.board.want(wanted)
        for work in fresh:
            if self._is_lost(work):
                work.needless = any(source.needless for source in work.sources)
                self._drop(work)
        return fresh

    def _drop(self, work: Work) -> None:
        """It will give nothing. So those that take from it cannot run, and others may not be needed any more."""
        stack = [work]
        while stack:
            each = stack.pop()
            if each.dropped or each.done:
                continue
            if each.queued and not each.started:
                self._active -= 1  # the slice waits in a lane; when its turn comes it finds that out
            each.dropped = True
            self._house.placement.leave(each.lane)
            for taker in each.takers:
                taker.needless = taker.needless or each.needless
            stack += each.takers
            needless = self.board.release(each)
            if not self.board.may_ask:  # else who asks later may need them
                for source in needless:
                    source.needless = True
                stack += needless
            self.board.release_holds(each)

    def _fail_stalled(self) -> bool:
        """Whether some work waits for itself, which has now failed, so that others may go on."""
        if self._board is None or self.is_cancelled:
            return False
        with self._lock:
            found = stalled(self._board.works)
            if found is None:
                return False
            self._active += 1
        work, error = found
        self._tell_failure(work, error)
        with self._lock:
            self._drop(work)
        self._advance(())
        return True

    # -- the world

    def _emit(self, event: Event) -> None:
        if self._sink is not None:
            try:
                self._sink(event)
            except BaseException as error:
                self._crash(error)

    def _crash(self, error: BaseException) -> None:
        """What surrounds the nodes failed: end the run, and let its caller have the error."""
        if self.crash is None:
            self.crash = error
            self.cancel()

    def _end(self) -> None:
        status: Literal["succeeded", "failed", "cancelled"] = "failed" if self._failures else "succeeded"
        if self.is_cancelled:
            status = "cancelled"
        self._emit(RunFinished(self.id, status, time.perf_counter() - self._began))
        with contextlib.suppress(RuntimeError):  # the event loop was stopped by force
            self._on_over()
