"""Socket types: what may travel on a wire, and which wires fit which inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar

T = TypeVar("T")
ANY = "*"
COMBO = "COMBO"


class Mark(Enum):
    """What an annotation says of an input besides its type."""

    LAZY = "lazy"


Lazy = Annotated[T | None, Mark.LAZY]
"""The type of an input whose source runs only if the node's needs() asks for it; None where it did not."""


@dataclass(frozen=True)
class Socket:
    """Marks a Python type as a socket of that name: `Image = Annotated[torch.Tensor, Socket("IMAGE")]`."""

    type: str


def matches(received: Any, declared: Any) -> bool:
    """Whether an output of type `received` may feed an input of type `declared`.

    Types are upper-case words; a comma lists alternatives ("IMAGE,MASK") and "*" is anything, on either side. Types of
    third-party classes may be texts that say of themselves that they differ from none, which then fit; or lists of
    choices, each of which fits each other, since which of them is chosen is known only when the graph runs.
    """
    if not (received != declared):  # noqa: SIM202  # it is __ne__ that third-party classes override
        return True
    given, wanted = words(received), words(declared)
    return ANY in given or ANY in wanted or not given.isdisjoint(wanted)


def words(declared: Any) -> frozenset[str]:
    """The alternatives of a type; of a list of choices, COMBO; of something else that is no text, none."""
    if isinstance(declared, list | tuple):
        return frozenset((COMBO,))
    if not isinstance(declared, str):
        return frozenset()
    return frozenset(part.strip() for part in plain(declared).split(","))


def plain(declared: Any) -> str:
    """The type as an ordinary text: equal to what looks like it, and to nothing else."""
    if type(declared) is str:
        return declared
    return COMBO if isinstance(declared, list | tuple) else str.__str__(declared) if isinstance(declared, str) else ""
