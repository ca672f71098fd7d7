"""Run: the execution of one plan, as slices of work for lanes, each of which gives those that it made ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from graph.accounts import Accounts
from graph.board import Board
from graph.cache import Entry
from graph.call import NodeContext, arguments, blocked, calls, merge, shells, split, together
from graph.context import RUNNING, Cancelled
from graph.events import (
    NodeBlocked,
    NodeFinished,
    NodeProgress,
    NodesAdded,
    NodesCached,
    NodeStarted,
    NodeWarned,
    RunStarted,
)
from graph.expand import ExpansionError, expand
from graph.given import Again, Blocked, Expansion
from graph.lanes import Company, Slice, Urgency
from graph.loops import LoopError, connect, next_iteration
from graph.node import UNFINISHED, SharedStepper
from graph.result import NodeTimeout
from graph.work import Slot, Work, filled

ORDINARY, PASS = 0, 1  # kinds of slices: first what else is ready, so that a young run can join, a finished one leave


class Run(Accounts):
    """One plan under way. prepare() gives the first slices, each slice those that it made ready, until none is left."""

    # -- slices

    def urgency(self, index: int, kind: int = ORDINARY) -> Urgency:
        """Where a slice of that work stands among those that wait."""
        return (-self._priority, kind, self.age, index)

    def prepare(self) -> Iterable[Slice]:
        """The first slice: find out what must run, and give the slices that can begin."""
        RUNNING.set((self.id, ""))
        try:
            board = Board(self._plan, self._house.cache, self._printer, self._house.effects, self._ended)
            kept = [board.by_id[node_id] for node_id in self._keep]
            fresh = board.want(kept)
            for work in kept:
                work.leader.uses += 1
        except BaseException as error:
            self._crash(error)
            return self._advance(())
        to_run = sorted(fresh, key=lambda work: work.index)
        self._emit(RunStarted(self.id, tuple(work.task.id for work in to_run)))
        spared = [*board.cached, *(board.behind(board.cached) if self._sink is not None else ())]
        self._tell_cached(board, sorted(spared, key=lambda work: work.index))
        with self._lock:
            self._board = board
        return self._advance([work for work in to_run if not work.waiting])

    def _execute(self, work: Work) -> Iterable[Slice]:
        """One slice of a work: a call, a step of a stepper, or putting together what others gave in its place."""
        with self._lock:
            if not work.started:
                if work.dropped:
                    return ()  # withdrawn while it waited
                work.started = True
            work.at_work = True
            stop = work.dropped or self.is_cancelled
        RUNNING.set((self.id, work.task.id))
        began = time.perf_counter()
        try:
            if stop:
                raise Cancelled
            if work.stepper is not None:
                result = work.stepper.step()
            elif work.given is not None:
                return self._finish(work, filled(work))
            else:
                if work.calls is None and (early := self._prepare(work)) is not None:
                    return early
                if not work.calls:
                    return self._finish(work, merge(work.task.schema, (), mapped=True))
                result = self._call(work, len(work.results))
            if result is UNFINISHED:
                self._check_limit(work, began)
                return self._next_slice(work, began)
            return self._took(work, result, began)
        except BaseException as error:
            work.seconds += time.perf_counter() - began
            return self._stumble(work, error)

    async def _wait(self, work: Work) -> Iterable[Slice]:
        """The slice of an async node: all of its calls at the same time."""
        with self._lock:
            if not work.started and work.dropped:
                return ()
            work.started = work.at_work = True
            stop = work.dropped or self.is_cancelled
            task = asyncio.current_task()
            assert task is not None
            self._waits[work] = task
        RUNNING.set((self.id, work.task.id))
        began = time.perf_counter()
        try:
            if stop:
                raise Cancelled
            if work.given is not None:
                return self._finish(work, filled(work))
            if work.calls is None and (early := self._prepare(work)) is not None:
                return early
            assert work.calls is not None
            if not work.calls:
                return self._finish(work, merge(work.task.schema, (), mapped=True))
            results = [self._call(work, number) for number in range(len(work.calls))]
            given = await together(results)
            work.results = [_of_call(work, each) for each in given[:-1]]
            return self._took(work, given[-1], began)
        except asyncio.CancelledError:
            return self._stumble(work, Cancelled())
        except BaseException as error:
            work.seconds += time.perf_counter() - began
            return self._stumble(work, error)
        finally:
            with self._lock:
                self._waits.pop(work, None)

    # -- parts of a slice; what they raise is the node's error

    def _prepare(self, work: Work) -> Iterable[Slice] | None:
        """Find the arguments of the work's calls; else the slices that come first, or follow from a known result."""
        if work.error is not None:
            raise work.error
        board, task = self.board, work.task
        if work.lazy and (slices := self._ask(work)) is not None:
            return slices
        work.key = board.settle(work)
        if work.key is not None and not work.always and not task.schema.effect:
            entry = board.recall(work.key)
            if entry is not None:
                with self._lock:
                    board.cached.append(work)
                shown = {task.id: entry.ui} if entry.ui else {}
                self._emit(NodesCached(self.id, (task.id,), shown))
                return self._end_work(work, entry.outputs, entry.ui)
        given = self._arguments(work)
        if task.schema.foreign and self._house.guard is not None:
            work.guarded = {name: self._house.guard.versions(value) for name, value in given.items()}
        several = calls(task.schema, given)
        work.calls = [given] if several is None else several
        work.mapped = several is not None and len(several) != 1
        if self._sink is not None:
            self._emit(NodeStarted(self.id, task.id, work.display_id, task.schema.name))
        work.context = NodeContext(self, task.id, work.display_id, work.lane)
        return None

    def _arguments(self, work: Work) -> dict[str, Any]:
        given = arguments(work.task, self.board.works, work.asked)
        return {name: shells(value) for name, value in given.items()} if work.task.schema.foreign else given

    def _ask(self, work: Work) -> Iterable[Slice] | None:
        """What else the node needs of its lazy inputs: None if nothing, else the slices that bring it."""
        task, board = work.task, self.board
        while True:
            given = self._arguments(work)
            several = calls(task.schema, given)
            wanted: set[str] = set()
            for each in [given] if several is None else several:
                if blocked(each, task.schema) is None:
                    wanted.update(task.spec.node.ask(each, task.id))
            unknown = wanted - task.schema.inputs.keys() - task.spec.inputs.keys()
            if unknown:
                raise LookupError(f"it asks for an input {min(unknown)!r} that it does not have")
            new = (wanted & work.lazy) - work.asked
            if not new:
                return None
            with self._lock:
                if work.given_up:
                    return ()
                key = board.ask(work, new)
                asks = tuple(sorted(work.asked))
                known = len(board.cached)
                fresh = self._want(board.works[index] for name, index, _ in task.wires if name in new)
                board.link(work, new)
                lost = self._is_lost(work)
                waits = bool(work.waiting)
                if lost:
                    self._drop(work)
                elif waits:
                    work.queued = work.started = False
                work.at_work = not (waits or lost)
                cached = board.cached[known:]
            if cached:
                self._tell_cached(board, cached)
            if key is not None:
                board.remember(key, Entry((), {}, 0.0, asks=asks), task)
            if waits or lost:
                return self._advance([each for each in fresh if not each.waiting])

    def _tell_cached(self, board: Board, cached: Sequence[Work]) -> None:
        if self._sink is not None:
            shown = {work.task.id: ui for work in cached if (ui := board.ui.get(work.leader.task.id))}
            self._emit(NodesCached(self.id, tuple(work.task.id for work in cached), shown))

    def _call(self, work: Work, number: int) -> Any:
        """One call of the node, or the first step of it."""
        assert work.calls is not None
        assert work.context is not None
        schema, given = work.task.schema, work.calls[number]
        if (block := blocked(given, schema)) is not None:
            if block.message is not None:
                self._emit(NodeBlocked(self.id, work.task.id, work.display_id, schema.name, block.message))
            return Blocked()
        node = work.task.spec.node.build(given)
        context = work.context.of_call(number) if number else work.context
        stepper = node.stepper()
        if stepper is None:
            return node.run(context)
        try:
            stepper.start(context)
        except BaseException:
            stepper.close()
            raise
        work.stepper = stepper
        return UNFINISHED

    def _took(self, work: Work, result: Any, began: float) -> Iterable[Slice]:
        """A call has given its result."""
        if work.stepper is not None:
            stepper, work.stepper = work.stepper, None
            stepper.close()
        assert work.calls is not None
        if type(result) is Again:
            if len(work.calls) > 1:
                raise LoopError("it ends a loop once for each value of a list; give it a single one.")
            work.seconds += time.perf_counter() - began
            return self._again(work, result)
        work.results.append(_of_call(work, result))
        if len(work.results) < len(work.calls):
            return self._next_slice(work, began)
        work.seconds += time.perf_counter() - began
        if work.guarded is not None:
            self._check_inputs(work)
        if Expansion in map(type, work.results):
            return self._expand(work)
        return self._finish(work, merge(work.task.schema, work.results, mapped=work.mapped))

    def _next_slice(self, work: Work, began: float) -> Iterable[Slice]:
        work.seconds += time.perf_counter() - began
        new = self._slice(work)
        return (new,) if self._ends_slice(work) else self._fail(work, Cancelled())

    def _check_limit(self, work: Work, began: float) -> None:
        limit_s = self._house.lanes.limit_s
        if limit_s is not None and work.seconds + time.perf_counter() - began > limit_s:
            raise _timeout(limit_s)

    def _check_inputs(self, work: Work) -> None:
        """A third-party node that wrote into what it was given has changed the results of others."""
        assert self._house.guard is not None
        assert work.guarded is not None
        given = self._arguments(work)
        before = work.guarded
        changed = [name for name, value in given.items() if self._house.guard.versions(value) != before[name]]
        if changed:
            with self._lock:
                self.board.forget_upstream(work)
                work.key = None
            task = work.task
            message = (
                f"{task.schema.name} (node {task.id}) wrote into what it was given as {', '.join(changed)}: results "
                "that others share. They are computed again in the next run; tell the author of the node."
            )
            self._emit(NodeWarned(self.id, task.id, work.display_id, task.schema.name, message))

    # -- nodes that make nodes

    def _expand(self, work: Work) -> Iterable[Slice]:
        """Others run in the work's place; it goes on when they are done."""
        house, board = self._house, self.board
        if work.depth >= house.limits.depth:
            raise ExpansionError(
                f"nodes have made one another {work.depth} times, one within the next; that is more than may be. "
                "A loop would not: use a loop's nodes, or raise the limit."
            )
        given: list[tuple[Any, ...]] = []
        added: list[Work] = []
        effects: list[Work] = []
        with self._lock:
            assert work.calls is not None
            for number, (result, arguments_) in enumerate(zip(work.results, work.calls, strict=True)):
                if type(result) is not Expansion:
                    given.append(result)
                    continue
                expanded = expand(board, house.registry, work, result, number, arguments_)
                given.append(expanded.row)
                added += expanded.works
                effects += expanded.effects
            self._check_count()
        for each in added:
            if each.task.schema.lane not in house.lanes.names:
                raise ExpansionError(f"it made a node {each.task.id} for a lane {each.task.schema.lane!r}, not there.")
        return self._hand_over(work, given, added, effects)

    def _again(self, work: Work, again: Again) -> Iterable[Slice]:
        """The loop that the work ends begins once more."""
        board, root = self.board, work.root or work
        with self._lock:
            iteration = next_iteration(work, again, board.works)
            displays = [each.display_id for each in iteration.origins]
            added = board.add(iteration.tasks, root, displays, root.depth + 1)
            connect(iteration, added)
            board.begin(added)
            self._check_count()
        self._emit(NodeProgress(self.id, root.task.id, root.display_id, again.done, again.total or again.done, None))
        end = added[-1]
        row = tuple(Slot(end, output) for output in range(len(work.task.schema.outputs)))
        effects = [each for each in added if each.task.schema.effect]
        return self._hand_over(root, [row], added, effects, end=end, ended=work if work is not root else None)

    def _hand_over(
        self,
        work: Work,
        given: Sequence[tuple[Any, ...]],
        added: Sequence[Work],
        effects: Sequence[Work],
        *,
        end: Work | None = None,
        ended: Work | None = None,
    ) -> Iterable[Slice]:
        """The work waits for what others give in its place; `effects` run besides.

        `end` is the end of a loop's next iteration, and `ended` that of the iteration that it waited for until now.
        """
        board = self.board
        self._emit(NodesAdded(self.id, work.task.id, tuple((each.task.id, each.display_id) for each in added)))
        if ended is not None and self._sink is not None:
            self._emit(NodeFinished(self.id, ended.task.id, ended.display_id, {}, ended.seconds))
        needed = [slot.work for row in given for slot in row if type(slot) is Slot]
        needed += [end] if end is not None else []
        with self._lock:
            before = ended or work
            if before.given_up:
                return ()
            before.at_work = False
            if work.dropped or before.dropped:
                needed, effects = [], []
            known = len(board.cached)
            fresh = self._want([*needed, *effects])
            cached = board.cached[known:]
            for each in effects:
                each.uses += 1
            board.release(before)  # only now: what was wanted may use the same
            if ended is not None and not work.dropped:
                ended.done = True
                work.sources.pop(ended)
                work.waiting -= 1
            work.given = given
            board.use(work, needed)
            ready = [each for each in fresh if not each.waiting]
            if not work.waiting:
                ready.append(work)
            lost = self._is_lost(work)
            needless = not work.dropped and any(source.needless for source in work.sources)
            if lost:
                self._drop(work)
        if cached:
            self._tell_cached(board, cached)
        if needless:
            self._tell_failure(work, ExpansionError("it made nodes that need what was given up as needless before."))
        return self._advance(ready)

    # -- making slices

    def _slice(self, work: Work) -> Slice:
        """The work's next turn on a lane."""
        lane = work.task.schema.lane
        if lane == "async":
            work.lane = lane
            return Slice(lane, self.urgency(work.index), partial(self._wait, work), None, partial(self._overdue, work))
        if not work.lane:
            work.lane = self._device(work) if lane == "device" else lane
        kind, company = ORDINARY, None
        if work.stepper is not None:
            stepper = work.stepper
            if isinstance(stepper, SharedStepper) and (key := stepper.company) is not None:
                kind, company = PASS, Company((type(stepper), key), stepper.most, (self, work), step_together)
        return Slice(
            work.lane,
            self.urgency(work.index, kind),
            partial(self._execute, work),
            company,
            partial(self._overdue, work) if self._house.lanes.limit_s is not None else None,
        )

    def _device(self, work: Work) -> str:
        """The device for a work: where its sources computed, if they did so on one."""
        near = [source.lane for source in work.sources if source.lane.startswith("device")]
        return self._house.placement.choose(near[-1] if near else None)

    def _stumble(self, work: Work, error: BaseException) -> Iterable[Slice]:
        """A slice raised an error: try again with more memory where that helps, else the work has failed."""
        relief = self._house.relief
        if relief is not None and not work.relieved and isinstance(error, Exception):
            try:
                work.relieved = relief(error)
                if work.relieved:
                    return self._next_slice(work, time.perf_counter())
            except Exception as another:  # of what frees memory: then that is why the work failed
                error = another
        return self._fail(work, error)

    def _overdue(self, work: Work) -> Iterable[Slice]:
        """The slice takes longer than it may. It cannot be ended, but what it gives is of no use any more."""
        limit_s = self._house.lanes.limit_s
        with self._lock:
            if not work.at_work or limit_s is None:
                return ()  # it has just ended by itself
            work.given_up = True
            if work.context is not None:
                work.context.is_over = True
            wait = self._waits.get(work)
        if wait is not None:
            wait.get_loop().call_soon_threadsafe(wait.cancel)
        self._tell_failure(work, _timeout(limit_s))
        with self._lock:
            self._drop(work)
        return self._advance(())

    def _check_count(self) -> None:
        if len(self.board.works) > self._house.limits.nodes:
            raise ExpansionError(f"nodes have made more than {self._house.limits.nodes} others; end the loop earlier.")

    # -- steps that runs take together

    def step_of(self, work: Work) -> bool:
        """Whether the work's step is to be taken now."""
        with self._lock:
            work.at_work = True
            return not (work.dropped or self.is_cancelled)

    def after_step(self, work: Work, result: Any, seconds: float) -> Iterable[Slice]:
        """The work's step was taken with those of others: its result, UNFINISHED, or the error that it had."""
        work.seconds += seconds
        began = time.perf_counter()
        try:
            if isinstance(result, BaseException):
                raise result
            if result is UNFINISHED:
                self._check_limit(work, began)
                return self._next_slice(work, began)
            return self._took(work, result, began)
        except BaseException as error:
            return self._stumble(work, error)


def step_together(members: Sequence[tuple[Run, Work]]) -> Iterable[Slice]:
    """One step of each member, the work of a Company. They are as old as the oldest of them from now on."""
    slices: list[Slice] = []
    going: list[tuple[Run, Work]] = []
    age = min(run.age for run, _ in members)
    for run, work in members:
        run.age = age
        if run.step_of(work):
            going.append((run, work))
        else:
            slices += run.after_step(work, Cancelled(), 0.0)
    if not going:
        return slices
    RUNNING.set(("", ""))  # all of theirs
    began = time.perf_counter()
    steppers: list[Any] = [work.stepper for _, work in going]
    try:
        results = list(type(steppers[0]).step_together(steppers))
        if len(results) != len(going):
            raise TypeError(f"{len(going)} took a step together, but {len(results)} results came of it")
    except BaseException as error:  # a fault of the stepper: it is to give each its own
        results = [error] * len(going)
    share = (time.perf_counter() - began) / len(going)
    for (run, work), result in zip(going, results, strict=True):
        slices += run.after_step(work, result, share)
    return slices


def _of_call(work: Work, result: Any) -> Any:
    """What a call gave, as one value for each output, or an Expansion. Raises TypeError if their number is wrong."""
    if type(result) is Expansion:
        return result
    if type(result) is Blocked:
        return (result,) * len(work.task.schema.outputs)
    return split(work.task.schema, result)


def _timeout(limit_s: float) -> NodeTimeout:
    return NodeTimeout(f"it took longer than {limit_s:g} seconds, the limit for a node; allow more, or ask less of it.")
