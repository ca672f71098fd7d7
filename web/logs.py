"""Logs: what happens, a line each for people or in JSON for programs, with the job and the node that it belongs to.

The last lines, and what nodes print, are also kept in a ring for clients. Queries of addresses are never logged, since
tokens may be in them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TextIO

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from graph.context import RUNNING
from graph.events import NodeBlocked, NodeFailed, NodeWarned
from graph.queue.events import JobDeleted, JobFinished, JobRequeued, JobStarted, PastError
from graph.queue.journal import Numbered

Form = Literal["text", "json"]

ENTRIES = 300  # that are kept for clients
ENTRY_MOST = 10_000  # characters of one of them
ACCESS = "web.access"  # the logger of requests
PROBES = frozenset({"/healthz", "/readyz"})  # asked for every few seconds
HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)  # lines, terminals, order

log = logging.getLogger(__name__)


class LogEntry(NamedTuple):
    """What was logged or printed, and when."""

    at_s: float  # since 1970
    text: str  # with the end of its line

    @property
    def time(self) -> str:
        """As clients see it."""
        return datetime.fromtimestamp(self.at_s, UTC).isoformat()


def set_up(form: Form, level: str | int = "INFO", *, stream: TextIO | None = None) -> Ring:
    """From now on the program logs to `stream` (stderr), and what it logs and prints is in the ring that is given.

    Called once, when the program starts.
    """
    ring = Ring()
    ring.setFormatter(TextForm(with_time=False))
    lines = logging.StreamHandler(stream or sys.stderr)
    lines.setFormatter(JsonForm() if form == "json" else TextForm())
    for handler in (lines, ring):
        handler.addFilter(place)
    ring.addFilter(lambda record: record.name != ACCESS)  # there would soon be nothing else
    logging.basicConfig(level=level, handlers=[lines, ring], force=True)
    logging.captureWarnings(True)
    sys.stdout, sys.stderr = Tee(sys.stdout, ring), Tee(sys.stderr, ring)
    return ring


def current_ring() -> Ring | None:
    """The ring of this program, if its logs have been set up."""
    return next((each for each in logging.getLogger().handlers if isinstance(each, Ring)), None)


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def place(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass, and notes the job and the node at work in this thread or task."""
    job_id, node_id = RUNNING.get()
    record.job_id = getattr(record, "job_id", job_id)
    record.node_id = getattr(record, "node_id", node_id)
    return True


def plain(text: str) -> str:
    """Text on one line that nobody can forge others with, or reach a terminal through."""
    return HIDDEN.sub(lambda found: "\\n" if found[0] == "\n" else repr(found[0])[1:-1], text)


class TextForm(logging.Formatter):
    """For people: time, level, logger, message, job and node; a traceback follows, indented."""

    def __init__(self, *, with_time: bool = True) -> None:
        super().__init__()
        self._with_time = with_time

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        at = time.strftime("%Y-%m-%d %H:%M:%S ", time.localtime(record.created)) if self._with_time else ""
        job_id, node_id = getattr(record, "job_id", ""), getattr(record, "node_id", "")
        where = f" [job {job_id}{f' node {node_id}' if node_id else ''}]" if job_id else ""
        line = plain(f"{at}{record.levelname:<7} {record.name}: {record.getMessage()}{where}")
        return "\n".join([line, *(f"    {plain(each)}" for each in _trace(record).splitlines())])


class JsonForm(logging.Formatter):
    """For programs: an object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON. `time` is in UTC; job_id, node_id and error are there only where they apply."""
        found = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in (
            ("job_id", getattr(record, "job_id", "")),
            ("node_id", getattr(record, "node_id", "")),
            ("error", _trace(record)),
        ):
            if value:
                found[name] = value
        return json.dumps(found)


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return record.exc_text or ""
    try:
        return "".join(traceback.format_exception(record.exc_info[1]))
    except Exception:  # an error whose text cannot be had
        return f"{type(record.exc_info[1]).__name__}, which cannot say more"


# ── the ring ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Ring(logging.Handler):
    """The last lines, for clients. Safe to use from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: deque[LogEntry] = deque(maxlen=ENTRIES)
        self._listeners: list[Callable[[LogEntry], object]] = []
        self._telling = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            self.put(f"{self.format(record)}\n", record.created)
        except Exception:  # as logging's own handlers do: to log something must not fail
            self.handleError(record)

    def put(self, text: str, at_s: float | None = None) -> None:
        """Take a text, of which no more than ENTRY_MOST characters are kept, and tell of it."""
        if len(text) > ENTRY_MOST:
            text = f"{text[:ENTRY_MOST]}…\n"
        entry = LogEntry(time.time() if at_s is None else at_s, text)
        self._entries.append(entry)
        if getattr(self._telling, "now", False):
            return  # a listener logs something itself
        self._telling.now = True
        try:
            for listener in tuple(self._listeners):
                with contextlib.suppress(Exception):  # such as an event loop that is closed
                    listener(entry)
        finally:
            self._telling.now = False

    def entries(self) -> list[LogEntry]:
        """What is kept, the oldest first."""
        while True:
            try:
                return list(self._entries)
            except RuntimeError:  # another thread has just added one
                continue

    def subscribe(self, callback: Callable[[LogEntry], object]) -> None:
        """Have it called with every new entry, in the thread where that arises; it must be quick."""
        self._listeners.append(callback)

    def unsubscribe(self, callback: Callable[[LogEntry], object]) -> None:
        """No more calls."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(callback)


class Tee:
    """Standard output that also goes into the ring, line by line. All else is as the stream underneath has it."""

    def __init__(self, stream: TextIO, ring: Ring) -> None:
        self._stream = stream
        self._ring = ring
        self._begun = threading.local()  # each thread has its own line

    def write(self, text: str) -> int:
        """Print. A stream that is gone, as at the end of a pipe, is no reason for a node to fail."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        begun = f"{getattr(self._begun, 'line', '')}{text}"
        *lines, begun = begun.splitlines(keepends=True) or [""]
        if begun.endswith(("\n", "\r")) or len(begun) > ENTRY_MOST:
            lines, begun = [*lines, begun], ""
        self._begun.line = begun
        for line in lines:
            if shown := plain(line.rstrip("\r\n")):
                self._ring.put(f"{shown}\n")
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Print these."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Have it all arrive."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# ── what is logged ────────────────────────────────────────────────────────────────────────────────────────────────────


class JobLog:
    """Hears what the journal tells: a line when a job begins, ends or is put back, and for every node that fails."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def take(self, entry: Numbered) -> None:
        """Log an event, if it is one of those."""
        job_id, event = entry.job_id, entry.event
        if type(event) not in TOLD:
            return
        extra = {"job_id": job_id, "node_id": getattr(event, "node_id", "")}
        match event:
            case JobStarted():
                self._began[job_id] = entry.at_s
                again = f", for the {event.attempt}. time" if event.attempt > 1 else ""
                log.info("The job begins%s.", again, extra=extra)
            case JobFinished():
                began = self._began.pop(job_id, None)
                took = "" if began is None else f" after {entry.at_s - began:.1f} s"
                why = f": {event.reason}" if event.reason else "."
                level = logging.WARNING if event.state == "failed" else logging.INFO
                log.log(level, "The job has %s%s%s", END.get(event.state, event.state), took, why, extra=extra)
            case JobRequeued():
                self._began.pop(job_id, None)
                log.warning("The job waits again: %s", event.reason, extra=extra)
            case JobDeleted():
                self._began.pop(job_id, None)
            case NodeFailed():
                error = None if isinstance(event.error, PastError) else event.error
                log.warning("%s", event.message, exc_info=error, extra=extra)
            case NodeWarned() | NodeBlocked():
                log.warning("%s (%s): %s", event.display_id, event.class_type, event.message, extra=extra)


TOLD = frozenset({JobStarted, JobFinished, JobRequeued, JobDeleted, NodeFailed, NodeWarned, NodeBlocked})
END = {"succeeded": "succeeded", "failed": "failed", "cancelled": "been cancelled"}


class AccessLog(AbstractAccessLogger):
    """A line for each answer, without its query. Of static files and probes they are for debugging alone."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log one. `time` is in seconds."""
        self.logger.log(
            logging.DEBUG if isinstance(response, web.FileResponse) or request.path in PROBES else logging.INFO,
            "%s %s %s: %d, %.0f ms.", request.remote, request.method, request.rel_url.raw_path, response.status,
            time * 1000,
        )  # fmt: skip
