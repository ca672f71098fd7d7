"""Small pictures that carry texts, made as programs make them."""

import io
import struct
import zlib

import PIL.Image
from PIL.PngImagePlugin import PngInfo

PNG = b"\x89PNG\r\n\x1a\n"
HEADER = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
MAKE, MODEL, DESCRIPTION, COMMENT, EXIF_FOLDER = 0x010F, 0x0110, 0x010E, 0x9286, 0x8769
GIF_HEAD = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x80, 0, 0) + bytes(6)  # with a palette of two colours


def image() -> PIL.Image.Image:
    return PIL.Image.new("RGB", (16, 16))


def png(**texts: str) -> bytes:
    info, data = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add_text(key, text)
    image().save(data, "PNG", pnginfo=info)
    return data.getvalue()


def saved(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image().save(data, kind, **options)
    return data.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(*chunks: bytes) -> bytes:
    """A PNG with those chunks before its pixels."""
    pixels = chunk(b"IDAT", zlib.compress(bytes(14)))
    return PNG + chunk(b"IHDR", HEADER) + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def exif(tags: dict[int, bytes], inner: dict[int, bytes] | None = None, order: str = "<") -> bytes:
    """EXIF with those values in its main folder, and others in the one that cameras write to."""
    main = {tag: (2, value) for tag, value in tags.items()}
    if inner:
        main[EXIF_FOLDER] = (4, b"")
    start = 8
    values = start + 2 + 12 * len(main) + 4
    first, tail = _folder(main, values, order)
    if inner:
        place = values + len(tail)
        pointer = struct.pack(f"{order}HHII", EXIF_FOLDER, 4, 1, 0)
        first = first.replace(pointer, pointer[:8] + struct.pack(f"{order}I", place))
        second, rest = _folder({tag: (7, value) for tag, value in inner.items()}, place + 6 + 12 * len(inner), order)
        tail += second + rest
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    return head + first + tail


def _folder(tags: dict[int, tuple[int, bytes]], place: int, order: str) -> tuple[bytes, bytes]:
    entries, values = struct.pack(f"{order}H", len(tags)), b""
    for tag, (kind, value) in sorted(tags.items()):
        if kind == 4:
            entries += struct.pack(f"{order}HHII", tag, 4, 1, 0)
        elif len(value) <= 4:
            entries += struct.pack(f"{order}HHI", tag, kind, len(value)) + value.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}HHII", tag, kind, len(value), place + len(values))
            values += value
    return entries + bytes(4), values


def user_comment(text: str, order: str = "be") -> bytes:
    return b"UNICODE\0" + text.encode(f"utf-16-{order}")


def xmp(inner: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:exif="http://ns.adobe.com/exif/1.0/">'
        f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def gif(*comments: bytes) -> bytes:
    """A GIF with comments before its first picture."""
    blocks = b""
    for comment in comments:
        parts = [comment[start : start + 255] for start in range(0, len(comment), 255)]
        blocks += b"!\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    return GIF_HEAD + b"!\xf9\4\0\0\0\0\0" + blocks + b",\0\0\0\0\2\0\2\0\0\2\2D\1\0;"


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with those segments before all others."""
    whole = saved("JPEG")
    made = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return whole[:2] + made + whole[2:]
