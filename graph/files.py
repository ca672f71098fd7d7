"""Files: found below a folder; and written as a whole or not at all, whoever else reads or writes them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

PART = ".part"  # how the names of files end that are being written


def walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, links followed, but each folder once: a link to a folder above it would never end."""
    visited: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        yield folder, folders, files


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename. Makes the folder; raises OSError, and then leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=PART)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
