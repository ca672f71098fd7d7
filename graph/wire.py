"""Socket types: what may travel on a wire, and which wires fit which inputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, TypeVar

T = TypeVar("T")
ANY = "*"


class Mark(Enum):
    """What an annotation says of an input besides its type."""

    LAZY = "lazy"


Lazy = Annotated[T | None, Mark.LAZY]
"""The type of an input whose source runs only if the node's needs() asks for it; None where it did not."""


@dataclass(frozen=True)
class Socket:
    """Marks a Python type as a socket of that name: `Image = Annotated[torch.Tensor, Socket("IMAGE")]`."""

    type: str


def matches(received: str, declared: str) -> bool:
    """Whether an output of type `received` may feed an input of type `declared`.

    Types are upper-case words; a comma lists alternatives ("IMAGE,MASK") and "*" is anything, on either side.
    """
    if received == declared:
        return True
    given = {part.strip() for part in received.split(",")}
    wanted = {part.strip() for part in declared.split(",")}
    return ANY in given or ANY in wanted or not given.isdisjoint(wanted)
