"""Digests: files by content, each hashed once and then known by its path, size, time and inode."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from graph.files import write_whole

ALGORITHM = "sha256"  # the fastest of hashlib's that are safe, where processors have instructions for it
VERSION = 1
SETTLED_S = 2.0  # a file changed more recently than this may change again without a new time stamp
WORTH_WRITING = 2**20  # bytes; smaller files are hashed anew by each process
MOST = 10_000  # files that are remembered, the latest
TURNS = 16

_log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]  # size in bytes, time of change in ns, inode


class DigestError(ValueError):
    """A file that cannot be read; the message is a sentence for people."""


class Digests:
    """Content digests of files, remembered in memory and, if a `file` is given, for later processes. Thread-safe."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(TURNS)]  # of two who ask for a file, one hashes and both get it
        self._known.update(self._read())

    def of(self, path: Path) -> str:
        """The digest of a file's content. Raises DigestError if it cannot be read."""
        name = str(path.absolute())
        try:
            with self._turns[hash(name) % TURNS]:
                known = self._known.get(name)
                if known is not None and known[0] == _stamp(path.stat()):
                    return known[1]
                return self._hash(path, name)
        except OSError as error:
            raise DigestError(f"{path}: this file cannot be read: {error.strerror or error}.") from error

    def _hash(self, path: Path, name: str) -> str:
        with path.open("rb") as file:
            before = _stamp(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, ALGORITHM).hexdigest()
        settled = abs(time.time() - before[1] / 1e9) >= SETTLED_S
        if settled and _stamp(path.stat()) == before:
            with self._lock:
                self._known.pop(name, None)
                self._known[name] = before, digest
                if len(self._known) > MOST:
                    del self._known[next(iter(self._known))]
            if self.file is not None and before[0] >= WORTH_WRITING:
                self._write(self.file, name, before, digest)
        return digest

    # -- the file

    def _read(self) -> dict[str, tuple[Stamp, str]]:
        """What is in the file; nothing if it is damaged or of another version."""
        if self.file is None:
            return {}
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            content = json.loads(self.file.read_bytes())
            if content["version"] == VERSION and content["algorithm"] == ALGORITHM:
                return {
                    str(name): ((int(size), int(changed), int(inode)), str(digest))
                    for name, (size, changed, inode, digest) in content["files"].items()
                }
        return {}

    def _write(self, file: Path, name: str, stamp: Stamp, digest: str) -> None:
        """Add one to what is there, since another process may have written meanwhile. If both do now, one is lost."""
        with self._lock:
            files = self._read()
            files.pop(name, None)
            files[name] = stamp, digest
            lines = {each: (*stamp, digest) for each, (stamp, digest) in list(files.items())[-MOST:]}
            content = json.dumps({"version": VERSION, "algorithm": ALGORITHM, "files": lines}, indent=1)
            try:
                write_whole(file, content.encode())
            except OSError as error:
                _log.warning("%s: what files hold cannot be remembered there (%s).", file, error.strerror or error)


class Stamps(Digests):
    """For a process that shares no results with others: path, size, time and inode stand for what a file holds."""

    def of(self, path: Path) -> str:
        """What stands for a file's content, without reading it. Raises DigestError if the file is not there."""
        try:
            return repr((str(path.absolute()), *_stamp(path.stat())))
        except OSError as error:
            raise DigestError(f"{path}: this file cannot be read: {error.strerror or error}.") from error


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ino
