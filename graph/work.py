"""Work: how far one task of a run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from graph.call import NodeContext, merge
from graph.given import Blocked, Many
from graph.model import Task
from graph.node import Stepper


class Later(Enum):
    """The type of a fingerprint that is known only once a lazy input was asked for."""

    LATER = 0


LATER: Final = Later.LATER


class Work:
    """How far one task of a run is. What few tasks need stands here as the class's default."""

    key: str | Later | None = None  # fingerprint; None: its result is never reused
    error: Exception | None = None  # why its fingerprint could not be taken; counts when its turn comes
    always: bool = False  # runs although its result is remembered
    waiting: int = 0  # how many of its sources are not done
    uses: int = 0  # how many works, and the result, still need its outputs
    held: int = 0  # how many works may still come to need them
    outputs: tuple[Any, ...] | None = None
    wanted: bool = False
    queued: bool = False  # a slice of it was handed to a lane
    started: bool = False
    done: bool = False
    dropped: bool = False  # it failed, cannot run any more, or nobody needs it any more
    needless: bool = False  # it was dropped, or lost its sources, only since nobody seemed to need it
    at_work: bool = False  # a slice of it is being worked on, and may be given up
    given_up: bool = False  # it took longer than it may; what it gives in the end counts no more
    relieved: bool = False  # memory was freed for it once
    seconds: float = 0.0  # that lanes spent on it
    lane: str = ""
    lazy: frozenset[str] = frozenset()  # linked inputs whose sources run only if the node asks for them
    asked: frozenset[str] = frozenset()  # those that it asked for
    holds: Sequence[Work] = ()  # works whose outputs it may still come to need
    calls: list[dict[str, Any]] | None = None  # the arguments of each call, once they are known
    mapped: bool = False  # its outputs are lists, with a value for each call
    guarded: Mapping[str, object] | None = None  # the state of what it was given, to notice that it writes into it
    context: NodeContext | None = None
    stepper: Stepper[Any] | None = None
    given: Sequence[tuple[Any, ...]] | None = None  # what each call gave, with Slots for what other works will give
    parent: Work | None = None  # the work that made it
    made: list[Work] | tuple[()] = ()  # the works that it made
    depth: int = 0  # how many works made one another before it
    body: Sequence[Work] = ()  # of a work that ends a loop: what lies between it and the loop's start
    hides_effects: bool = False  # it comes after a loop whose body saves something
    root: Work | None = None  # of an iteration's end: the loop's end that is waiting for it
    origin: Work | None = None  # of an iteration's work: the one of the first iteration
    scope: Mapping[Work, Work] | None = None  # of an iteration's work: what stands for each of the loop's body
    iterations: int = 0  # of a work that ends a loop: how often it began again

    def __init__(self, index: int, task: Task) -> None:
        self.index = index
        self.task = task
        if lazy := task.lazy:
            self.lazy = lazy
        self.display_id = task.id
        self.leader = self  # the first work with the same fingerprint, whose outputs it shares
        self.sources: dict[Work, None] = {}  # works whose outputs it uses, each once
        self.takers: list[Work] = []  # works that wait for it
        self.results: list[Any] = []  # what its calls gave so far


@dataclass(frozen=True, slots=True)
class Slot:
    """In the place of a value: output number `output` of another work, once that is done."""

    work: Work
    output: int

    @property
    def value(self) -> Any:
        """The output, of a work that is done."""
        outputs = self.work.leader.outputs
        assert outputs is not None, f"node {self.work.task.id} has not run yet"
        return outputs[self.output]


def filled(work: Work) -> tuple[Any, ...]:
    """The outputs of a work whose place others have taken, now that those are done."""
    assert work.given is not None
    outputs = work.task.schema.outputs
    rows = [tuple(each.value if type(each) is Slot else each for each in row) for row in work.given]
    if work.mapped or any(output.whole for output in outputs):  # what comes by wire is a list only where it is Many
        rows = [
            tuple(
                Many((value,)) if output.whole and type(value) not in (Many, Blocked) else value
                for output, value in zip(outputs, row, strict=True)
            )
            for row in rows
        ]
    return merge(work.task.schema, rows, mapped=work.mapped)
