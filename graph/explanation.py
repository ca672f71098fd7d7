"""Explanation: why a node runs or does not, as a value and as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Reason = Literal[
    "memory", "disk",  # its result is remembered there
    "equal",  # an equal node of this workflow gives its result
    "saved",  # the files of this output node are there
    "unneeded",  # what takes its result is remembered
    "output",  # output nodes always run
    "new", "changed", "source", "forgotten",  # nothing with these inputs is remembered; what is known of why
    "impure", "unknown", "impure source",  # its result is never reused
    "lazy", "later", "asked", "not asked",  # known only while the workflow runs, or after it
    "broken", "failed",  # it cannot run, or did not end
]  # fmt: skip


class Change(NamedTuple):
    """What is not as it was when the node last ran: `what`, in words, and both values as they are shown."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one node of a workflow runs, or does not. `runs` is None where that is known only while the workflow runs."""

    node_id: str
    class_type: str
    runs: bool | None
    reason: Reason
    sentence: str  # goes on from the node's name
    changes: tuple[Change, ...] = ()
    needed_by: tuple[str, ...] = ()  # the nodes that run and take its outputs
    note: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)  # what it is now, see Notes

    def __str__(self) -> str:
        return f"{self.class_type} (node {self.node_id}) {self.sentence}"
