"""Loops: what lies between a loop's start and its end, and the works of its next iteration.

An iteration's works are siblings of the loop's end: however many there are, none is made within another. Everything
that depends on the start, but not on the end, belongs to the body; output nodes there run in each iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graph.document import Link
from graph.given import Again, Carried
from graph.model import Spec, Task
from graph.reach import reached
from graph.work import Work


class LoopError(ValueError):
    """A loop that cannot go on; the message is a sentence for people."""


class Iteration(NamedTuple):
    """The tasks of one more iteration, in the order in which they take values from each other; the end is the last."""

    tasks: list[Task]
    origins: list[Work]  # the work that each repeats
    root: Work


def find_bodies(works: Sequence[Work], board: Sequence[Work]) -> None:
    """Give each of these works that ends a loop its body. One whose body saves something runs although remembered.

    A loop may have several ends, of which each takes other values from the same body.
    """
    ends: dict[Work, list[Work]] = {}
    for work in works:
        if work.task.schema.ends_loop and work.origin is None and (start := start_of(work, board)) is not None:
            ends.setdefault(start, []).append(work)
    if not ends:
        return
    takers: dict[Work, list[Work]] = {}
    for work in works:
        for _, index, _ in work.task.wires:
            takers.setdefault(board[index], []).append(work)
    for start, (end, *others) in ends.items():
        after = reached([end, *others], takers)
        body = sorted(reached([start], takers) - after - {start}, key=lambda work: work.index)
        end.body = body
        for other in others:  # what the body saves it saves once
            other.body = [work for work in body if not work.task.schema.effect]
        if any(work.task.schema.effect for work in body):
            end.always = True
            for work in reached([end], takers):
                work.hides_effects = True


def start_of(end: Work, board: Sequence[Work]) -> Work | None:
    """The work that begins the loop which `end` ends; None if it is linked to nothing."""
    name = end.task.schema.ends_loop
    return next((board[index] for input_name, index, _ in end.task.wires if input_name == name), None)


def next_iteration(end: Work, again: Again, board: Sequence[Work]) -> Iteration:
    """The tasks of the iteration after the one that `end` has ended. Raises LoopError if it is linked to no start."""
    root = end.root or end
    origin = end.origin or end
    start = start_of(origin, board)
    if start is None:
        raise LoopError(f"it ends a loop that has no start: link its input {origin.task.schema.ends_loop!r} to one.")
    strangers = again.start.keys() - start.task.schema.inputs.keys()
    if strangers:
        raise LoopError(
            f"it ends a loop that comes from {start.task.schema.name} (node {start.task.id}), which begins none; link "
            f"its input {origin.task.schema.ends_loop!r} directly to the loop's start."
        )
    root.iterations += 1
    place = len(board)
    stands: dict[Work, int] = {start: place}
    for number, work in enumerate(origin.body, 1):
        stands[work] = place + number
    scope = root.scope or {}

    def resolved(index: int) -> int:
        work = board[index]
        return stands[work] if work in stands else scope.get(work, work).index

    tasks: list[Task] = []
    origins = [start, *origin.body, origin]
    names = {place + number: _id(root, each) for number, each in enumerate(origins)}
    for each in origins:
        wires = [(name, resolved(index), output) for name, index, output in each.task.wires]
        literals = {name: value for name, value in each.task.spec.inputs.items() if not isinstance(value, Link)}
        if each is start:
            wires = _carry(again, end, literals, wires)
        links = {
            name: Link(names[index] if index in names else board[index].task.id, output)
            for name, index, output in wires
        }
        spec = Spec(each.task.spec.node, {**literals, **links}, each.task.spec.is_changed)
        tasks.append(Task(_id(root, each), spec, each.task.schema, tuple(wires)))
    return Iteration(tasks, origins, root)


def _carry(
    again: Again, end: Work, literals: dict[str, Any], wires: list[tuple[str, int, int]]
) -> list[tuple[str, int, int]]:
    """The wires of the start in the next iteration; its literals are changed in place.

    What the end was given nothing for stays as the loop began with it.
    """
    linked = {name: (index, output) for name, index, output in end.task.wires}
    carried = {wire[0]: wire for wire in wires}
    for name, value in again.start.items():
        if isinstance(value, Carried):
            if value.input in linked:
                literals.pop(name, None)
                carried[name] = (name, *linked[value.input])
                continue
            if value.input not in end.task.spec.inputs:
                continue
            value = end.task.spec.inputs[value.input]
        carried.pop(name, None)
        literals[name] = value
    return list(carried.values())


def connect(iteration: Iteration, added: Sequence[Work]) -> None:
    """Tell the works of a new iteration what they repeat, and for whom."""
    root = iteration.root
    scope: Mapping[Work, Work] = {**(root.scope or {}), **dict(zip(iteration.origins, added, strict=True))}
    for origin, work in zip(iteration.origins, added, strict=True):
        work.origin = origin.origin or origin
        work.scope = scope
        work.body = origin.body
        work.always = origin.always
    added[-1].root = root


def outside(end: Work, board: Sequence[Work]) -> list[Work]:
    """What the loop's body takes from around it, in the iteration that `end` belongs to."""
    scope = end.scope or {}
    inside = {*end.body, start_of(end.origin or end, board)}
    found = (board[index] for work in (*end.body, end.origin or end) for _, index, _ in work.task.wires)
    return [scope.get(work, work) for work in dict.fromkeys(found) if work not in inside]


def _id(root: Work, work: Work) -> str:
    return f"{root.task.id}.{root.iterations}.{work.task.id}"
