"""What a run gives in the end, what it is limited by, and how a node has failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graph.explanation import Explanation


class NodeTimeout(ValueError):
    """A node took longer than a node may; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What keeps a workflow that makes nodes from never ending."""

    depth: int = 1000  # nodes that make one another, one within the next; iterations of a loop count as one
    nodes: int = 1_000_000  # in a run


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that raised an error."""

    node_id: str
    class_type: str
    error: BaseException
    display_id: str = ""

    @property
    def is_for_people(self) -> bool:
        """Whether something given must change, and the error says what: a ValueError with a class of its own."""
        return isinstance(self.error, ValueError) and type(self.error).__module__ != "builtins"

    def __str__(self) -> str:
        """One sentence: which node, which class, what happened."""
        # Of an error that is not for people, the class says half of it.
        what = str(self.error) if self.is_for_people else f"{type(self.error).__name__}: {self.error}"
        return f"{self.class_type} (node {self.node_id}) failed: {what}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave."""

    outputs: Mapping[str, tuple[Any, ...]]  # of the targets, and of the nodes to keep, unless they failed
    ui: Mapping[str, Mapping[str, Sequence[Any]]]  # what nodes showed, by node id and key
    seconds: Mapping[str, float]  # time that a lane spent on each node that ran
    cached: tuple[str, ...]  # nodes whose results were there, or came from an equal node
    failures: tuple[Failure, ...]
    explanations: tuple[Explanation, ...] = ()  # why each node ran or did not, where that was asked for
