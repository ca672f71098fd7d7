"""Waiting: the jobs that wait for their turn; which of them goes next."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import count, islice

LOOK_AHEAD = 8  # among so many of those that are next, one whose models are loaded may go first
OVERTAKEN_MOST = 4  # and so often a job lets others go first for that

Rank = tuple[int, int]  # lower goes first: minus the priority, then 0 for a job that was put to the front, else 1
Spot = tuple[int | float, int, str]  # number, place in the order in which they were accepted, id


@dataclass(eq=False, slots=True)
class Turn:
    """What the order must know of a job."""

    id: str
    client: str
    priority: int
    front: bool
    number: int | float
    accepted: int = 0  # of equal numbers the one that was accepted first goes first
    models: frozenset[str] = frozenset()  # what it will load
    alone: bool = False  # nothing else may run beside it
    overtaken: int = 0

    @property
    def rank(self) -> Rank:
        """No job of a lower rank waits for one of a higher rank."""
        return -self.priority, 0 if self.front else 1

    @property
    def spot(self) -> Spot:
        """Where it stands among others of its client and rank."""
        return self.number, self.accepted, self.id


class Waiting:
    """Jobs that wait. Rank decides, then fair shares among clients, then the number.

    Fair: the k-th waiting job of a client stands behind the (k + r)-th of another that has r fewer running; of equal
    ones the client goes first whose last turn is the longest ago. Those put to the front go strictly by number.
    """

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._lines: dict[Rank, dict[str, list[Spot]]] = {}  # by client, sorted
        self._running: dict[str, Turn] = {}
        self._jobs: Counter[str] = Counter()  # waiting and running, by client
        self._last_turn: dict[str, int] = {}  # by client; one without jobs is forgotten, and comes back as a new one
        self._ages = count(1)  # of turns
        self._just_ran: frozenset[str] = frozenset()  # the models of the job that ended last

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._turns

    def __len__(self) -> int:
        return len(self._turns)

    def get(self, job_id: str) -> Turn | None:
        """What is known of a job that waits."""
        return self._turns.get(job_id)

    def __iter__(self) -> Iterator[Turn]:
        """All, in the order in which they would go if none ended, none came and models played no part."""
        return self._in_order(sorted(self._lines))

    def copy(self) -> Waiting:
        """The same order at this moment, to be looked at in another thread while this one goes on."""
        found = Waiting()
        found._turns = dict(self._turns)
        found._lines = {
            rank: {sharer: list(line) for sharer, line in lines.items()} for rank, lines in self._lines.items()
        }
        found._running = dict(self._running)
        found._last_turn = dict(self._last_turn)
        return found

    def add(self, turn: Turn) -> None:
        """A job waits from now on."""
        self._turns[turn.id] = turn
        self._jobs[turn.client] += 1
        self._line_up(turn)

    def remove(self, job_id: str) -> Turn | None:
        """A job waits no more; None if it did not."""
        turn = self._turns.pop(job_id, None)
        if turn is not None:
            self._step_out(turn)
            self._leave(turn.client)
        return turn

    def move(self, job_id: str, priority: int, *, front: bool, numbers: Mapping[str, int | float]) -> None:
        """A job stands elsewhere, perhaps among those at the front. `numbers` are the new ones, of others too."""
        moved = [self._turns[each] for each in {job_id, *numbers} if each in self._turns]
        for turn in moved:
            self._step_out(turn)
            turn.number = numbers.get(turn.id, turn.number)
            if turn.id == job_id:
                turn.priority = priority
                turn.front = front
        for turn in moved:
            self._line_up(turn)

    def take(self) -> Turn | None:
        """The job whose turn it is; it counts as running until ended(). None if none may begin now."""
        if not self._turns or any(turn.alone for turn in self._running.values()):
            return None
        turn = self._next()
        if turn.alone and self._running:
            return None
        self.remove(turn.id)
        self._running[turn.id] = turn
        self._jobs[turn.client] += 1
        self._last_turn[turn.client] = next(self._ages)
        return turn

    def ended(self, job_id: str) -> None:
        """A job that was taken runs no more."""
        turn = self._running.pop(job_id)
        self._just_ran = turn.models or self._just_ran
        self._leave(turn.client)

    def _next(self) -> Turn:
        rank = min(self._lines)
        first, *others = islice(self._in_order([rank]), LOOK_AHEAD)
        loaded = self._just_ran.union(*(turn.models for turn in self._running.values()))
        if first.front or first.models <= loaded:
            return first
        overtaken = [first]
        for turn in others:
            if overtaken[-1].overtaken >= OVERTAKEN_MOST:
                break
            if turn.models and turn.models <= loaded and not turn.alone:
                for each in overtaken:
                    each.overtaken += 1
                return turn
            overtaken.append(turn)
        return first

    def _in_order(self, ranks: Iterable[Rank]) -> Iterator[Turn]:
        running = Counter(turn.client for turn in self._running.values())
        last_turn = Counter(self._last_turn)
        age = max(last_turn.values(), default=0)
        for rank in ranks:
            lines = self._lines[rank]
            heads = [(running[sharer], last_turn[sharer], line[0], sharer, 0) for sharer, line in lines.items()]
            heapify(heads)
            while heads:
                _, _, (_, _, job_id), sharer, place = heads[0]
                turn = self._turns[job_id]
                yield turn
                age += 1
                running[turn.client] += 1
                last_turn[turn.client] = age
                if place + 1 < len(lines[sharer]):
                    following = (running[sharer], last_turn[sharer], lines[sharer][place + 1], sharer, place + 1)
                    heapreplace(heads, following)
                else:
                    heappop(heads)

    def _line_up(self, turn: Turn) -> None:
        line = self._lines.setdefault(turn.rank, {}).setdefault(self._sharer(turn), [])
        insort(line, turn.spot)

    def _step_out(self, turn: Turn) -> None:
        lines = self._lines[turn.rank]
        line = lines[self._sharer(turn)]
        del line[bisect_left(line, turn.spot)]
        if not line:
            del lines[self._sharer(turn)]
        if not lines:
            del self._lines[turn.rank]

    def _leave(self, client: str) -> None:
        self._jobs[client] -= 1
        if not self._jobs[client]:
            del self._jobs[client]
            self._last_turn.pop(client, None)

    @staticmethod
    def _sharer(turn: Turn) -> str:
        return "" if turn.front else turn.client
