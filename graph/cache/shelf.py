"""The folder of the cache's disk tier: checked files within a limit, the least recently used go first.

    entries/<hash of the fingerprint>       a line with the format's version and the hash of the rest, then JSON
    blobs/<hash of the content>             what entries refer to, equal contents once

Several processes may use one folder: files appear as a whole, and whoever reads takes a vanished one for a miss. Use
shows as a file's time, and what an entry refers to is never older than the entry, so that entries leave before what
they need.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from graph.cache import Unkeepable
from graph.files import PART, write_whole

VERSION = b"1"
MAGIC = b"darkroom cache "
BLOCK_BYTES = 4096  # what a file takes is a multiple of this
ROOM_TO_MAKE = 0.1  # of the limit: one clean-up is worth several writes
RECOUNT_AFTER = 0.05  # of the limit: so much may be written before what other processes wrote is counted again
ABANDONED_S = 3600.0  # a half-written file this old belongs to a process that is no more


class Damaged(Exception):
    """A file that is not what was written. `path` says which, the message what is wrong with it."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class _File(NamedTuple):
    """Sorts in the order in which files leave."""

    is_part: bool  # someone is writing it
    used_ns: int
    is_blob: bool
    size_bytes: int
    path: str


class Shelf:
    """Reads in any thread, writes in one. All but delete() and use() raise OSError where the disk does not obey.

    One process alone stays within `limit_bytes`; each further one may exceed it by a twentieth until it counts again.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._entries = folder / "entries"
        self._blobs = folder / "blobs"
        self._counted_bytes = 0  # in the folder, as far as is known
        self._since_counted = limit_bytes  # written since they were counted; at first they never were

    def path(self, key: str) -> Path:
        """The file of a fingerprint's entry, which need not be there."""
        return self._entries / hashlib.sha256(key.encode()).hexdigest()

    # -- reading

    def read_record(self, key: str) -> dict[str, Any] | None:
        """What an entry says; None if there is none, or one of another version. Raises Damaged."""
        path = self.path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        head, _, body = content.partition(b"\n")
        version, _, digest = head.removeprefix(MAGIC).partition(b" ")
        if head.startswith(MAGIC) and version != VERSION:
            return None
        if not head.startswith(MAGIC) or digest != hashlib.sha256(body).hexdigest().encode():
            raise Damaged(path, "is damaged")
        record: dict[str, Any] = json.loads(body)
        if not all(name.isalnum() for name in record["blobs"]):  # or it could name files outside the folder
            raise Damaged(path, "is not what this program writes")
        return record if record["key"] == key else None

    def read_blob(self, name: str) -> bytes:
        """Raises Damaged, or FileNotFoundError if someone made room."""
        path = self._blobs / name
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != name:
            raise Damaged(path, "is damaged")
        return content

    def is_whole(self, record: dict[str, Any]) -> bool:
        """Whether all that an entry refers to is there."""
        return all((self._blobs / name).exists() for name in record["blobs"])

    def use(self, key: str, blobs: Iterable[str]) -> None:
        """They were used now: the entry first, so that it is never younger than what it refers to."""
        for path in (self.path(key), *(self._blobs / name for name in blobs)):
            with contextlib.suppress(OSError):
                now = time.time_ns()
                os.utime(path, ns=(now, now))

    # -- writing

    def write_record(self, key: str, record: dict[str, Any]) -> None:
        """Put an entry there, whose blobs are there already."""
        body = json.dumps({**record, "key": key}).encode()
        self._write(self.path(key), MAGIC + VERSION + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        if record["blobs"]:
            self.use(key, record["blobs"])

    def write_blob(self, content: bytes) -> str:
        """Put content there, unless it is; its name."""
        name = hashlib.sha256(content).hexdigest()
        path = self._blobs / name
        try:
            os.utime(path)  # it shall stay
        except FileNotFoundError:
            self._write(path, content)
        return name

    def delete(self, path: Path) -> None:
        """Away with it, if it is there."""
        with contextlib.suppress(OSError):
            path.unlink()

    def _write(self, path: Path, content: bytes) -> None:
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
                self.delete(Path(file.path))
                total -= file.size_bytes
        self._counted_bytes, self._since_counted = total, 0

    def _files(self) -> list[_File]:
        """All files there are; those that nobody will finish are deleted first."""
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
                        self.delete(Path(item.path))
                        continue
                    size = _on_disk(status.st_size)
                    found.append(_File(is_part, status.st_mtime_ns, folder is self._blobs, size, item.path))
        return found


def _on_disk(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES
