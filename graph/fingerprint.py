"""Fingerprints: what a task's result depends on, as one hash, so that equal work is recognised anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from graph.document import Link
from graph.model import Graph, Task
from graph.node import LinkedInput, Node
from graph.paths import Paths

ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Fingerprinter:
    """Fingerprints of a graph's tasks. Node ids and titles do not enter, unless a node declares that it reads them.

    `code` stands for the code that runs and `environment` for what its numbers depend on (device, precision, versions).
    """

    def __init__(self, graph: Graph, paths: Paths, *, code: str, environment: str) -> None:
        self.graph = graph
        self.paths = paths
        self._start = hashlib.blake2b(ENCODE([code, environment]).encode(), digest_size=20)

    def of(self, task: Task, sources: Sequence[str | None]) -> str | None:
        """The task's fingerprint, given those of all tasks before it; None if its result must not be reused.

        Raises what the node's own fingerprint() raises.
        """
        cls, schema = task.spec.node, task.schema
        links = {name: [sources[index], output] for name, index, output in task.wires}
        if not schema.pure or any(source is None for source, _ in links.values()):
            return None
        literals = {name: value for name, value in task.spec.inputs.items() if not isinstance(value, Link)}
        facts: list[object] = [cls.__module__, cls.__qualname__, literals, links]
        if task.spec.is_changed is not None:
            facts.append(["is_changed", task.spec.is_changed])
        elif cls.fingerprint is not Node.fingerprint:
            try:
                facts.append(["files", cls.peek(literals, links).fingerprint(self.paths)])
            except LinkedInput:
                return None
        if schema.hidden and not schema.effect:
            facts.append([task.id if "unique_id" in schema.hidden else "", self._recipe])
        digest = self._start.copy()
        digest.update(ENCODE(facts).encode())
        return digest.hexdigest()

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
