"""Loops: what lies between a loop's start and its end runs again and again.

The start hands its values to the body, the end takes what became of them and hands that to the start of the next
iteration; a list on a wire goes round as a whole. Output nodes that take from the body run in each iteration.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from graph.context import Context
from graph.given import Again, Blocked, Carried
from graph.node import Node
from graph.widgets import Int, Toggle, Wire
from graph.wire import Lazy, Socket

COUNT = 6
VALUES = tuple(f"value{number}" for number in range(COUNT))
MOST = 100_000  # iterations
NEXT = {"before": Carried("loop"), **{name: Carried(name) for name in VALUES}}


class LoopLimit(ValueError):
    """A loop went on for longer than it may; the message is a sentence for people."""


@dataclass(frozen=True)
class LoopState:
    """Where a loop is."""

    index: int  # of the iteration: 0 is the first
    total: int | None  # iterations, where their number is known
    first: tuple[Any, ...] = ()  # what the loop began with
    collected: "tuple[Any, Any] | None" = None  # (all before, the last value) of the iterations behind


Loop = Annotated[LoopState, Socket("LOOP")]


class Carry(NamedTuple):
    """The values that go from iteration to iteration."""

    value0: list[Any]
    value1: list[Any]
    value2: list[Any]
    value3: list[Any]
    value4: list[Any]
    value5: list[Any]


class Started(NamedTuple):
    """What an iteration begins with."""

    loop: Loop
    iteration: int
    value0: list[Any]
    value1: list[Any]
    value2: list[Any]
    value3: list[Any]
    value4: list[Any]
    value5: list[Any]


def _carried(*values: list[Any] | None) -> Carry:
    return Carry(*([None] if each is None else each for each in values))


class _Start(Node[Started]):
    """What the starts of loops with carried values have in common."""

    value0: list[Any] | None = Wire(default=None, tooltip="A value that each iteration may change for the next.")
    value1: list[Any] | None = Wire(default=None)
    value2: list[Any] | None = Wire(default=None)
    value3: list[Any] | None = Wire(default=None)
    value4: list[Any] | None = Wire(default=None)
    value5: list[Any] | None = Wire(default=None)
    before: Loop | None = Wire(default=None, tooltip="Leave this open: the loop's end links it for the next iteration.")

    def started(self, total: int | None, *, begin: bool) -> Started:
        """The iteration after `before`. A loop that is not to begin blocks its body; its end gives the first values."""
        values = _carried(self.value0, self.value1, self.value2, self.value3, self.value4, self.value5)
        if self.before is not None:
            state = LoopState(self.before.index + 1, total, self.before.first)
        else:
            state = LoopState(0, total if begin else 0, values)
        if state.total == 0:
            nothing: Any = Blocked()
            return Started(state, nothing, *([nothing] * COUNT))
        return Started(state, state.index, *values)


class _End(Node[Carry]):
    """What the ends of loops with carried values have in common."""

    loop: Loop = Wire(tooltip="The loop that ends here: link it to the start.")
    value0: Lazy[list[Any]] = Wire(default=None, tooltip="What the next iteration begins with; the last comes out.")
    value1: Lazy[list[Any]] = Wire(default=None)
    value2: Lazy[list[Any]] = Wire(default=None)
    value3: Lazy[list[Any]] = Wire(default=None)
    value4: Lazy[list[Any]] = Wire(default=None)
    value5: Lazy[list[Any]] = Wire(default=None)

    ends_loop = "loop"

    def needs(self) -> Iterable[str]:
        return VALUES if self.loop.total != 0 else ()

    def values(self) -> Carry:
        """What comes out when the loop is over."""
        return _carried(self.value0, self.value1, self.value2, self.value3, self.value4, self.value5)


class ForLoopStart(_Start, category="logic/loops", display="For: Start"):
    """Begin a loop that runs a number of times."""

    count: int = Int(default=1, min=0, max=MOST, tooltip="How many times. At 0 the body never runs.")

    def run(self, ctx: Context) -> Started:
        return self.started(self.count, begin=True)


class ForLoopEnd(_End, category="logic/loops", display="For: End"):
    """End a loop that runs a number of times: the values of its last iteration come out."""

    def run(self, ctx: Context) -> Carry | Again:
        if self.loop.total == 0:
            return Carry(*self.loop.first)
        done = self.loop.index + 1
        return Again(NEXT, done, self.loop.total) if done < (self.loop.total or 0) else self.values()


class WhileLoopStart(_Start, category="logic/loops", display="While: Start"):
    """Begin a loop that goes on as long as a condition holds."""

    begin: bool = Toggle(default=True, optional=True, tooltip="False: the body never runs.")

    def run(self, ctx: Context) -> Started:
        return self.started(None, begin=self.begin)


class WhileLoopEnd(_End, category="logic/loops", display="While: End"):
    """End a loop that goes on as long as a condition holds, which is looked at after each iteration."""

    condition: Lazy[bool] = Wire(tooltip="True: once more, with these values.")
    limit: int = Int(default=1000, min=1, max=MOST, tooltip="After so many iterations it is an error to go on.")

    def needs(self) -> Iterable[str]:
        return (*VALUES, "condition") if self.loop.total != 0 else ()

    def run(self, ctx: Context) -> Carry | Again:
        if self.loop.total == 0:
            return Carry(*self.loop.first)
        done = self.loop.index + 1
        if not self.condition:
            return self.values()
        if done >= self.limit:
            raise LoopLimit(
                f"its condition still holds after {done} iterations, its limit; end it earlier, or raise limit."
            )
        return Again(NEXT, done)


class Item(NamedTuple):
    """What an iteration over a list begins with."""

    loop: Loop
    item: Any
    iteration: int
    length: int


class MapListStart(Node[Item], category="logic/loops", display="Map over List: Start"):
    """Begin a loop that runs once for each value of a list, one after the other."""

    items: list[Any] = Wire(tooltip="The list; a single value is a list of one.")
    before: Loop | None = Wire(default=None, tooltip="Leave this open: the loop's end links it for the next iteration.")
    last: list[Any] | None = Wire(default=None, tooltip="Leave this open, too.")

    def run(self, ctx: Context) -> Item:
        total = len(self.items)
        if total == 0:
            nothing: Any = Blocked()
            return Item(LoopState(0, 0), nothing, nothing, nothing)
        if self.before is None:
            state = LoopState(0, total)
        else:
            state = LoopState(self.before.index + 1, total, collected=(self.before.collected, self.last))
        return Item(state, self.items[state.index], state.index, total)


class MapListEnd(Node[list[Any]], category="logic/loops", display="Map over List: End"):
    """End a loop over a list: what became of its values comes out as a list."""

    loop: Loop = Wire(tooltip="The loop that ends here: link it to the start.")
    value: Lazy[list[Any]] = Wire(tooltip="What became of the item.")

    ends_loop = "loop"

    def needs(self) -> Iterable[str]:
        return ["value"] if self.loop.total != 0 else []

    def run(self, ctx: Context) -> list[Any] | Again:
        if self.loop.total == 0:
            return []
        done = self.loop.index + 1
        if done < (self.loop.total or 0):
            return Again({"before": Carried("loop"), "last": Carried("value")}, done, self.loop.total)
        values, rest = [self.value or []], self.loop.collected
        while rest is not None:
            rest, last = rest
            values.append(last)
        return [each for value in reversed(values) for each in value]
