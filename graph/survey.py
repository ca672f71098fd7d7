"""Survey: what of a plan must run, what is there already, and who waits for whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graph.cache import Cache
from graph.call import NodeContext
from graph.fingerprint import Fingerprinter
from graph.model import Plan
from graph.node import Stepper


class Progress:
    """How far one task of a run is."""

    __slots__ = (
        "context", "done", "dropped", "queued", "seconds", "sources", "started", "stepper", "takers", "uses", "waiting",
    )  # fmt: skip

    def __init__(self, sources: Collection[int], *, done: bool = False) -> None:
        self.sources = sources  # tasks it takes values from
        self.takers: list[int] = []  # tasks that wait for it
        self.waiting = 0  # how many of its sources are not done
        self.uses = 0  # how many tasks, and the result, still need its values
        self.queued = False  # its first slice was handed to a lane
        self.started = False
        self.done = done
        self.dropped = False  # it failed, cannot run any more, or nobody needs it any more
        self.seconds = 0.0
        self.stepper: Stepper[Any] | None = None
        self.context: NodeContext | None = None


@dataclass
class Survey:
    """The state that a run begins with; tasks go by their index in the plan."""

    keys: list[str | None] = field(default_factory=list)  # fingerprints
    leaders: list[int] = field(default_factory=list)  # the first task with the same key, whose outputs a task shares
    errors: dict[int, Exception] = field(default_factory=dict)  # of nodes whose fingerprint could not be taken
    progress: dict[int, Progress] = field(default_factory=dict)  # of the tasks that are needed
    values: list[tuple[Any, ...] | None] = field(default_factory=list)
    ui: dict[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)  # by node id
    cached: list[str] = field(default_factory=list)  # ids of nodes that need not run, in the order of the plan


def survey(plan: Plan, kept: Collection[int], cache: Cache, printer: Fingerprinter) -> Survey:
    """What must run, or come from the cache, so that the kept tasks have values. Effects always run."""
    found = Survey(values=[None] * len(plan.tasks))
    _take_fingerprints(plan, printer, found)
    _find_needed(plan, kept, cache, found)
    for index, progress in found.progress.items():
        for source in progress.sources:
            giver = found.progress[source]
            giver.uses += 1
            if not giver.done:
                giver.takers.append(index)
                progress.waiting += 1
    for index in kept:
        found.progress[found.leaders[index]].uses += 1
    return found


def _take_fingerprints(plan: Plan, printer: Fingerprinter, found: Survey) -> None:
    first: dict[str, int] = {}
    for index, task in enumerate(plan.tasks):
        key: str | None = None
        try:
            key = printer.of(task, found.keys)
        except Exception as error:  # the node's own code; it counts when the node's turn comes
            found.errors[index] = error
        found.keys.append(key)
        found.leaders.append(index if key is None or task.schema.effect else first.setdefault(key, index))


def _find_needed(plan: Plan, kept: Collection[int], cache: Cache, found: Survey) -> None:
    """From the last task to the first, so that nothing behind a cached result is looked at."""
    wanted = bytearray(len(plan.tasks))
    for index in kept:
        wanted[index] = 1
    for index in range(len(plan.tasks) - 1, -1, -1):
        if not wanted[index]:
            continue
        task, leader, key = plan.tasks[index], found.leaders[index], found.keys[index]
        if leader != index:
            wanted[leader] = 1
            found.cached.append(task.id)
            continue
        entry = cache.get(key) if key is not None and not task.schema.effect else None
        if entry is not None:
            found.progress[index] = Progress((), done=True)
            found.values[index] = entry.outputs
            found.cached.append(task.id)
            if entry.ui:
                found.ui[task.id] = entry.ui
            continue
        found.progress[index] = Progress({found.leaders[source] for _, source, _ in task.wires})
        for _, source, _ in task.wires:
            wanted[source] = 1
    found.cached.reverse()
