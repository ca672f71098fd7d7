"""Hub: hands the events of jobs to the clients whose jobs they are, as messages of the wire."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from graph.events import NodeProgress
from graph.preview import Preview
from graph.queue.events import JobDeleted, JobFinished, JobMoved, JobQueued, JobRequeued, JobStarted
from graph.queue.journal import Numbered
from graph.queue.scheduler import Scheduler
from web import protocol
from web.protocol import Message
from web.settings import PreviewsFor, Settings
from web.socket import Socket
from web.telling import Telling

AT_A_TIME = 200  # events that are told before others get a turn on the event loop
STATUS_S = 0.1  # so long changes of the queue are gathered for those whose jobs they are not
SOCKETS_MOST = 8  # connections of one client, such as copies of a browser's tab; then the oldest goes

log = logging.getLogger(__name__)


class Hub:
    """Who is connected, and what they are told. All methods but `take` belong to the event loop.

    Clients of this wire assume that their jobs run one after another; here several may run at once. So the messages
    about a client's jobs are in the order as if they did: those of a job begin when those of the one before have ended.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._previews: dict[str, PreviewsFor] = {}  # of the jobs that say it themselves
        self._sockets: defaultdict[str, list[Socket]] = defaultdict(list)
        self._tellings: dict[str, Telling] = {}  # of the jobs under way
        self._lines: defaultdict[str, deque[Telling]] = defaultdict(deque)  # by client; the first is told at once
        self._events: deque[Numbered] = deque()
        self._is_called = False
        self._loop = asyncio.get_running_loop()
        self._scheduler: Scheduler | None = None
        self._drawing: dict[tuple[str, str], Numbered | None] = {}  # by job and node: the preview to encode next
        self._drawers: set[asyncio.Task[None]] = set()
        self._log_readers: set[str] = set()
        self._status_due: asyncio.TimerHandle | None = None

    def open(self, scheduler: Scheduler) -> None:
        """The queue is there."""
        self._scheduler = scheduler

    def show_previews(self, job_id: str, who: PreviewsFor) -> None:
        """Who shall get previews of a job that will come, other than of the rest."""
        self._previews[job_id] = who

    # -- events of jobs

    def take(self, entry: Numbered) -> None:
        """Tell of an event soon. Called by the journal, in its thread."""
        self._events.append(entry)
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon_threadsafe(self._tell_some)

    def _tell_some(self) -> None:
        self._is_called = False
        for _ in range(min(AT_A_TIME, len(self._events))):
            entry = self._events.popleft()
            try:
                self._tell(entry)
            except Exception:  # what is wrong with one event must not hold up those of others
                log.exception("An event of job %s cannot be told.", entry.job_id, extra={"job_id": entry.job_id})
        if self._events and not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._tell_some)

    def _tell(self, entry: Numbered) -> None:
        job_id, event = entry.job_id, entry.event
        if isinstance(event, JobFinished | JobDeleted):
            self._previews.pop(job_id, None)
        if isinstance(event, JobStarted):
            self._tellings[job_id] = Telling(job_id, event.client)
            self._lines[event.client].append(self._tellings[job_id])
        elif isinstance(event, JobQueued | JobMoved | JobDeleted):
            self.tell_status(event.client if isinstance(event, JobQueued) else None)
            return
        telling = self._tellings.get(job_id)
        if telling is None:
            if isinstance(event, JobFinished):  # it never began
                self.tell_status()
            return
        if isinstance(event, JobFinished | JobRequeued):
            del self._tellings[job_id]  # should it begin again, that is told after this, and by itself
        line = self._lines[telling.client]
        if telling is not line[0]:
            if not isinstance(event, NodeProgress):
                telling.held.append(entry)
            return
        self._tell_first(line, entry)
        while line and line[0].held:
            held, line[0].held = line[0].held, []
            for each in held:
                self._tell_first(line, each)
        if not line:
            del self._lines[telling.client]

    def _tell_first(self, line: deque[Telling], entry: Numbered) -> None:
        """Tell of an event of the job that is first in its line."""
        telling, event = line[0], entry.event
        sockets = self._sockets.get(telling.client, ())
        try:
            self._tell_of(telling, entry, sockets)
        except Exception:  # such as something shown that has no form as text: the line must go on
            log.exception("An event of job %s cannot be told.", entry.job_id, extra={"job_id": entry.job_id})
        if isinstance(event, JobFinished | JobRequeued):
            line.popleft()
            self.tell_status(telling.client)
            if isinstance(event, JobFinished):
                self._put(sockets, protocol.executing_nothing(entry.job_id))

    def _tell_of(self, telling: Telling, entry: Numbered, sockets: Sequence[Socket]) -> None:
        event = entry.event
        if isinstance(event, JobStarted):
            self.tell_status(telling.client)
        if isinstance(event, NodeProgress) and any(self._sees_previews(each, entry.job_id) for each in sockets):
            self._draw(entry)
        nobody = not protocol.session_of(telling.client)
        for message in telling.messages(entry):
            if message["type"] == "execution_interrupted" or (nobody and message["type"] == "progress_state"):
                self._put(self._everybody(), message)
            else:
                self._put(sockets, message)

    # -- previews

    def _draw(self, entry: Numbered) -> None:
        """Encode a preview in a thread and send it; of several that come meanwhile, the last."""
        event = entry.event
        assert isinstance(event, NodeProgress)
        key = entry.job_id, event.node_id
        if not isinstance(event.preview, Preview):
            return
        if key in self._drawing:
            self._drawing[key] = entry
            return
        self._drawing[key] = entry
        task = self._loop.create_task(self._draw_all(key))
        self._drawers.add(task)
        task.add_done_callback(self._drawers.discard)

    async def _draw_all(self, key: tuple[str, str]) -> None:
        try:
            while (entry := self._drawing[key]) is not None:
                self._drawing[key] = None
                event = entry.event
                assert isinstance(event, NodeProgress)
                assert isinstance(event.preview, Preview)
                image_type, picture = await asyncio.to_thread(event.preview.encode, self._settings.preview_px)
                self._put_preview(entry.job_id, event, image_type, picture)
        except Exception:  # a pack's preview, whose own code draws it
            log.exception("A preview of node %s cannot be shown.", key[1], extra={"job_id": key[0], "node_id": key[1]})
        finally:
            del self._drawing[key]

    def _sees_previews(self, socket: Socket, job_id: str) -> bool:
        match self._previews.get(job_id, self._settings.previews):
            case "known":
                return bool(socket.features.get("supports_preview_metadata"))
            case who:
                return who == "all"

    def _put_preview(self, job_id: str, event: NodeProgress, image_type: str, picture: bytes) -> None:
        telling = self._tellings.get(job_id)
        if telling is None or event.node_id not in telling.running:
            return  # the node is done: its picture comes itself
        parent_id = telling.parents.get(event.node_id)
        for socket in self._sockets.get(telling.client, ()):
            if not self._sees_previews(socket, job_id):
                continue
            if socket.features.get("supports_preview_metadata"):
                frame = protocol.preview_with_metadata(
                    job_id, event.node_id, event.display_id, parent_id, image_type, picture
                )
            else:
                frame = protocol.preview(image_type, picture)
            socket.put_preview(event.node_id, frame)

    # -- clients

    def join(self, connection: web.WebSocketResponse, transport: asyncio.Transport, client: str) -> Socket:
        """A client is connected; it is told where things stand."""
        socket = Socket(connection, transport, client)
        sockets = self._sockets[client]
        sockets.append(socket)
        for old in sockets[:-SOCKETS_MOST]:
            old.close()
        socket.put(protocol.encode(protocol.status(self._remaining(), protocol.session_of(client))))
        line = self._lines.get(client)
        if line is not None:
            for state in line[0].running.values():
                socket.put(protocol.encode(protocol.still_executing(state["display_node_id"])))
        return socket

    def leave(self, socket: Socket) -> None:
        """A connection is over; others of the same client go on."""
        socket.close()
        sockets = self._sockets[socket.client]
        sockets.remove(socket)
        if not sockets:
            del self._sockets[socket.client]
            self._log_readers.discard(socket.client)

    def close(self) -> None:
        """End every connection."""
        if self._status_due is not None:
            self._status_due.cancel()
        for socket in self._everybody():
            socket.close()

    def tell_status(self, client: str | None = None) -> None:
        """Tell how many jobs wait or run: the client that this is about at once, and everybody else soon.

        With many clients, each of whom heard of every job of the others, the server would do little else.
        """
        if sockets := self._sockets.get(client or ""):
            self._put_status(sockets)
        if self._status_due is None:
            self._status_due = self._loop.call_later(STATUS_S, self._tell_everybody_status)

    def _tell_everybody_status(self) -> None:
        self._status_due = None
        self._put_status(self._everybody(), is_news=True)

    def _put_status(self, sockets: Iterable[Socket], *, is_news: bool = False) -> None:
        text = protocol.encode(protocol.status(self._remaining()))
        for socket in sockets:
            socket.put_status(text, is_news=is_news)

    # -- logs

    def read_logs(self, client: str, wanted: bool) -> None:
        """Whether a client wants new lines of the log."""
        if wanted and client in self._sockets:
            self._log_readers.add(client)
        else:
            self._log_readers.discard(client)

    def tell_logs(self, entries: Iterable[Mapping[str, Any]], size: Mapping[str, int]) -> None:
        """New lines of the log; to those who want them."""
        if self._log_readers:
            message = protocol.logs(list(entries), size)
            self._put((each for client in self._log_readers for each in self._sockets.get(client, ())), message)

    # -- inside

    def _remaining(self) -> int:
        return self._scheduler.remaining if self._scheduler is not None else 0

    def _everybody(self) -> Iterator[Socket]:
        return (socket for sockets in self._sockets.values() for socket in sockets)

    @staticmethod
    def _put(sockets: Iterable[Socket], message: Message) -> None:
        text = ""
        for socket in sockets:
            text = text or protocol.encode(message)
            socket.put(text)
