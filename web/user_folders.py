"""Users' folders: what people keep on the server, such as workflows and settings, one folder for each of them.

Names from outside lead to plain data alone: no configuration, nothing that anybody runs, nothing outside the folder.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from aiohttp import web

from graph.files import walk, write_whole
from graph.paths import PathError, confined
from web.errors import Refused, encode, not_found

SETTINGS_FILE = "comfy.settings.json"
ENDINGS = frozenset({".json", ".css", ".txt", ".md", ".csv", ".png", ".jpg", ".jpeg", ".webp", ".gif"})
FILES_MOST = 10_000  # of one user
BYTES_MOST = 10**9  # of one user
FILE_MOST_BYTES = 32 * 2**20
SETTINGS_MOST_BYTES = 2**20
NAME_MOST_BYTES = 255  # of each part of a path: what file systems take
PATH_MOST_BYTES = 1024
DEPTH_MOST = 16
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no files on some systems
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
CLASH = (FileExistsError, NotADirectoryError, IsADirectoryError)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A file or a folder of a user."""

    name: PurePosixPath  # below the folder that was asked for
    is_folder: bool
    size: int = 0
    modified_s: float = 0.0  # since 1970
    created_s: float = 0.0


class UserFolders:
    """The folder of each user, and a lock on it for those who change something there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def folder(self, user: str) -> Path:
        """Where that user's files are; it need not exist. Raises PathError for a name that leads elsewhere."""
        found = confined(self._root, user, "users'")
        if found == self._root:
            raise PathError(f"{user!r} is no name for a user; give one that can be the name of a folder")
        return found

    def lock(self, user: str) -> asyncio.Lock:
        """Held by whoever changes that user's files."""
        return self._locks[user]


USER_FOLDERS = web.AppKey("user_folders", UserFolders)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def file_at(folder: Path, name: str) -> Path:
    """The file that a name from outside means, which need not exist. Raises Refused (400, 403)."""
    path = _below(folder, name)
    relative = path.relative_to(folder)
    if relative.suffix.lower() not in ENDINGS:
        message = f"{name!r} is not kept here: names end in {', '.join(sorted(ENDINGS))}."
        raise Refused(403, "not_allowed", message)
    if relative.name.casefold() == SETTINGS_FILE:
        raise Refused(403, "not_allowed", "The settings are read and changed at /settings, not as a file.")
    return path


def folder_at(folder: Path, name: str) -> Path:
    """The folder that a name from outside means, which need not exist. Raises Refused (400, 403)."""
    return _below(folder, name)


def _below(folder: Path, name: str) -> Path:
    if re.search(r"[\x00-\x1f\x7f\\\ud800-\udfff]", name):
        raise _bad_name(name, "it holds a backslash or a character that cannot be seen")
    if len(name.encode()) > PATH_MOST_BYTES:
        raise _bad_name(f"{name[:40]}…", f"it is longer than {PATH_MOST_BYTES} bytes")
    try:
        path = confined(folder, name, "user's")
    except PathError as error:
        raise Refused(403, "not_allowed", f"The name cannot be used: {error}.") from None
    parts = path.relative_to(folder).parts
    if len(parts) > DEPTH_MOST:
        raise _bad_name(name, f"folders are nested at most {DEPTH_MOST - 1} deep")
    for part in parts:
        if len(part.encode()) > NAME_MOST_BYTES:
            raise _bad_name(f"{part[:40]}…", f"it is longer than {NAME_MOST_BYTES} bytes")
        if DEVICES.fullmatch(part):
            raise _bad_name(part, "some systems know a device by it")
    return path


def _bad_name(name: str, why: str) -> Refused:
    return Refused(400, "invalid_name", f"{name!r} cannot be the name of a file: {why}.")


# ── files; all of these read or write the disk, and are called in threads ─────────────────────────────────────────────


def look(folder: Path, *, recurse: bool) -> list[Found]:
    """What is in a folder, sorted by name, of at most FILES_MOST entries: folders, and such files as are kept here."""
    found: list[Found] = []
    for path, is_folder in _walk(folder, recurse):
        relative = PurePosixPath(path.relative_to(folder))
        with suppress(OSError):  # it is gone meanwhile
            found.append(Found(relative, True) if is_folder else info(path, relative))
        if len(found) >= FILES_MOST:
            break
    return sorted(found, key=lambda each: str(each.name))


def _walk(folder: Path, recurse: bool) -> Iterator[tuple[Path, bool]]:
    for place, folders, files in walk(folder):
        for name in folders:
            yield Path(place) / name, True
        for name in files:
            path = Path(place) / name
            if path.suffix.lower() in ENDINGS and name.casefold() != SETTINGS_FILE and path.is_file():
                yield path, False
        if not recurse:
            return


def info(path: Path, name: PurePosixPath) -> Found:
    """Size and times of a file. Raises OSError."""
    facts = path.stat()
    return Found(name, False, facts.st_size, facts.st_mtime, facts.st_ctime)


def write(folder: Path, path: Path, content: bytes, *, overwrite: bool) -> None:
    """Keep a file. Raises Refused: 409 if there is one, 413 or 507 if there is no room."""
    with _failures(path):
        if path.is_dir():
            raise Refused(409, "conflict", f"There is a folder of the name {path.name!r}; give another name.")
        is_there = path.exists()
        if is_there and not overwrite:
            raise _exists(path)
        _check_room(folder, len(content) - (path.stat().st_size if is_there else 0), 0 if is_there else 1)
        write_whole(path, content)


def move(folder: Path, source: Path, target: Path, *, overwrite: bool) -> None:
    """Give a file another name. Raises Refused: 404 without the file, 409 if the name is taken."""
    with _failures(target):
        if not source.is_file():
            raise not_found(f"There is no file {source.name!r} to rename.")
        if target.exists() and (target.is_dir() or not overwrite):
            raise _exists(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    _tidy(folder, source.parent)


def delete(folder: Path, path: Path) -> None:
    """Raises Refused (404) if there is no such file."""
    with _failures(path):
        if not path.is_file():
            raise not_found(f"There is no file {path.name!r} to delete.")
        path.unlink()
    _tidy(folder, path.parent)


def _tidy(folder: Path, emptied: Path) -> None:
    """Empty folders go, so that nobody fills a disk with them."""
    with suppress(OSError):  # it is not empty
        while emptied != folder:
            emptied.rmdir()
            emptied = emptied.parent


def _check_room(folder: Path, more_bytes: int, more_files: int) -> None:
    files, size = more_files, more_bytes
    for place, _, names in os.walk(folder):
        files += len(names)
        with suppress(OSError):
            size += sum((Path(place) / name).lstat().st_size for name in names)
    if (files > FILES_MOST and more_files) or (size > BYTES_MOST and more_bytes > 0):
        message = f"A user keeps at most {FILES_MOST} files and {BYTES_MOST / 1e9:.0f} GB here; delete some first."
        raise Refused(413, "too_large", message)


def _exists(path: Path) -> Refused:
    return Refused(
        409, "conflict", f"{path.name!r} exists already; ask for it to be overwritten, or give another name."
    )


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    """What the disk refuses, as a sentence."""
    try:
        yield
    except CLASH:
        message = f"{path.name!r} cannot be kept there: a part of its path is a file, or the name is that of a folder."
        raise Refused(409, "conflict", message) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _bad_name(f"{path.name[:40]}…", "it is too long for the server's disk") from None
        log.error("%s cannot be changed: %s", path, error.strerror or error)
        if error.errno in FULL:
            raise Refused(507, "disk_full", "The server's disk is full; nothing has changed.") from None
        message = f"The server cannot change {path.name!r}: {error.strerror or 'its disk fails'}."
        raise Refused(503, "disk_refuses", message) from None


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_settings(folder: Path) -> dict[str, Any] | None:
    """A user's settings, None if there are none yet. A file that holds none is set aside, and told of in the log."""
    file = folder / SETTINGS_FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.error("%s cannot be read: %s", file, error.strerror or error)
        raise Refused(503, "disk_refuses", "The server cannot read the settings; its log says why.") from None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    aside = file.with_suffix(".damaged")
    with _failures(file):
        file.replace(aside)
    log.warning("%s held no settings and is set aside as %s; the user begins with none.", file, aside.name)
    return None


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Keep all settings of a user. Raises Refused (413) if they are too large."""
    content = encode(settings)
    if len(content) > SETTINGS_MOST_BYTES:
        message = f"All settings of a user together are at most {SETTINGS_MOST_BYTES // 2**20} MB; keep less there."
        raise Refused(413, "too_large", message)
    with _failures(folder / SETTINGS_FILE):
        write_whole(folder / SETTINGS_FILE, content)
