"""Where AVIF keeps texts: its boxes list what the file holds, EXIF and XMP among it, and where each part of it lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from graph.read.formats import PIECES, Broken, Budget, Text, TooMuch, exif_texts, xmp_texts

Extent = tuple[bool, int, int]  # whether it lies in the box `idat` instead of the file; start, length in bytes


def avif_texts(data: bytes, budget: Budget) -> Iterator[Text]:
    """Texts in EXIF and XMP. The box that lists them stands before the pixels."""
    meta = next((body for kind, body in _boxes(memoryview(data)) if kind == b"meta"), None)
    if meta is None:
        raise Broken("it breaks off")
    inner = dict(_boxes(meta[4:]))
    try:
        kinds = _kinds(inner.get(b"iinf", memoryview(b"")))
        places = _places(inner.get(b"iloc", memoryview(b"")), set(kinds))
    except struct.error as error:
        raise Broken("its list of parts breaks off") from error
    own = inner.get(b"idat", memoryview(b""))
    for item, extents in places.items():
        raw = b"".join(
            budget.take((own if is_own else memoryview(data))[start : start + length])
            for is_own, start, length in extents
        )
        if kinds[item] == b"Exif":
            yield from exif_texts(raw[4 + int.from_bytes(raw[:4], "big") :], budget)  # after where it begins
        else:
            yield from xmp_texts(raw)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of each box, until one that does not fit."""
    place = 0
    for _ in range(PIECES):
        if place + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if length == 1 and place + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        elif length == 0:  # to the end
            length = len(data) - place
        if not head <= length <= len(data) - place:
            return
        yield kind, data[place + head : place + length]
        place += length
    raise TooMuch(f"it has more than {PIECES} boxes")


def _kinds(iinf: memoryview) -> dict[int, bytes]:
    """Which of the parts by number are EXIF, and which XMP ("mime")."""
    found: dict[int, bytes] = {}
    if not iinf:
        return found
    for kind, body in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
        if kind == b"infe" and len(body) > 12 and body[0] in (2, 3):
            item, _, what = struct.unpack_from(">HH4s" if body[0] == 2 else ">IH4s", body, 4)
            if what == b"Exif" or (what == b"mime" and b"application/rdf+xml" in bytes(body[:1000])):
                found[item] = what
    return found


def _places(iloc: memoryview, wanted: set[int]) -> dict[int, list[Extent]]:
    """Where the wanted parts lie. Raises struct.error where the list breaks off."""
    found: dict[int, list[Extent]] = {}
    if not iloc:
        return found
    version = iloc[0]
    (sizes,) = struct.unpack_from(">H", iloc, 4)
    (count,) = struct.unpack_from(">I" if version == 2 else ">H", iloc, 6)
    place = 10 if version == 2 else 8
    steps = 0

    def number(size: int) -> int:
        nonlocal place, steps
        place += size
        steps += 1
        if steps > PIECES:
            raise TooMuch(f"it has more than {PIECES} parts")
        if place > len(iloc):
            raise struct.error
        return int.from_bytes(iloc[place - size : place], "big")

    for _ in range(count):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(sizes >> 4 & 15)
        extents: list[Extent] = []
        for _ in range(number(2)):
            number(sizes & 15 if version else 0)
            start, length = base + number(sizes >> 12), number(sizes >> 8 & 15)
            extents.append((method == 1, start, length))
        if item in wanted and method in (0, 1):
            found[item] = extents
    return found
