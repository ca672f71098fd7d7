"""Conditions: of several branches only the one that is taken is computed."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from graph.context import Context
from graph.node import Node
from graph.schema import Input, Output, Schema
from graph.widgets import Int, Toggle, Wire
from graph.wire import ANY, Lazy

VALUE = "value"  # the inputs of LazySwitch are value0, value1, …
MOST = 10_000
SHOWN = 4  # inputs that every switch has; more of them are given by linking them


class SwitchError(ValueError):
    """A switch was set to a value that it does not have; the message is a sentence for people."""


class LazyIf(Node[Any], category="logic", display="If"):
    """One of two values. What the other would take is never computed."""

    condition: bool = Toggle(default=True, tooltip="Which of the two to take.")
    on_true: Lazy[Any] = Wire(default=None, tooltip="What to take if the condition is true.")
    on_false: Lazy[Any] = Wire(default=None, tooltip="What to take if it is false.")

    def needs(self) -> Iterable[str]:
        return ["on_true" if self.condition else "on_false"]

    def run(self, ctx: Context) -> Any:
        return self.on_true if self.condition else self.on_false


class LazySwitch(Node[Any], category="logic", display="Switch"):
    """One of any number of values, by its number. What the others would take is never computed.

    Its inputs are known only when it is linked (value0, value1, …), so its schema is built by hand.
    """

    index: int = Int(default=0, min=0, max=MOST - 1)
    values: Mapping[str, Any]

    @classmethod
    def schema(cls) -> Schema:
        tooltip = "Which value to take: 0 is value0, 1 is value1 and so on."
        index = Input(
            "index", "INT", options={"default": 0, "min": 0, "max": MOST - 1, "tooltip": tooltip}, literal=True
        )
        values = [Input(f"{VALUE}{number}", ANY, required=False, literal=True, lazy=True) for number in range(SHOWN)]
        return Schema(
            "LazySwitch", {item.name: item for item in (index, *values)}, (Output(ANY, ANY),), display="Switch",
            description=(cls.__doc__ or "").partition("\n")[0], category="logic", module=cls.__module__, variadic=True,
            lazy_undeclared=True,
        )  # fmt: skip

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        return cls(index=values["index"], values={name: each for name, each in values.items() if name != "index"})

    def needs(self) -> Iterable[str]:
        return [self._taken()]

    def run(self, ctx: Context) -> Any:
        return self.values[self._taken()]

    def _taken(self) -> str:
        name = f"{VALUE}{self.index}"
        if name not in self.values:
            there = ", ".join(sorted(self.values)) or "none"
            raise SwitchError(f"index is {self.index}, but nothing is linked to {name}; there is: {there}.")
        return name
