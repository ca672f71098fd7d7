"""Placement: on which of several devices a work computes."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock


class Placement:
    """How many works each device has at hand. Shared by all runs; safe to use from many threads."""

    def __init__(self, devices: Iterable[str]) -> None:
        self._works = dict.fromkeys(devices, 0)
        self._lock = Lock()

    def choose(self, near: str | None) -> str:
        """A place where the values are (`near`), unless that device has works at hand and another has none."""
        with self._lock:
            idlest = min(self._works, key=self._works.__getitem__)
            place = near if near in self._works and not (self._works[near] and not self._works[idlest]) else idlest
            self._works[place] += 1
            return place

    def leave(self, place: str) -> None:
        """A work that was placed there is over."""
        if place in self._works:
            with self._lock:
                self._works[place] -= 1
