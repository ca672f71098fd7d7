"""Attempt: one run of a job from the queue; records what its output nodes made, and says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

from graph.events import Event, NodeFinished, NodesAdded, Sink
from graph.jobs import Job, JobOutput, JobRequest
from graph.model import Plan
from graph.problems import DocumentError
from graph.queue.journal import Journal
from graph.result import Result
from graph.saving import Ledger
from graph.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt at a job ended; `pending` means that it shall be tried again."""

    state: Literal["pending", "succeeded", "failed", "cancelled"]
    reason: str = ""
    problems: tuple[Mapping[str, Any], ...] = ()
    may_retry: bool = False  # a failure that may be chance: nothing that was given must change


class Runner(Protocol):
    """Engine.run, as far as the scheduler needs it."""

    async def __call__(
        self,
        plan: Plan,
        *,
        sink: Sink,
        priority: int,
        run_id: str,
        done: Mapping[str, JobOutput],
        ledger: Callable[[str], Ledger],
    ) -> Result:
        """Run a plan; when it is cancelled, it comes back only when nothing of the run is left."""


@dataclass(eq=False, slots=True)
class Attempt:
    """One run of a job: records what its output nodes made, as they end, and says how it ended."""

    job: Job
    store: Store
    journal: Journal
    effects: frozenset[str] = frozenset()
    display: dict[str, str] = field(default_factory=dict)  # of nodes that others made
    recorded: dict[str, Future[None]] = field(default_factory=dict)  # by node id

    async def run(self, plan_job: Callable[[JobRequest], Plan], run: Runner) -> End:
        """Plan it and run it; being cancelled comes out."""
        job_id = self.job.request.id
        try:
            plan = await asyncio.to_thread(plan_job, self.job.request)
        except DocumentError as error:
            return End(
                "failed",
                str(error),
                tuple(_problem(each.node_id, each.class_type, each.sentence) for each in error.problems),
            )
        self.effects = frozenset(task.id for task in plan.tasks if task.schema.effect)
        others = {task.id for task in plan.tasks} - self.effects
        done = {each.node_id: each for each in self.job.outputs}
        result = await run(
            plan,
            sink=self._sink,
            priority=self.job.request.priority,
            run_id=job_id,
            done={node_id: each for node_id, each in done.items() if node_id not in others},
            ledger=partial(self.store.ledger, job_id),
        )
        for node_id, ui in result.ui.items():  # of nodes that need not run, or are no output nodes
            if node_id not in done and node_id not in self.recorded:
                self._record(JobOutput(node_id, self.display.get(node_id, node_id), ui))
        errors = await asyncio.to_thread(self._unrecorded)
        if errors:
            return End("failed", f"What it made could not be recorded: {errors[0]}", may_retry=True)
        if not result.failures:
            return End("succeeded")
        first, *more = result.failures
        return End(
            "failed",
            f"{first}" + (f" ({len(more)} more failed)" if more else ""),
            tuple(_problem(each.node_id, each.class_type, str(each)) for each in result.failures),
            may_retry=not any(each.is_for_people for each in result.failures),
        )

    def _sink(self, event: Event) -> None:
        self.journal.put(self.job.request.id, event)
        if isinstance(event, NodeFinished):
            if event.files or event.node_id in self.effects:
                self._record(JobOutput(event.node_id, event.display_id, event.ui, event.files))
        elif isinstance(event, NodesAdded):
            self.display.update(event.nodes)

    def _unrecorded(self) -> list[BaseException]:
        """Why outputs are not on disk. Waits until those are that can be."""
        return [error for written in self.recorded.values() if (error := written.exception()) is not None]

    def _record(self, output: JobOutput) -> None:
        self.recorded[output.node_id] = self.store.finish_task(self.job.request.id, output)


def _problem(node_id: str | None, class_type: str | None, sentence: str) -> Mapping[str, Any]:
    return {"node_id": node_id, "class_type": class_type, "sentence": sentence}


async def answer(future: Future[T]) -> T:
    """What the store answers. To give up waiting does not undo what was asked."""
    return await asyncio.shield(asyncio.wrap_future(future))
