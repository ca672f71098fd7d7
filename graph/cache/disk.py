"""The cache's disk tier: entries by fingerprint, which name files by content; bounded, and checked when it is read.

    entries/<hash of the fingerprint>       a line with the format's version and the hash of the rest, then JSON
    blobs/<hash of the content>             what the codec wrote, equal contents once

Several processes may use one folder: files appear as a whole, and whoever reads takes a vanished one for a miss. What
was used last stays longest. Use shows as a file's time, and what an entry refers to is never older than the entry, so
that entries leave before what they need.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from graph.cache import DiskCodec, Entry, Tier, Unkeepable
from graph.cache.form import from_form, to_form
from graph.cache.memory import ENTRY_BYTES
from graph.files import PART, write_whole

VERSION = b"1"
MAGIC = b"darkroom cache "
BLOCK_BYTES = 4096  # what a file takes is a multiple of this
BACKLOG_BYTES = 2**28  # values that wait to be written are still in memory: more only if it is a single one
ROOM_TO_MAKE = 0.1  # of the limit: one clean-up is worth several writes
RECOUNT_AFTER = 0.05  # of the limit: so much may be written before what other processes wrote is counted again
ABANDONED_S = 3600.0  # a half-written file this old belongs to a process that is no more

_log = logging.getLogger(__name__)


class _Damaged(Exception):
    """A file that is not what was written; the message says what is wrong with it."""


class _File(NamedTuple):
    """Sorts in the order in which files leave."""

    is_part: bool  # someone is writing it
    used_ns: int
    is_blob: bool
    size_bytes: int
    path: str


class DiskCache:
    """Entries by fingerprint in a folder, together at most about `limit_bytes`; safe for many threads and processes.

    One process alone stays within the limit; each further one may exceed it by a twentieth, until it counts again.
    put() returns at once, and a thread of its own writes. close() waits until all is written.
    """

    def __init__(self, folder: Path, limit_bytes: int, codec: DiskCodec, *, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._codec = codec
        self._backlog_bytes = backlog_bytes
        self._entries = folder / "entries"
        self._blobs = folder / "blobs"
        self._waiting: dict[str, tuple[Entry, int]] = {}  # key: entry and its bytes, in the order they came
        self._waiting_bytes = 0
        self._writing: str | None = None  # the key that the writer is at; None also if it was dropped meanwhile
        self._changed = threading.Condition()
        self._closed = False
        self._writer: threading.Thread | None = None
        self._trouble = False  # told of; not again before something could be written
        self._counted_bytes = 0  # in the folder, as far as is known; only the writer looks
        self._since_counted = limit_bytes  # written since they were counted; at first they never were

    # -- a Cache

    def get(self, key: str) -> Entry | None:
        """The entry of that fingerprint. A damaged one is deleted, told of in the log, and counts as not there."""
        with self._changed:
            waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting[0]
        path = self._path(key)
        try:
            record = _read_record(path, key)
            if record is None:
                return None
            blobs = [self._blobs / name for name in record["blobs"]]
            entry = self._decode(record, [_read_blob(blob) for blob in blobs])
        except FileNotFoundError:
            return None  # someone made room
        except _Damaged as damage:
            where, what = damage.args
            _log.warning(
                "%s: this file of the cache %s; it is deleted, and what it held is computed again.", where, what
            )
            for each in {path, where}:
                _delete(each)
            return None
        except OSError as error:
            self._tell(error, "read")
            return None
        _touch(path, blobs)
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
        _delete(self._path(key))

    def where(self, key: str) -> Tier | None:
        """Whether it is here, with all that it refers to. Does not count as a use."""
        with self._changed:
            if key in self._waiting:
                return "disk"
        try:
            record = _read_record(self._path(key), key)
            there = record is not None and all((self._blobs / name).exists() for name in record["blobs"])
        except (OSError, _Damaged):
            return None
        return "disk" if there else None

    def close(self) -> None:
        """Finish writing and end. What is put afterwards is not kept."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._writer is not None:
            self._writer.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
            except Exception:
                _log.exception(
                    "A result could not be written to the cache in %s, by a fault of this program.", self.folder
                )
            with self._changed:
                was_dropped, self._writing = self._writing is None, None
                if self._waiting.get(key, (None,))[0] is entry:
                    self._forget(key)
            if was_dropped:
                _delete(self._path(key))
            del entry  # or it would stay in memory until the next one comes

    def _write(self, key: str, entry: Entry) -> None:
        parts: list[object] = []
        form = to_form([entry.outputs, dict(entry.ui), entry.seconds, entry.asks], parts)
        facts, contents = self._codec.pack(parts) if parts else (None, ())
        blobs = [self._write_blob(content) for content in contents]
        body = json.dumps({"key": key, "entry": form, "facts": facts, "blobs": [blob.name for blob in blobs]}).encode()
        path = self._path(key)
        self._write_file(path, b"%s%s %s\n%s" % (MAGIC, VERSION, hashlib.sha256(body).hexdigest().encode(), body))
        if blobs:
            _touch(path, blobs)

    def _write_blob(self, content: bytes) -> Path:
        path = self._blobs / hashlib.sha256(content).hexdigest()
        try:
            os.utime(path)  # it is there already, and shall stay
        except FileNotFoundError:
            self._write_file(path, content)
        return path

    def _write_file(self, path: Path, content: bytes) -> None:
        size = _on_disk(len(content))
        if size > self.limit_bytes:
            raise Unkeepable("it is larger than the whole cache may be")
        self._make_room(size)
        write_whole(path, content)
        self._counted_bytes += size
        self._since_counted += size

    def _make_room(self, size_bytes: int) -> None:
        limit = self.limit_bytes
        if self._since_counted < RECOUNT_AFTER * limit and self._counted_bytes + size_bytes <= limit:
            return
        files = self._files()
        total = sum(file.size_bytes for file in files)
        if total + size_bytes > limit:
            goal = min(limit - size_bytes, int(limit * (1 - ROOM_TO_MAKE)))
            for file in sorted(files):
                if total <= goal or file.is_part:
                    break
                _delete(Path(file.path))
                total -= file.size_bytes
        self._counted_bytes, self._since_counted = total, 0

    def _files(self) -> list[_File]:
        """All files of the cache; those that nobody will finish are deleted first."""
        found = []
        for folder in (self._entries, self._blobs):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as items:
                for item in items:
                    try:
                        status = item.stat()
                    except FileNotFoundError:
                        continue
                    is_part = item.name.endswith(PART)
                    if is_part and time.time() - status.st_mtime > ABANDONED_S:
                        _delete(Path(item.path))
                        continue
                    size = _on_disk(status.st_size)
                    found.append(_File(is_part, status.st_mtime_ns, folder is self._blobs, size, item.path))
        return found

    # -- small things

    def _path(self, key: str) -> Path:
        return self._entries / hashlib.sha256(key.encode()).hexdigest()

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
            raise _Damaged(self._path(record["key"]), "is not what this program writes") from error
        return Entry(outputs, ui, seconds, asks)

    def _tell(self, error: OSError, what: str) -> None:
        if not self._trouble:
            self._trouble = True
            _log.warning(
                "%s: the cache in this folder cannot be %s (%s); work goes on without it.",
                self.folder, what, error.strerror or error,
            )  # fmt: skip


def _read_record(path: Path, key: str) -> dict[str, Any] | None:
    """What an entry's file says; None if there is none, or one of another version. Raises _Damaged, OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head, _, body = content.partition(b"\n")
    version, _, digest = head.removeprefix(MAGIC).partition(b" ")
    if head.startswith(MAGIC) and version != VERSION:
        return None
    if not head.startswith(MAGIC) or digest != hashlib.sha256(body).hexdigest().encode():
        raise _Damaged(path, "is damaged")
    record: dict[str, Any] = json.loads(body)
    if not all(name.isalnum() for name in record["blobs"]):  # or it could name files outside the cache
        raise _Damaged(path, "is not what this program writes")
    return record if record["key"] == key else None


def _read_blob(path: Path) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.name:
        raise _Damaged(path, "is damaged")
    return content


def _touch(entry: Path, blobs: list[Path]) -> None:
    """They were used now: the entry first, so that it is never younger than what it refers to."""
    for path in (entry, *blobs):
        with contextlib.suppress(OSError):
            now = time.time_ns()
            os.utime(path, ns=(now, now))


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _on_disk(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
