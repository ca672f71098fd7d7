"""Files that are there as a whole or not at all, whoever else reads or writes them and whenever the process ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

PART = ".part"  # how the names of files end that are being written


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
