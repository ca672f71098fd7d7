"""Run: the execution of one plan. What has happened so far, and the slices of work that carry it on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from graph.cache import Cache, Entry
from graph.call import NodeContext, instance, split
from graph.context import Cancelled
from graph.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeStarted,
    RunFinished,
    RunStarted,
    Sink,
)
from graph.fingerprint import Fingerprinter
from graph.lanes import Slice, Urgency
from graph.model import Plan
from graph.node import UNFINISHED
from graph.paths import Paths
from graph.survey import Progress, Survey, survey


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that raised an error."""

    node_id: str
    class_type: str
    error: BaseException

    @property
    def is_for_people(self) -> bool:
        """Whether something given must change, and the error says what: a ValueError with a class of its own."""
        return isinstance(self.error, ValueError) and type(self.error).__module__ != "builtins"

    def __str__(self) -> str:
        """One sentence: which node, which class, what happened."""
        # Of an error that is not for people, the class says half of it.
        what = str(self.error) if self.is_for_people else f"{type(self.error).__name__}: {self.error}"
        return f"{self.class_type} (node {self.node_id}) failed: {what}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave."""

    outputs: Mapping[str, tuple[Any, ...]]  # of the targets, and of the nodes to keep, unless they failed
    ui: Mapping[str, Mapping[str, Sequence[Any]]]  # what nodes showed, by node id and key
    seconds: Mapping[str, float]  # time that a lane spent on each node that ran
    cached: tuple[str, ...]  # nodes whose results were there, or came from an equal node
    failures: tuple[Failure, ...]


class Run:
    """One plan under way. prepare() gives the first slices, each slice those that it made ready, until none is left.

    All state is under one lock; the slices may run in any threads. `on_over` is called when the last one is done.
    """

    def __init__(
        self,
        plan: Plan,
        paths: Paths,
        cache: Cache,
        *,
        run_id: str,
        keep: Collection[str],
        sink: Sink | None,
        resources: Mapping[type, Any],
        printer: Fingerprinter,
        order: tuple[int, int],
        on_over: Callable[[], object],
    ) -> None:
        """`keep` names nodes whose outputs are wanted besides those of the targets, `order` begins every urgency."""
        self.id = run_id
        self.paths = paths
        self.prompt = plan.graph.prompt
        self.extra_pnginfo = plan.graph.extra_pnginfo
        self.resources = resources
        self.is_cancelled = False
        self.crash: BaseException | None = None  # an error of what surrounds the nodes, such as the sink
        self._plan = plan
        self._cache = cache
        self._sink = sink
        self._printer = printer
        self._order = order
        self._on_over = on_over
        self._began = time.perf_counter()
        indices = {task.id: index for index, task in enumerate(plan.tasks)}
        self._kept = {node_id: indices[node_id] for node_id in (*plan.targets, *keep)}
        self._lock = threading.Lock()
        self._active = 1  # slices that wait in a lane or are being worked on; prepare() is the first
        self._state = Survey()
        self._failures: list[Failure] = []

    def urgency(self, index: int) -> Urgency:
        """Where a slice of that task stands among those that wait."""
        return (*self._order, index)

    def result(self) -> Result:
        """What came of it; only when the run is over."""
        state, tasks = self._state, self._plan.tasks
        values = {node_id: state.values[state.leaders[index]] for node_id, index in self._kept.items()}
        outputs = {node_id: given for node_id, given in values.items() if given is not None}
        ran = {tasks[index].id: each for index, each in state.progress.items() if each.started and each.done}
        seconds = {node_id: each.seconds for node_id, each in ran.items()}
        return Result(outputs, state.ui, seconds, tuple(state.cached), tuple(self._failures))

    def cancel(self) -> None:
        """Begin nothing more; what is being worked on ends at its next step, or when it next looks."""
        with self._lock:
            self.is_cancelled = True
            tasks = self._state.progress.values()
            waiting = [each for each in tasks if each.queued and not each.started and not each.dropped]
            for each in waiting:
                self._withdraw(each)
            over = bool(waiting) and self._active == 0
        if over:
            self._end()

    def report(self, node_id: str, value: float, total: float, preview: object | None) -> None:
        """Tell of a node's progress."""
        self._emit(NodeProgress(self.id, node_id, value, total, preview))

    # -- slices

    def prepare(self) -> Iterable[Slice]:
        """The first slice: find out what must run, and give the slices that can begin."""
        try:
            state = survey(self._plan, self._kept.values(), self._cache, self._printer)
        except BaseException as error:
            self._crash(error)
            return self._advance(())
        to_run = [index for index, each in sorted(state.progress.items()) if not each.done]
        self._emit(RunStarted(self.id, tuple(self._plan.tasks[index].id for index in to_run)))
        self._emit(NodesCached(self.id, tuple(state.cached)))
        with self._lock:
            self._state = state
        return self._advance([index for index in to_run if not state.progress[index].waiting])

    def _execute(self, index: int) -> Iterable[Slice]:
        """One slice of a task: all of an ordinary node, one step of a stepper."""
        task, progress = self._plan.tasks[index], self._state.progress[index]
        with self._lock:
            if not progress.started:
                if progress.dropped:
                    return ()
                progress.started = True
            stop = progress.dropped or self.is_cancelled
        began = time.perf_counter()
        try:
            if stop:
                raise Cancelled
            result = self._first_slice(index, progress) if progress.stepper is None else progress.stepper.step()
            if result is not UNFINISHED:
                outputs = split(task.schema, result)
        except BaseException as error:
            return self._fail(index, error)
        progress.seconds += time.perf_counter() - began
        if result is UNFINISHED:
            return (Slice(task.schema.lane, self.urgency(index), partial(self._execute, index)),)
        return self._finish(index, outputs)

    def _first_slice(self, index: int, progress: Progress) -> Any:
        task = self._plan.tasks[index]
        if self._sink is not None:
            self._emit(NodeStarted(self.id, task.id, task.schema.name))
        if index in self._state.errors:
            raise self._state.errors[index]
        context = progress.context = NodeContext(self, task.id)
        node = instance(task, self._state.values, self._state.leaders)
        progress.stepper = node.stepper()
        if progress.stepper is None:
            return node.run(context)
        progress.stepper.start(context)
        return UNFINISHED

    # -- what a slice leads to

    def _finish(self, index: int, outputs: tuple[Any, ...]) -> Iterable[Slice]:
        task, progress = self._plan.tasks[index], self._state.progress[index]
        assert progress.context is not None
        shown = progress.context.shown
        progress.context = None
        try:
            if progress.stepper is not None:
                stepper, progress.stepper = progress.stepper, None
                stepper.close()
        except BaseException as error:
            return self._fail(index, error)
        key = self._state.keys[index]
        if key is not None and not task.schema.effect:
            try:
                self._cache.put(key, Entry(outputs, shown, progress.seconds))
            except Exception as error:
                self._crash(error)
        if self._sink is not None:
            self._emit(NodeFinished(self.id, task.id, shown, progress.seconds))
        ready = []
        with self._lock:
            progress.done = True
            if shown:
                self._state.ui[task.id] = shown
            if not progress.dropped:
                self._state.values[index] = outputs if progress.uses else None
                for source in progress.sources:
                    self._release(source)
            for taker in progress.takers:
                waiting = self._state.progress[taker]
                waiting.waiting -= 1
                if not waiting.waiting:
                    ready.append(taker)
        return self._advance(ready)

    def _fail(self, index: int, error: BaseException) -> Iterable[Slice]:
        """The task gave nothing: what needs it cannot run, what only it needed need not run."""
        task, progress = self._plan.tasks[index], self._state.progress[index]
        progress.context = None
        if progress.stepper is not None:
            stepper, progress.stepper = progress.stepper, None
            try:
                stepper.close()
            except BaseException as another:
                error = another if isinstance(error, Cancelled) else error
        if not isinstance(error, Cancelled) or not (self.is_cancelled or progress.dropped):
            failure = Failure(task.id, task.schema.name, error)
            self._emit(NodeFailed(self.id, task.id, task.schema.name, error, str(failure)))
            with self._lock:
                self._failures.append(failure)
        with self._lock:
            self._drop(index)
        return self._advance(())

    def _advance(self, ready: Collection[int]) -> Iterable[Slice]:
        """Ends a slice: gives those of the tasks that are ready now, and ends the run if nothing is left to do."""
        with self._lock:
            begin = [index for index in ready if not self.is_cancelled and not self._state.progress[index].dropped]
            for index in begin:
                self._state.progress[index].queued = True
            self._active += len(begin) - 1
            over = self._active == 0
        if over:
            self._end()
        tasks = self._plan.tasks
        return [Slice(tasks[index].schema.lane, self.urgency(index), partial(self._execute, index)) for index in begin]

    # -- under the lock

    def _drop(self, index: int) -> None:
        """The task will give nothing. So those that take from it cannot run, and others may not be needed any more."""
        stack = [index]
        while stack:
            progress = self._state.progress[stack.pop()]
            if progress.dropped or progress.done:
                continue
            if progress.queued and not progress.started:
                self._withdraw(progress)
            progress.dropped = True
            stack += progress.takers
            stack += (source for source in progress.sources if self._release(source))

    def _release(self, source: int) -> bool:
        """One use of a task's values less; whether that makes the task itself needless."""
        progress = self._state.progress[source]
        progress.uses -= 1
        if progress.uses:
            return False
        self._state.values[source] = None
        return not progress.done

    def _withdraw(self, progress: Progress) -> None:
        """The slice that waits in a lane counts no more; when its turn comes it finds that out."""
        progress.dropped = True
        self._active -= 1

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
