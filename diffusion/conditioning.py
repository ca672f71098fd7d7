"""Conditioning as it travels between nodes → entries that guidance can weigh and batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Conditioning = Sequence[Sequence[Any]]
"""A list of [tokens [B, T, D], {"pooled_output": [B, D], …}]."""

UNDERSTOOD = frozenset({"pooled_output", "strength"})


class ConditioningError(ValueError):
    """A prompt that cannot be used: one sentence that says why."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One encoded prompt. Several are averaged by strength."""

    tokens: Tensor  # [B, T, D] float32
    pooled: Tensor | None = None  # [B, P]
    strength: float = 1.0


def entries(conditioning: Conditioning, name: str) -> tuple[Entry, ...]:
    """The entries of a conditioning. name: what to call it in an error ("positive").

    Raises ConditioningError for what is no conditioning and for what it carries but nothing here would heed.
    """
    if not isinstance(conditioning, Sequence) or len(conditioning) == 0:
        raise ConditioningError(f"The {name} conditioning is empty; connect an encoded prompt.")
    return tuple(_entry(item, name) for item in conditioning)


def _entry(item: Sequence[Any], name: str) -> Entry:
    if not isinstance(item, Sequence) or len(item) != 2 or not isinstance(item[0], Tensor):
        raise ConditioningError(f"The {name} conditioning is not a list of [tokens, settings].")
    tokens, settings = item
    if tokens.ndim != 3 or 0 in tokens.shape:
        raise ConditioningError(
            f"The {name} conditioning has tokens of the shape {list(tokens.shape)}, not [prompts, tokens, width]."
        )
    carried = sorted(key for key, value in settings.items() if key not in UNDERSTOOD and value is not None)
    if carried:
        raise ConditioningError(
            f"The {name} conditioning carries {', '.join(carried)}, which the sampler cannot heed yet; "
            "take the node that adds it out of the workflow."
        )
    return Entry(tokens.float(), settings.get("pooled_output"), float(settings.get("strength", 1.0)))


def repeat_to_batch(tensor: Tensor, batch_size: int) -> Tensor:
    """The first axis repeated from its start, or cut, to batch_size."""
    if tensor.shape[0] == batch_size:
        return tensor
    times = -(-batch_size // tensor.shape[0])
    return tensor.repeat(times, *[1] * (tensor.ndim - 1))[:batch_size]


def repeat_tokens(tokens: Tensor, count: int) -> Tensor:
    """[B, T, D] → [B, count, D], count a multiple of T. Attention to a row of tokens and to several copies of it is the
    same, so that prompts of different length can share a pass."""
    return tokens if tokens.shape[1] == count else tokens.repeat(1, count // tokens.shape[1], 1)
