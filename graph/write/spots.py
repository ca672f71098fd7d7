"""Places for nodes that are added to a drawing: beside what they feed, and over no other node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graph.write.layout import GAP_X, GAP_Y

USUAL = (210, 100)  # the size of a node that does not say it
MOST_TRIED = 100  # places for one node, before it goes below all others
MOST_LOOKS = 2_000_000  # at other nodes, for all that are added; further ones go below all others, too


class Spots:
    """Where nodes lie: upper left corner, and lower right one."""

    def __init__(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        self._boxes = [_box(place_of(node), _pair(node.get("size"), USUAL)) for node in nodes]
        self._left = min((box[0] for box in self._boxes), default=0)
        self._bottom = max((box[3] for box in self._boxes), default=0)
        self._looks = MOST_LOOKS

    def find(
        self, size: Sequence[float], takers: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]
    ) -> list[float]:
        """A free place left of the nodes that take from the new one, or else right of those that it takes from."""
        if takers:
            x = min(place_of(node)[0] for node in takers) - size[0] - GAP_X
            y = min(place_of(node)[1] for node in takers)
        elif sources:
            x = max(place_of(node)[0] + _pair(node.get("size"), USUAL)[0] for node in sources) + GAP_X
            y = min(place_of(node)[1] for node in sources)
        else:
            x, y = self._left, self._bottom + GAP_Y
        for _ in range(min(MOST_TRIED, self._looks // (len(self._boxes) + 1))):
            self._looks -= len(self._boxes)
            here = _box((x, y), size)
            below = [box[3] for box in self._boxes if _overlap(here, box)]
            if not below:
                break
            y = max(below) + GAP_Y
        else:
            y = self._bottom + GAP_Y
        self._boxes.append(_box((x, y), size))
        self._bottom = max(self._bottom, y + size[1])
        return [x, y]


def place_of(node: Mapping[str, Any]) -> tuple[float, float]:
    """The upper left corner of a node."""
    return _pair(node.get("pos"), (0, 0))


def moved(node: dict[str, Any], x: float, y: float) -> dict[str, Any]:
    """The node, moved that far."""
    left, upper = place_of(node)
    node["pos"] = [left + x, upper + y]
    return node


def _pair(value: object, otherwise: tuple[float, float]) -> tuple[float, float]:
    """Two numbers; older files have them as an object."""
    parts = [value.get("0"), value.get("1")] if isinstance(value, Mapping) else value
    if not isinstance(parts, list) or len(parts) < 2:
        return otherwise
    one, two = (each if isinstance(each, int | float) and abs(each) < 1e9 else None for each in parts[:2])
    return otherwise if one is None or two is None else (one, two)


def _box(place: Sequence[float], size: Sequence[float]) -> tuple[float, float, float, float]:
    return place[0], place[1], place[0] + size[0], place[1] + size[1]


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
