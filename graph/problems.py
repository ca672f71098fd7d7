"""Problem: one thing that is wrong with a document, said so that a person can put it right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One fault of a document.

    `kind` is ComfyUI's error type where it has one (required_input_missing, value_not_in_list, …), else a name of the
    same form (dependency_cycle). `sentence` says what, where and what to do. `extra` holds what a program may want to
    know besides (received_value, linked_node, …).
    """

    kind: str
    sentence: str
    node_id: str | None = None
    class_type: str | None = None
    input: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.sentence


class DocumentError(ValueError):
    """What was sent is no workflow at all; `problems` says why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(" ".join(problem.sentence for problem in self.problems))


def some(names: Sequence[object], count: int = 8) -> str:
    """The first names of a list for use in a sentence: "a, b and 3 more", or "none"."""
    shown = ", ".join(str(name) for name in names[:count])
    rest = len(names) - count
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"
