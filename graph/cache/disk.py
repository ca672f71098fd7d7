"""The cache's disk tier: entries that outlive the process, in a folder within a limit; checked when they are read."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, Self

from graph.cache import DiskCodec, Entry, Tier, Unkeepable
from graph.cache.form import from_form, to_form
from graph.cache.memory import ENTRY_BYTES
from graph.cache.shelf import Damaged, Shelf

BACKLOG_BYTES = 2**28  # values that wait to be written are still in memory: more only if it is a single one

_log = logging.getLogger(__name__)


class DiskCache:
    """Entries by fingerprint in a folder, within `limit_bytes` as Shelf has it; safe for many threads and processes.

    put() returns at once, and a thread of its own writes. close() waits until all is written.
    """

    def __init__(self, folder: Path, limit_bytes: int, codec: DiskCodec, *, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._codec = codec
        self._backlog_bytes = backlog_bytes
        self._shelf = Shelf(folder, limit_bytes)
        self._waiting: dict[str, tuple[Entry, int]] = {}  # key: entry and its bytes, in the order they came
        self._waiting_bytes = 0
        self._writing: str | None = None  # the key that the writer is at; None also if it was dropped meanwhile
        self._changed = threading.Condition()
        self._closed = False
        self._writer: threading.Thread | None = None
        self._trouble = False  # told of; not again before something could be written

    # -- a Cache

    def get(self, key: str) -> Entry | None:
        """The entry of that fingerprint. A damaged one is deleted, told of in the log, and counts as not there."""
        with self._changed:
            waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting[0]
        try:
            record = self._shelf.read_record(key)
            if record is None:
                return None
            entry = self._decode(record, [self._shelf.read_blob(name) for name in record["blobs"]])
        except FileNotFoundError:
            return None  # someone made room
        except Damaged as damage:
            _log.warning(
                "%s: this file of the cache %s; it is deleted, and what it held is computed again.",
                damage.path, damage,
            )  # fmt: skip
            for path in {self._shelf.path(key), damage.path}:
                self._shelf.delete(path)
            return None
        except OSError as error:
            self._tell(error, "read")
            return None
        self._shelf.use(key, record["blobs"])
        return entry

    def put(self, key: str, entry: Entry, *, keep_on_disk: bool = True) -> None:
        """Have an entry written, if it may be and there is room in the backlog."""
        if not keep_on_disk:
            return
        storages = {name: size for value in entry.outputs for name, size in self._codec.storages(value)}
        size = ENTRY_BYTES + sum(storages.values())
        with self._changed:
            self._forget(key)
            if self._closed or size > self.limit_bytes:
                return
            if self._waiting and self._waiting_bytes + size > self._backlog_bytes:
                return
            self._waiting[key] = (entry, size)
            self._waiting_bytes += size
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="cache writer", daemon=True)
                self._writer.start()
            self._changed.notify()

    def drop(self, key: str) -> None:
        """Forget an entry whose values are not what they were, also one that is being written."""
        with self._changed:
            self._forget(key)
            if self._writing == key:
                self._writing = None
        self._shelf.delete(self._shelf.path(key))

    def where(self, key: str) -> Tier | None:
        """Whether it is here, with all that it refers to. Does not count as a use."""
        with self._changed:
            if key in self._waiting:
                return "disk"
        try:
            record = self._shelf.read_record(key)
        except (OSError, Damaged):
            return None
        return "disk" if record is not None and self._shelf.is_whole(record) else None

    def close(self) -> None:
        """Finish writing and end. What is put afterwards is not kept."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._writer is not None:
            self._writer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- writing, in its own thread

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                key, (entry, _) = next(iter(self._waiting.items()))
                self._writing = key
            try:
                self._write(key, entry)
                self._trouble = False
            except Unkeepable:
                pass
            except OSError as error:
                self._tell(error, "written")
            except Exception:  # this thread must go on, or nothing more is kept
                _log.exception(
                    "A result could not be written to the cache in %s, by a fault of this program.", self.folder
                )
            with self._changed:
                was_dropped, self._writing = self._writing is None, None
                if self._waiting.get(key, (None,))[0] is entry:
                    self._forget(key)
            if was_dropped:
                self._shelf.delete(self._shelf.path(key))
            del entry  # or it would stay in memory until the next one comes

    def _write(self, key: str, entry: Entry) -> None:
        parts: list[object] = []
        form = to_form([entry.outputs, dict(entry.ui), entry.seconds, entry.asks], parts)
        facts, contents = self._codec.pack(parts) if parts else (None, ())
        blobs = [self._shelf.write_blob(content) for content in contents]
        self._shelf.write_record(key, {"entry": form, "facts": facts, "blobs": blobs})

    # -- small things

    def _forget(self, key: str) -> None:
        """Out of the backlog; under the lock."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._waiting_bytes -= waiting[1]

    def _decode(self, record: dict[str, Any], contents: list[bytes]) -> Entry:
        try:
            parts = self._codec.unpack(record["facts"], contents) if record["facts"] is not None else ()
            outputs, ui, seconds, asks = from_form(record["entry"], parts)
        except Exception as error:  # the codec's own, in any way
            raise Damaged(self._shelf.path(record["key"]), "is not what this program writes") from error
        return Entry(outputs, ui, seconds, asks)

    def _tell(self, error: OSError, what: str) -> None:
        if not self._trouble:
            self._trouble = True
            _log.warning(
                "%s: the cache in this folder cannot be %s (%s); work goes on without it.",
                self.folder, what, error.strerror or error,
            )  # fmt: skip
