"""Workflows written in Python: nodes that are given each other's outputs, to a Document or an Expansion.

>>> from graph import Context, Int, Node
>>> class Add(Node[int]):
...     a: int = Int(default=0)
...     b: int = Int(default=0, optional=True)
...     def run(self, ctx: Context) -> int:
...         return self.a + self.b
>>> three = Add(a=1, b=2)
>>> build(total=Add(a=three.out)).prompt
{'1': {'class_type': 'Add', 'inputs': {'a': 1, 'b': 2}}, 'total': {'class_type': 'Add', 'inputs': {'a': ['1', 0]}}}
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graph.document import BadLink, Document, DocumentNode, Link
from graph.given import Expansion
from graph.node import Node, Out
from graph.problems import some


class BuildError(ValueError):
    """What was written is no workflow; the message is a sentence for people."""


@dataclass(frozen=True, eq=False)
class Use:
    """A node whose class is known only when the program runs, such as a third-party one; see use()."""

    cls: type[Node[Any]] | str  # a class that is looked up when the workflow runs is its name
    inputs: Mapping[str, Any]

    @property
    def out(self) -> Any:
        """Its output as a link; several of them, by number, where there are several, or nobody knows."""
        if isinstance(self.cls, str):
            return Outs(self)
        outs = tuple(Out(self, number) for number in range(len(self.cls.schema().outputs)))
        return outs[0] if len(outs) == 1 else outs


@dataclass(frozen=True, eq=False)
class Outs:
    """The outputs, by number, of a node whose class is only a name."""

    node: Use

    def __getitem__(self, number: int) -> Out:
        return Out(self.node, number)


AnyNode = Node[Any] | Use


def use(cls: type[Node[Any]] | str, /, **inputs: Any) -> Use:
    """A node of a class that no type checker sees: `use(registry["ImageInvert"], image=loaded.out.image)`.

    A class may be a name alone, `use("ImageInvert", image=loaded.out[0])`: then it need not be there before the
    workflow runs, and its inputs are not looked at. Raises BuildError for an input that the class does not have.
    """
    if isinstance(cls, str):
        return Use(cls, inputs)
    schema = cls.schema()
    for name in inputs:
        if name not in schema.inputs and not schema.variadic:
            near = difflib.get_close_matches(name, schema.inputs, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has: {some(list(schema.inputs), 20)}."
            raise BuildError(f"{schema.name} has no input {name!r}{hint}")
    return Use(cls, inputs)


def build(*nodes: AnyNode, **named: AnyNode) -> Document:
    """The workflow of these nodes and all that they take values from. Named ones have their name as id, others numbers.

    Optional inputs that have their default are left out. A value that JSON cannot say is in the Document's nodes, but
    not in its `prompt`. Where nodes lead round in a circle, one is given a Link to another's name. Raises BuildError.
    """
    return _Workflow([*nodes, *named.values()], named).document()


def titled(document: Document, titles: Mapping[str, str]) -> Document:
    """The same workflow with titles for its nodes, by their ids. Raises BuildError for an id that no node has."""
    prompt = dict(document.prompt)
    for name, title in titles.items():
        if name not in prompt:
            raise BuildError(f"There is no node {name!r} to give the title {title!r} to.")
        prompt[name] = {**prompt[name], "_meta": {"title": title}}
    return dataclasses.replace(document, prompt=prompt)


def expansion(*results: Any, also: Iterable[AnyNode] = ()) -> Expansion:
    """What a node gives to have others run in its place: for each of its outputs another's `out`, a Link or a value.

    The others may be given Links to nodes of the graph around. `also` are nodes that no result needs, such as one that
    saves a picture. Raises BuildError.
    """
    for value in results:
        _refuse_confusion("A result of the expansion", value)
    roots = [value.node for value in results if isinstance(value, Out)]
    around = {value.node for value in results if isinstance(value, Link)}
    workflow = _Workflow([*roots, *also], {}, around)
    return Expansion(workflow.document(), tuple(map(workflow.link, results)), local=True)


class _Workflow:
    """Nodes with their ids; `around` holds ids of a graph around it, or is None where there is none."""

    def __init__(self, roots: Iterable[AnyNode], named: Mapping[str, AnyNode], around: set[str] | None = None) -> None:
        self._inputs = _inputs_of_all(roots)
        self._ids: dict[AnyNode, str] = {node: name for name, node in named.items()}
        if len(self._ids) < len(named):
            raise BuildError(f"One node has several names; give each node one of them: {some(list(named))}.")
        links = {value.node for given in self._inputs.values() for value in given.values() if isinstance(value, Link)}
        if around is None and (wrong := sorted(links - named.keys())):
            raise BuildError(f"A node is given a Link (to node {wrong[0]!r}); give it another node's .out instead.")
        taken = {*named, *links, *(around or ())}
        numbers = (name for name in map(str, itertools.count(1)) if name not in taken)
        for node in self._inputs:
            if node not in self._ids:
                self._ids[node] = next(numbers)

    def link(self, value: Any) -> Any:
        """An output as the Link that it is now; other values as they are."""
        return Link(self._ids[value.node], value.output) if isinstance(value, Out) else value

    def document(self) -> Document:
        nodes: dict[str, DocumentNode] = {}
        prompt: dict[str, Any] = {}
        classes: dict[str, type[Node[Any]]] = {}
        for node, given in self._inputs.items():
            name = _class_name(node)
            cls = _class(node)
            if cls is not None and classes.setdefault(name, cls) is not cls:
                raise BuildError(f"Two classes of this workflow are called {name!r}; rename one.")
            inputs = {key: self.link(value) for key, value in given.items()}
            nodes[self._ids[node]] = DocumentNode(name, inputs)
            written = {key: _written(value) for key, value in inputs.items() if _can_be_written(value)}
            prompt[self._ids[node]] = {"class_type": name, "inputs": written}
        return Document(nodes, prompt, classes=classes)


def _inputs_of_all(roots: Iterable[AnyNode]) -> dict[AnyNode, dict[str, Any]]:
    """The inputs of the roots and of all that they take values from; each node comes after those."""
    found: dict[AnyNode, dict[str, Any]] = {}
    begun: dict[AnyNode, dict[str, Any]] = {}
    stack = list(roots)[::-1]
    while stack:
        node = stack[-1]
        if node in found:
            stack.pop()
        elif node in begun:
            found[stack.pop()] = begun.pop(node)
        else:
            inputs = begun[node] = _inputs(node)
            stack += [value.node for value in inputs.values() if isinstance(value, Out)][::-1]
    return found


def _class(node: AnyNode) -> type[Node[Any]] | None:
    """The class of a node; None where only its name is known."""
    if isinstance(node, Use):
        return None if isinstance(node.cls, str) else node.cls
    return type(node)


def _class_name(node: AnyNode) -> str:
    cls = node.cls if isinstance(node, Use) else type(node)
    return cls if isinstance(cls, str) else cls.schema().name


def _inputs(node: AnyNode) -> dict[str, Any]:
    """What a node was given, without optional inputs that have their default."""
    if isinstance(node, Use):
        inputs = dict(node.inputs)
    else:
        schema = node.schema()
        if any(item.name not in schema.inputs for item in dataclasses.fields(node)):  # type: ignore[arg-type]
            name = type(node).__name__
            raise BuildError(f"{name} names its inputs by itself; write it as use({name}, …).")
        inputs = {
            item.name: vars(node)[item.name]
            for item in dataclasses.fields(node)  # type: ignore[arg-type]  # every subclass of Node is a dataclass
            if schema.inputs[item.name].required or not _is_same(vars(node)[item.name], item.default)
        }
    for name, value in inputs.items():
        _refuse_confusion(f"The input {name!r} of {_class_name(node)}", value)
    return inputs


def _is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and bool(value == default)


def _refuse_confusion(subject: str, value: Any) -> None:
    if isinstance(value, Node | Use):
        raise BuildError(f"{subject} is a node; give the node's output: .out.")
    if isinstance(value, Outs):
        raise BuildError(f"{subject} is all outputs of {_class_name(value.node)} at once; say which: .out[0].")
    if isinstance(value, list | tuple) and (outs := [each for each in value if isinstance(each, Out)]):
        name = _class_name(outs[0].node)
        if hasattr(value, "_fields"):
            fields = ", ".join(f".out.{field}" for field in value._fields)
            raise BuildError(f"{subject} is all outputs of {name} at once; say which: {fields}.")
        raise BuildError(f"{subject} is a list with an output of {name} in it; a link stands by itself.")


def _can_be_written(value: Any) -> bool:
    if isinstance(value, Link):
        return True
    try:
        json.dumps(value.value if isinstance(value, BadLink) else value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _written(value: Any) -> Any:
    """A value in API form, where a list is a link unless it says otherwise."""
    if isinstance(value, Link):
        return [value.node, value.output]
    if isinstance(value, BadLink):
        return value.value
    is_marked = isinstance(value, dict) and value.keys() == {"__value__"}
    return {"__value__": value} if is_marked or isinstance(value, list | tuple) else value
