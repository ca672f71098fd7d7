"""Where pictures keep texts: chunks of PNG and WebP, segments of JPEG, blocks of GIF, EXIF and XMP. No pixels.

Texts come with the key that they are kept under, or with None where only what they say tells what they are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

KEYS = ("prompt", "workflow", "parameters")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MEBIBYTE = 2**20
TEXT_BYTES = 64 * MEBIBYTE  # of all texts that one picture may carry, unpacked
PNG_TEXTS = frozenset((b"tEXt", b"zTXt", b"iTXt", b"comf", b"eXIf"))
PIECES = 200_000  # chunks, segments or blocks that one picture may have; a large one has some thousand

EXIF_MARK = b"Exif\0\0"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
ASCII_KINDS = frozenset((1, 2, 7, 129))  # EXIF's types whose values are bytes: BYTE, ASCII, UNDEFINED, UTF-8
IMAGE_DESCRIPTION, EXIF_FOLDER, USER_COMMENT, XP_COMMENT = 0x010E, 0x8769, 0x9286, 0x9C9C
XMP_NAMES = {"UserComment": None, "description": None} | {
    name: key for key in KEYS for name in (key, key.capitalize())
}  # `Description` with a capital is RDF's own

Text = tuple[str | None, str]


class Broken(ValueError):
    """The file is not whole; the message is a clause."""


class TooMuch(ValueError):
    """There is more in the file than any workflow needs; the message is a clause."""


@dataclass
class Budget:
    """How many bytes of text may still be taken out of a picture, which may unpack to much more than it is."""

    left: int = TEXT_BYTES

    def take(self, data: bytes | memoryview) -> bytes:
        """The bytes, counted. Raises TooMuch."""
        self.left -= len(data)
        if self.left < 0:
            raise TooMuch(f"its texts are longer than {TEXT_BYTES // MEBIBYTE} MB")
        return bytes(data)

    def unpack(self, packed: bytes) -> bytes:
        """The bytes that zlib made `packed` of. Raises Broken; TooMuch before they fill the memory."""
        unpacking = zlib.decompressobj()
        try:
            data = unpacking.decompress(packed, self.left + 1)
        except zlib.error as error:
            raise Broken("a text in it cannot be unpacked") from error
        if len(data) <= self.left and not unpacking.eof:
            raise Broken("a text in it breaks off")
        return self.take(data)


def decoded(raw: bytes) -> str:
    """Text in UTF-8, which programs write also where a format says latin-1, else in latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# ── PNG ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def png_texts(data: bytes, budget: Budget) -> Iterator[Text]:
    """Texts in chunks tEXt, zTXt, iTXt and eXIf, and of animated pictures in `comf`, which stands after the pixels.

    A damaged text does not keep the others from being read; Broken is raised after them.
    """
    place = len(PNG_SIGNATURE)
    view = memoryview(data)
    damage: Broken | None = None
    for number in range(PIECES):
        if place + 12 > len(data):
            raise Broken("it breaks off")
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if number == 0 and kind != b"IHDR":
            raise Broken("it does not begin as a PNG does")
        if end > len(data):
            raise Broken("it breaks off")
        if kind in PNG_TEXTS:
            try:
                (checksum,) = struct.unpack_from(">I", data, end - 4)
                if zlib.crc32(view[place + 4 : end - 4]) != checksum:
                    raise Broken("a text in it is damaged")
                yield from _png_text(kind, view[place + 8 : end - 4], budget)
            except Broken as error:
                damage = error
        if kind == b"IEND":
            break
        place = end
    else:
        raise TooMuch(f"it has more than {PIECES} chunks")
    if damage:
        raise damage


def _png_text(kind: bytes, body: memoryview, budget: Budget) -> Iterator[Text]:
    if kind == b"eXIf":
        yield from exif_texts(body, budget)
        return
    raw_key = bytes(body[:80]).partition(b"\0")[0]  # PNG's keys have at most 79 bytes
    key = raw_key.decode("latin-1").lower()
    if key not in KEYS and key != "xml:com.adobe.xmp":
        return
    rest = budget.take(body[len(raw_key) + 1 :])
    if kind == b"iTXt":
        is_packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]  # after the language, and the key in that language
    else:
        is_packed = kind == b"zTXt"
        rest = rest[1:] if is_packed else rest
    raw = budget.unpack(rest) if is_packed else rest
    if key in KEYS:
        yield key, decoded(raw)
    else:
        yield from xmp_texts(raw)


# ── WebP, JPEG, GIF ───────────────────────────────────────────────────────────────────────────────────────────────────


def webp_texts(data: bytes, budget: Budget) -> Iterator[Text]:
    """Texts in the chunks EXIF and XMP, wherever they stand."""
    place = 12
    view = memoryview(data)
    for _ in range(PIECES):
        if place + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, place)
        body = view[place + 8 : place + 8 + length]
        if kind == b"EXIF":
            yield from exif_texts(body, budget)
        elif kind == b"XMP ":
            yield from xmp_texts(budget.take(body))
        if len(body) < length:
            raise Broken("it breaks off")
        place += 8 + length + length % 2
    raise TooMuch(f"it has more than {PIECES} chunks")


def jpeg_texts(data: bytes, budget: Budget) -> Iterator[Text]:
    """Texts in EXIF, which may go on over several segments, in XMP, and in comments; all stand before the pixels."""
    exif = bytearray()
    damage: Broken | None = None
    try:
        for marker, body in _jpeg_segments(data):
            if marker == 0xE1 and body.startswith(EXIF_MARK):
                exif += body.removeprefix(EXIF_MARK)
            elif marker == 0xE1 and body.startswith(XMP_MARK):
                yield from xmp_texts(budget.take(body.removeprefix(XMP_MARK)))
            elif marker == 0xFE:
                yield None, decoded(budget.take(body))
    except Broken as error:
        damage = error
    yield from exif_texts(bytes(exif), budget)
    if damage:
        raise damage


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment before the pixels."""
    place = 2
    for _ in range(PIECES):
        if place + 4 > len(data):
            raise Broken("it breaks off")
        if data[place] != 0xFF:
            raise Broken("its segments do not fit together")
        marker = data[place + 1]
        if marker in (0xD9, 0xDA):  # the end, or the pixels
            return
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # a byte to fill up; markers without a length
            place += 1 if marker == 0xFF else 2
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if not place + 4 <= end <= len(data):
            raise Broken("it breaks off")
        yield marker, data[place + 4 : end]
        place = end
    raise TooMuch(f"it has more than {PIECES} segments")


def gif_texts(data: bytes, budget: Budget) -> Iterator[Text]:
    """Comments before the first picture, where programs put them."""
    if len(data) < 13:
        raise Broken("it breaks off")
    place = 13 + (3 << (data[10] % 8 + 1) if data[10] & 0x80 else 0)  # after the palette
    comment: bytearray | None = None
    inside = False
    for _ in range(PIECES):
        if place >= len(data):
            raise Broken("it breaks off")
        if not inside:
            if data[place] != 0x21:  # no extension: a picture, or the end
                return
            comment = bytearray() if data[place + 1 : place + 2] == b"\xfe" else None
            place += 2
            inside = True
            continue
        size = data[place]
        if size and comment is not None:
            comment += data[place + 1 : place + 1 + size]
        elif not size:
            inside = False
            if comment is not None:
                yield None, decoded(budget.take(bytes(comment)))
        place += 1 + size
    raise TooMuch(f"it has more than {PIECES} blocks before its first picture")


# ── EXIF and XMP ──────────────────────────────────────────────────────────────────────────────────────────────────────


def exif_texts(data: bytes | memoryview, budget: Budget) -> Iterator[Text]:
    """Texts in EXIF: values that begin with `prompt:` or the like, descriptions and comments."""
    view = memoryview(data)
    if bytes(view[:6]) == EXIF_MARK:
        view = view[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(view[:4]))
    if order is None or len(view) < 8:
        return
    entries = list(_exif_entries(view, order, *struct.unpack_from(f"{order}I", view, 4)))
    folders = [raw for tag, kind, raw in entries if tag == EXIF_FOLDER and kind == 4]
    for raw in folders[:1]:
        entries += _exif_entries(view, order, *struct.unpack(f"{order}I", raw))
    for tag, kind, raw in entries:
        if kind in ASCII_KINDS:
            yield from _exif_text(tag, raw, budget)


def _exif_text(tag: int, raw: memoryview, budget: Budget) -> Iterator[Text]:
    key, colon, _ = decoded(bytes(raw[:12])).partition(":")
    if tag == USER_COMMENT:
        yield None, _user_comment(budget.take(raw))
    elif tag == XP_COMMENT:
        yield None, budget.take(raw).decode("utf-16-le", "replace").rstrip("\0")
    elif colon and key.lower() in KEYS:
        yield key.lower(), decoded(budget.take(raw[len(key) + 1 :])).rstrip("\0")
    elif tag == IMAGE_DESCRIPTION:
        yield None, decoded(budget.take(raw)).rstrip("\0")


def _exif_entries(view: memoryview, order: str, place: int) -> Iterator[tuple[int, int, memoryview]]:
    """Tag, type and value of each entry of a folder, as far as they lie inside of the data."""
    if place + 2 > len(view):
        return
    (count,) = struct.unpack_from(f"{order}H", view, place)
    for entry in range(place + 2, min(place + 2 + 12 * count, len(view) - 11), 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", view, entry)
        size = length if kind in ASCII_KINDS else 4
        start = entry + 8
        if size > 4:
            (start,) = struct.unpack_from(f"{order}I", view, entry + 8)
        raw = view[start : start + size]
        if len(raw) == size:
            yield tag, kind, raw


def _user_comment(raw: bytes) -> str:
    code, text = raw[:8], raw[8:]
    if code == b"UNICODE\0":
        return _utf16(text).rstrip("\0")
    if code in (b"ASCII\0\0\0", bytes(8)):
        return decoded(text).rstrip("\0")
    return decoded(raw).rstrip("\0")


def _utf16(raw: bytes) -> str:
    """UTF-16 of either byte order: not every program goes by that of the file. What is mostly ASCII tells."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    is_big = raw[0::2].count(0) >= raw[1::2].count(0)
    return raw.decode("utf-16-be" if is_big else "utf-16-le", "replace")


def xmp_texts(raw: bytes) -> list[Text]:
    """Texts in XMP, as elements or attributes of the names that programs use. What is no XML holds none."""
    reader = _Xmp()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(raw.strip(b"\0"), True)
    except (expat.ExpatError, Broken):
        return []
    return reader.found


@dataclass
class _Xmp:
    """Collects what the XML parser finds."""

    found: list[Text] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    name: str = ""  # of the element that is being collected
    depth: int = 0  # of elements within it

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.name:
            self.depth += 1
            return
        if _local(name) in XMP_NAMES:
            self.name = name
        for each, value in attributes.items():
            if _local(each) in XMP_NAMES:
                self.found.append((XMP_NAMES[_local(each)], value))

    def end(self, name: str) -> None:
        if self.name and not self.depth:
            self.found.append((XMP_NAMES[_local(name)], "".join(self.parts).strip()))
            self.name = ""
            self.parts.clear()
        elif self.name:
            self.depth -= 1

    def characters(self, text: str) -> None:
        if self.name:
            self.parts.append(text)

    def doctype(self, *_: object) -> None:
        raise Broken("it declares entities")  # with which a few lines can stand for gigabytes


def _local(name: str) -> str:
    return name.rpartition(":")[2]
