"""Live: the workflow as it is while it runs, for nodes that look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graph.board import Board
from graph.document import Link


class Live:
    """The nodes of a run, by the id under which each runs; those that nothing needs are there too."""

    def __init__(self, board: Board, prompt: Mapping[str, Any]) -> None:
        self._board = board
        self._prompt = prompt

    def ids(self) -> list[str]:
        """All of them: those of the document, then those that other nodes made."""
        return list(dict.fromkeys((*self._prompt, *self._board.by_id)))

    def node(self, node_id: str) -> Mapping[str, Any]:
        """A node in API form: class_type and inputs. Raises KeyError if there is none of that id."""
        work = self._board.by_id.get(node_id)
        if work is None or (work.parent is None and node_id in self._prompt):
            found: Mapping[str, Any] = self._prompt[node_id]
            return found
        inputs = {
            name: [value.node, value.output] if isinstance(value, Link) else value
            for name, value in work.task.spec.inputs.items()
        }
        return {"class_type": work.task.schema.name, "inputs": inputs}

    def parent(self, node_id: str) -> str | None:
        """The node that made it, None for a node of the document."""
        work = self._board.by_id.get(node_id)
        return work.parent.task.id if work is not None and work.parent is not None else None

    def display(self, node_id: str) -> str:
        """The node of the document that stands for it."""
        work = self._board.by_id.get(node_id)
        return work.display_id if work is not None else node_id
