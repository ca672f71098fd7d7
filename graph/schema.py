"""A node class as data: its inputs, outputs and traits, derived once from the class or built by hand."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, Union

from graph.paths import Paths
from graph.widgets import Widget
from graph.wire import ANY, Mark, Socket

Kind = type | tuple[type, ...] | None  # what isinstance() takes, or nothing
Lane = Literal["device", "cpu", "io", "async"]
HIDDEN_MARKERS: Mapping[str, str] = {
    "prompt": "PROMPT",
    "dynprompt": "DYNPROMPT",
    "extra_pnginfo": "EXTRA_PNGINFO",
    "unique_id": "UNIQUE_ID",
}
PLAIN_TYPES: Mapping[Any, str] = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN", Any: ANY, object: ANY}


@dataclass(frozen=True)
class Input:
    """One input. `type` is its wire type: a socket's name, INT, FLOAT, STRING, BOOLEAN, COMBO, "A,B" or "*"."""

    name: str
    type: str
    required: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    literal: bool = False  # takes a value written in the document, not only a link
    choices: Sequence[Any] | Callable[[Paths], Sequence[Any]] = ()  # of a COMBO
    open: bool = False  # ranges and choices are not looked at: the node's check() judges the value
    lazy: bool = False  # what is linked runs only if the node's needs() asks for it; else the value is None
    whole: bool = False  # takes all values of a wire as one list, instead of running once for each
    raw: bool = False  # gets the Link itself instead of its value

    def choices_now(self, paths: Paths) -> Sequence[Any]:
        """What a COMBO offers at this moment."""
        return self.choices(paths) if callable(self.choices) else self.choices


@dataclass(frozen=True)
class Output:
    """One output: its name on the node and its wire type."""

    name: str
    type: str
    whole: bool = False  # the node gives a list, whose values travel on one by one
    tooltip: str | None = None
    kind: Kind = None  # of its values; None: not checked


@dataclass(frozen=True)
class Schema:
    """What the graph knows of a node class without running it."""

    name: str  # class_type in documents
    inputs: Mapping[str, Input]  # in wire order
    outputs: tuple[Output, ...]
    display: str
    description: str = ""
    category: str = ""
    module: str = ""
    effect: bool = False  # an output node: runs for what it does to the world and is never taken from a cache
    hidden: tuple[str, ...] = ()  # keys of HIDDEN_MARKERS that run() reads from its context
    lane: Lane = "cpu"
    pure: bool = True  # equal inputs give equal outputs; False: never taken from a cache, nor is what depends on it
    variadic: bool = False  # undeclared inputs are passed on
    undeclared: Callable[[str], Input | None] | None = None  # the undeclared literals a variadic class takes; None: all
    lazy_undeclared: bool = False  # and run only if the node's needs() asks for them
    takes_lists: bool = False  # every input, declared or not, is whole
    foreign: bool = False  # a third-party class: its values are protected from it, and never kept on disk
    checks_links: bool = False  # check() judges the types of links, given by peek(linked={name: type received})
    ends_loop: str = ""  # of a node that ends a loop: the input that is linked to the loop's start
    by_id: bool = False  # equal nodes are told apart by their ids: one does not take the result of another

    @cached_property
    def lazy_names(self) -> frozenset[str]:
        """The declared inputs that are lazy."""
        return frozenset(item.name for item in self.inputs.values() if item.lazy)

    @cached_property
    def whole_names(self) -> frozenset[str]:
        """The declared inputs that take all values of a wire as one list."""
        return frozenset(item.name for item in self.inputs.values() if item.whole)

    @cached_property
    def raw_names(self) -> frozenset[str]:
        """The declared inputs that get a Link instead of its value."""
        return frozenset(item.name for item in self.inputs.values() if item.raw)

    deprecated: bool = False
    experimental: bool = False
    describe: Callable[[], dict[str, Any]] | None = None  # of a class that says itself what object_info says of it


def derive_inputs(cls: type) -> dict[str, Input]:
    """Inputs of a dataclass in field order. Raises TypeError naming the field whose type has no place on a wire."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {item.name: _input(cls, item, hints[item.name]) for item in dataclasses.fields(cls)}


def derive_outputs(cls: type, result: Any) -> tuple[Output, ...]:
    """Outputs from a node's result type: None, one type, or a NamedTuple of several."""
    if result is None or result is type(None):
        return ()
    if isinstance(result, type) and issubclass(result, tuple) and hasattr(result, "_fields"):
        hints = typing.get_type_hints(result, include_extras=True)
        return tuple(_output(name, hints[name], f"{cls.__name__}'s output {name}") for name in hints)
    return (_output("", result, f"{cls.__name__}'s result"),)


def describe(cls: type) -> str:
    """The class's own docstring as one paragraph per blank line, or ""."""
    text = cls.__dict__.get("__doc__") or ""
    # dataclass() writes the signature where there is no docstring
    return "" if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)


def wire_type(annotation: Any, where: str) -> str:
    """The wire type of a Python annotation; a union gives "A,B"."""
    if annotation in PLAIN_TYPES:
        return PLAIN_TYPES[annotation]
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        for mark in annotation.__metadata__:
            if isinstance(mark, Socket):
                return mark.type
        return wire_type(annotation.__origin__, where)
    if origin is Literal:
        return "COMBO"
    if origin in (Union, types.UnionType):
        return ",".join(wire_type(part, where) for part in typing.get_args(annotation) if part is not type(None))
    raise TypeError(f"{where} has type {annotation!r}, which no wire carries; mark it as Annotated[…, Socket(NAME)]")


def _output(name: str, hint: Any, where: str) -> Output:
    whole = typing.get_origin(hint) is list
    if whole:
        (hint,) = typing.get_args(hint)
    wire = wire_type(hint, where)
    # Clients know outputs by their wire types, and Python's fields are in lower case.
    return Output(name if name and name != wire.lower() else wire, wire, whole, kind=_kind(hint))


def _kind(hint: Any) -> Kind:
    """What isinstance() can say of values of that type."""
    if typing.get_origin(hint) is Annotated:
        return _kind(hint.__origin__)
    if hint is float:
        return (float, int)
    found = typing.get_origin(hint) or hint
    if not isinstance(found, type) or found in (Any, object) or getattr(found, "_is_protocol", False):
        return None
    return found


def _input(cls: type, item: dataclasses.Field[Any], hint: Any) -> Input:
    where = f"{cls.__name__}.{item.name}"
    widget: Widget | None = item.metadata.get("widget")
    lazy = typing.get_origin(hint) is Annotated and Mark.LAZY in hint.__metadata__
    if lazy:
        hint = hint.__origin__
    plain = _without_none(hint)
    whole = typing.get_origin(plain) is list
    if whole:
        (hint,) = typing.get_args(plain)
    return dataclasses.replace(_plain_input(item, hint, widget, where), lazy=lazy, whole=whole)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) not in (Union, types.UnionType):
        return hint
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 else hint


def _plain_input(item: dataclasses.Field[Any], hint: Any, widget: Widget | None, where: str) -> Input:
    if widget is not None and widget.type:
        return Input(
            item.name, widget.type, not widget.optional, widget.options, literal=True, choices=widget.choices,
            open=widget.open,
        )  # fmt: skip
    wire = wire_type(hint, where)
    literal = wire == ANY or not {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}.isdisjoint(wire.split(","))
    if widget is not None:
        return Input(item.name, wire, not widget.optional, widget.options, literal=literal)
    given = item.default is not dataclasses.MISSING
    options = {"default": item.default} if given and item.default is not None else {}
    return Input(item.name, wire, not (given and item.default is None), options, literal=literal)
