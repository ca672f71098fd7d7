"""Weights: what the header of a safetensors file says of it. Nothing else of the file is read, and nothing is run."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from web.declare import parse
from web.errors import Refused

METADATA = "__metadata__"


def metadata_of(file: BinaryIO, most_bytes: int) -> dict[str, Any] | None:
    """The metadata; None if there is none, if it is no such file, or its header is larger than `most_bytes`."""
    file.seek(0)
    start = file.read(8)
    if len(start) < 8 or (length := struct.unpack("<Q", start)[0]) > most_bytes:
        return None
    text = file.read(length)
    if len(text) < length:
        return None
    try:
        header = parse(text)
    except Refused:
        return None
    found = header.get(METADATA) if isinstance(header, dict) else None
    return found if isinstance(found, dict) else None
