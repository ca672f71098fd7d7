"""Slice: a piece of work for a lane, how urgent it is, and with what others it can be worked on at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

Urgency = tuple[int, int, int, int]
"""Lower goes first: minus the priority, 1 for a step that others may share, the age of the run, place in the plan."""


class Company(NamedTuple):
    """With whom a slice can be worked on together: with other slices of an equal `key`, at most `most` in all."""

    key: Hashable
    most: int
    member: Any
    work: Callable[[Sequence[Any]], Iterable[Slice]]  # given the members, the most urgent first, does for all


class Slice(NamedTuple):
    """A piece of work for a lane. `work` returns the slices that it made ready; it must not raise.

    In the lane "async" it returns an awaitable of them. With `company`, that one's work is called in place of `work`,
    with the members of all slices that were taken together, or of this one alone.
    `overdue` is called, in a thread of its own, when the lane has given up a slice that took too long. That may end by
    itself at the same moment, or later: what both return is worked on, so they have to agree on who gives what.
    """

    lane: str
    urgency: Urgency  # of equal ones the first to come goes first
    work: Callable[[], Iterable[Slice] | Awaitable[Iterable[Slice]]]
    company: Company | None = None
    overdue: Callable[[], Iterable[Slice]] | None = None  # what is ready instead


def overdue(slices: Sequence[Slice]) -> list[Slice]:
    """What comes of it that these were given up."""
    return [new for each in slices if each.overdue is not None for new in each.overdue()]
