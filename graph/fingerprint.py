"""Fingerprints: what a task's result depends on, as one hash, so that equal work is recognised anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from graph.document import Link
from graph.given import Many
from graph.model import Graph, Task
from graph.node import LinkedInput, Node
from graph.paths import Paths
from graph.widgets import ModelNames

ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
CodeOf = Callable[[type[Node[Any]]], str]


class Fingerprinter:
    """Fingerprints of a graph's tasks. Node ids and titles do not enter, unless a node declares that it reads them.

    `code` stands for the code that runs, of all classes or of each; `environment` for what its numbers depend on
    besides (device, precision, versions).
    """

    def __init__(self, graph: Graph, paths: Paths, *, code: str | CodeOf, environment: str) -> None:
        self.graph = graph
        self.paths = paths
        self.code: CodeOf = code if callable(code) else lambda cls: code
        self.environment = environment
        self._starts: dict[type[Node[Any]], hashlib.blake2b] = {}

    def of(self, task: Task, keys: Sequence[str | None], asked: frozenset[str] | None = None) -> str | None:
        """The task's fingerprint, given that of each wire's source; None if its result must not be reused.

        Of the lazy inputs only those in `asked` count, and of all of them whether they are linked.
        Raises what the node's own fingerprint() raises.
        """
        facts = self.facts(task, keys, asked)
        if facts is None:
            return None
        cls = task.spec.node
        start = self._starts.get(cls)
        if start is None:
            start = self._starts[cls] = hashlib.blake2b(
                ENCODE([self.code(cls), self.environment]).encode(), digest_size=20
            )
        digest = start.copy()
        try:
            digest.update(ENCODE(facts).encode())
        except (TypeError, ValueError):  # a value that only this program knows, given to a node that another made
            return None
        return digest.hexdigest()

    def facts(self, task: Task, keys: Sequence[str | None], asked: frozenset[str] | None = None) -> list[object] | None:
        """What the fingerprint says of the task: class, literals, links and what follows, in JSON's types."""
        cls, schema, lazy = task.spec.node, task.schema, task.lazy
        if not schema.pure:
            return None
        links: dict[str, object] = {}
        for (name, _, output), key in zip(task.wires, keys, strict=True):
            if lazy and name in lazy and (asked is None or name not in asked):
                links[name] = "not asked for"
            elif key is None:
                return None
            else:
                links[name] = [key, output]
        literals = {name: value for name, value in task.spec.inputs.items() if not isinstance(value, Link)}
        if Many in map(type, literals.values()):  # from a node that made this one; JSON would take it for a list
            return None
        facts: list[object] = [cls.__module__, cls.__qualname__, literals, links]
        if task.spec.is_changed is not None:
            facts.append(["is_changed", task.spec.is_changed])
        elif cls.fingerprint is not Node.fingerprint:
            try:
                files = cls.peek(literals, links, task.id).fingerprint(self.paths)
            except LinkedInput:
                return None
            if files is None:
                return None
            facts.append(["files", files])
            for name, item in schema.inputs.items():  # it says what a model file holds: the name changes nothing
                if isinstance(item.choices, ModelNames):
                    literals.pop(name, None)
        if schema.hidden and not schema.effect and not schema.foreign:
            facts.append([task.id if "unique_id" in schema.hidden else "", self._recipe])
        elif schema.by_id or (schema.foreign and "unique_id" in schema.hidden):
            facts.append([task.id, ""])
        return facts

    @cached_property
    def _recipe(self) -> str:
        return ENCODE([self.graph.prompt, self.graph.extra_pnginfo])


def digest_sources(folders: Iterable[Path]) -> str:
    """One hash over all Python files below the folders: the `code` of a Fingerprinter."""
    digest = hashlib.blake2b(digest_size=20)
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
