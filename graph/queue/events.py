"""What happens to jobs, as values, beside the events of their runs; and all of them as JSON, for the store."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from graph import events
from graph.events import Event
from graph.jobs import JobState


@dataclass(frozen=True, slots=True)
class JobQueued:
    """A job waits: it is new, or is tried again."""

    job_id: str
    priority: int
    number: int | float
    client: str = ""  # whose it is


@dataclass(frozen=True, slots=True)
class JobMoved:
    """A job waits at another place."""

    job_id: str
    priority: int
    number: int | float


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A job begins, for the `attempt`-th time."""

    job_id: str
    attempt: int
    client: str = ""  # whose it is


@dataclass(frozen=True, slots=True)
class JobRequeued:
    """A job did not come to its end and waits again."""

    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class JobFinished:
    """A job is over: succeeded, failed or cancelled."""

    job_id: str
    state: JobState
    reason: str
    problems: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """A job is gone, and all that was kept of it."""

    job_id: str


JobEvent = JobQueued | JobMoved | JobStarted | JobRequeued | JobFinished | JobDeleted
CLASSES: Mapping[str, type[Any]] = {cls.__name__: cls for cls in (*events.Event.__args__, *JobEvent.__args__)}
FIELDS: Mapping[type[Any], tuple[str, ...]] = {
    cls: tuple(item.name for item in fields(cls)) for cls in CLASSES.values()
}
NEEDED: Mapping[type[Any], frozenset[str]] = {
    cls: frozenset(item.name for item in fields(cls) if item.default is MISSING and item.default_factory is MISSING)
    for cls in CLASSES.values()
}
TUPLES: Mapping[type[Any], frozenset[str]] = {
    cls: frozenset(item.name for item in fields(cls) if str(item.type).startswith("tuple")) for cls in CLASSES.values()
}


class PastError(Exception):
    """An error as it can be written down, and as it is read later: its class, its text, the lines of its traceback."""

    def __init__(self, kind: str, text: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.trace = trace

    @classmethod
    def of(cls, error: BaseException) -> PastError:
        """Any error so; one whose own code cannot say what it is, too."""
        if isinstance(error, cls):
            return error
        kind = type(error).__name__ if type(error).__module__ == "builtins" else _full_name(type(error))
        try:
            text = str(error)
        except Exception:  # the error's own code, which may fail in any way
            text = kind
        try:
            return cls(kind, text, tuple(traceback.format_exception(error)))
        except Exception:  # the same; also Python's own fault, when two threads look at source at the same time
            return cls(kind, text, (f"{kind}: {text}\n",))


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__name__}"


def to_json(event: Event | JobEvent, at_s: float) -> str:
    """An event as text, with the time when it happened."""
    cls = type(event)
    content: dict[str, Any] = {"event": cls.__name__, "at_s": at_s}
    for name in FIELDS[cls]:
        content[name] = getattr(event, name)
    return ENCODER.encode(content)


def from_json(text: str) -> tuple[Event | JobEvent, float] | None:
    """The event again and its time, an error as PastError; None for an event that this version does not know."""
    content = json.loads(text)
    cls = CLASSES.get(content.pop("event", ""))
    at_s = content.pop("at_s", 0.0)  # earlier versions kept none
    if cls is None or not NEEDED[cls] <= content.keys() <= set(FIELDS[cls]):
        return None
    for name in content.keys() & TUPLES[cls]:
        content[name] = tuple(tuple(each) if isinstance(each, list) else each for each in content[name])
    if (error := content.get("error")) is not None:
        content["error"] = PastError(error["kind"], error["text"], tuple(error["trace"]))
    found: Event | JobEvent = cls(**content)
    return found, at_s


def _plain(value: object) -> object:
    """What JSON has no form for."""
    if isinstance(value, BaseException):
        past = PastError.of(value)
        return {"kind": past.kind, "text": past.text, "trace": past.trace}
    return dict(value) if isinstance(value, Mapping) else repr(value)


ENCODER = json.JSONEncoder(default=_plain)
