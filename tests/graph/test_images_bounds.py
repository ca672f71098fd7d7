"""Pictures made to do harm, and those that came to harm: always a workflow or a sentence, in bounded memory."""

import json
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph import DocumentError, read
from graph.read.facts import Described
from graph.read.formats import MEBIBYTE, PIECES, TEXT_BYTES
from graph.read.images import texts_of
from tests.graph.pictures import (
    COMMENT,
    MAKE,
    MODEL,
    PNG,
    chunk,
    exif,
    gif,
    jpeg,
    png,
    png_of,
    saved,
    user_comment,
    xmp,
)

PROMPT = json.dumps({"1": {"class_type": "Add", "inputs": {"a": 1, "b": ["2", 0]}}})
WORKFLOW = json.dumps(
    {"nodes": [{"id": 1, "type": "Add", "inputs": [], "widgets_values": [1]}], "links": [], "version": 0.4}
)
PARAMETERS = (
    'a [cat] <lora:x:1>\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1, TI hashes: "a, b", Size: 64x64'
)
FACTS = Described({"Add": {"input": {"required": {"a": ["INT", {}]}}, "output": ["INT"], "name": "Add"}})
MARKED = exif({MODEL: b"prompt:" + PROMPT.encode(), MAKE: b"workflow:" + WORKFLOW.encode()})
COMMENTED = exif({}, {COMMENT: user_comment(PARAMETERS)})
SMALL = (
    png(prompt=PROMPT, workflow=WORKFLOW, parameters=PARAMETERS),
    png_of(chunk(b"zTXt", b"workflow\0\0" + zlib.compress(WORKFLOW.encode()))),
    png_of(chunk(b"iTXt", b"parameters\0\1\0\0\0" + zlib.compress(PARAMETERS.encode()))),
    saved("WEBP", exif=MARKED, xmp=xmp(f"<exif:UserComment>{PROMPT}</exif:UserComment>")),
    saved("JPEG", exif=b"Exif\0\0" + MARKED),
    saved("JPEG", exif=b"Exif\0\0" + COMMENTED, comment=PROMPT.encode()),
    saved("AVIF", exif=COMMENTED, xmp=xmp("", 'exif:prompt="{}"')),
    gif(b"care", PARAMETERS.encode()),
    PROMPT.encode(),
    WORKFLOW.encode(),
    PARAMETERS.encode(),
    json.dumps({"prompt": [1, "a", json.loads(PROMPT), {"extra_pnginfo": {"workflow": WORKFLOW}}]}).encode("utf-16"),
)


def refused(data: bytes) -> str:
    """The sentences that a file is refused with."""
    with pytest.raises(DocumentError) as caught:
        read(data, FACTS)
    assert all(problem.sentence.endswith(".") for problem in caught.value.problems)
    return str(caught.value)


def peak(data: bytes) -> int:
    """The most bytes that reading takes at any time beside the file itself; it must be refused."""
    tracemalloc.start()
    try:
        refused(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Packed to a thousandth."""
    return zlib.compress(bytes(4 * TEXT_BYTES))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_what_unpacks_to_gigabytes_is_refused_in_bounded_memory(kind: bytes, bomb: bytes) -> None:
    text = b"prompt\0\0" if kind == b"zTXt" else b"prompt\0\1\0\0\0"
    data = png_of(chunk(kind, text + bomb))
    assert "since its texts are longer than 64 MB; save it anew" in refused(data)
    assert peak(data) < 2.5 * TEXT_BYTES  # what zlib has unpacked, and a copy


def test_many_texts_count_together() -> None:
    packed = zlib.compress(bytes(TEXT_BYTES // 4))
    data = png_of(*[chunk(b"zTXt", b"prompt\0\0" + packed)] * 8)
    assert "longer than 64 MB" in refused(data)
    assert peak(data) < 2 * TEXT_BYTES


def test_texts_under_other_keys_are_not_unpacked(bomb: bytes) -> None:
    data = png_of(chunk(b"zTXt", b"Comment\0\0" + bomb), chunk(b"iCCP", b"profile\0\0" + bomb))
    assert "carries no workflow" in refused(data)
    assert peak(data) < MEBIBYTE


def test_values_of_exif_that_lie_over_each_other_count_each_time() -> None:
    value = b"prompt:" + bytes(MEBIBYTE)
    entry = struct.pack("<HHII", MODEL, 2, len(value), 8 + 2 + 12 * 1000 + 4)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 1000) + entry * 1000 + bytes(4) + value
    assert "longer than 64 MB" in refused(png_of(chunk(b"eXIf", data)))


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_parts_of_avif_that_lie_over_each_other_count_each_time() -> None:
    part = box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 1, 0, b"Exif") + b"\0")
    extents = struct.pack(">HHH", 1, 0, 1000) + struct.pack(">II", 0, 100_000) * 1000
    places = box(b"iloc", bytes(4) + struct.pack(">HH", 0x4400, 1) + extents)
    meta = box(b"meta", bytes(4) + box(b"iinf", bytes(4) + b"\0\1" + part) + places)
    data = box(b"ftyp", b"avif" + bytes(4)) + meta + bytes(100_000)
    assert "longer than 64 MB" in refused(data)


def test_exif_that_points_to_itself_ends() -> None:
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + bytes(4)
    assert texts_of(png_of(chunk(b"eXIf", data))) == {}


def test_entities_of_xml_are_not_expanded() -> None:
    entities = "".join(f'<!ENTITY e{number + 1} "{f"&e{number};" * 10}">' for number in range(9))
    data = f'<!DOCTYPE x [<!ENTITY e0 "prompt">{entities}]><x><prompt>&e9;</prompt></x>'.encode()
    assert texts_of(saved("WEBP", xmp=data)) == {}


def test_xml_that_is_nested_deeply_is_read() -> None:
    assert texts_of(saved("WEBP", xmp=b"<a>" * 100_000 + b"</a>" * 100_000)) == {}


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (PNG + chunk(b"IHDR", bytes(13)) + chunk(b"quIT", b"") * PIECES, "chunks"),
        (b"RIFF\0\0\0\0WEBP" + b"quIT\0\0\0\0" * (PIECES + 1), "chunks"),
        (b"\xff\xd8\xff" + b"\xff\xe2\0\2" * (PIECES + 1), "segments"),
        (b"\xff\xd8\xff" + b"\xff" * (PIECES + 9), "segments"),
        (gif()[:19] + b"!\xff" + b"\1x" * (PIECES + 9), "blocks"),
    ],
)
def test_a_file_of_endless_pieces_is_refused(data: bytes, pieces: str) -> None:
    assert f"since it has more than {PIECES} {pieces}" in refused(data)


def test_json_of_millions_of_values_is_refused_before_it_is_read() -> None:
    data = b"[" + b"[]," * 4_000_000 + b"[]]"
    assert refused(data).startswith("This JSON is far larger than any workflow")
    assert peak(data) < MEBIBYTE
    assert "far larger" in refused(png(prompt=f"[{'[],' * 3_000_000}[]]"))


@pytest.mark.parametrize("text", ["[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200, "[" * 100_000])
def test_json_that_is_nested_deeply_is_refused(text: str) -> None:
    assert "nested too deeply" in refused(text.encode())
    assert "nested too deeply" in refused(f'{{"1": {{"class_type": "Add", "inputs": {{"a": {text}}}}}}}'.encode())


LONG_PROMPTS = (
    "(" * 50_000, "[" * 50_000 + "]" * 50_000, "([" * 30_000, "<lora:" * 20_000, "a:" * 50_000, "\\" * 50_001,
    "|" * 50_000, ":1" * 30_000, " " * 50_000 + ":", f"(a:1.{'1' * 50_000})", "AND " * 20_000, "BREAK " * 20_000,
)  # fmt: skip


@pytest.mark.parametrize("text", LONG_PROMPTS, ids=lambda text: text[:9])
def test_prompts_made_to_take_long_do_not(text: str) -> None:
    """Their times grow with their lengths alone; where they grew with the square, this would take minutes."""
    read(f"{text}\nNegative prompt: {text}\nSteps: 20, Hires prompt: {json.dumps(text)}".encode())


LONG_SETTINGS = (
    "a" * 500_000, "a:" * 300_000, '"' * 300_000, ',"' * 300_000, 'a: "' * 100_000, "a: {" * 100_000, " ," * 300_000,
    "Size: " * 100_000, "1" * 500_000, 'a: {"b": ' * 50_000,
)  # fmt: skip


@pytest.mark.parametrize("text", LONG_SETTINGS, ids=lambda text: text[:9])
def test_settings_made_to_take_long_do_not(text: str) -> None:
    read(f"a cat\nSteps: 20, {text}".encode())


def handled(data: bytes) -> None:
    """Reads it; whatever is wrong is said in sentences."""
    said: list[str] = []
    try:
        read(data, FACTS)
    except DocumentError as error:
        said = [problem.sentence for problem in error.problems] or [""]
    assert [sentence for sentence in said if not sentence.endswith(".")] == []


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SMALL), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    handled(bytes(changed))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SMALL), st.integers(0), st.integers(0), st.binary(max_size=20))
def test_cut_and_filled_with_rubbish(data: bytes, start: int, length: int, rubbish: bytes) -> None:
    start %= len(data)
    handled(data[:start] + rubbish + data[start + length % (len(data) - start + 1) :])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([data[:12] for data in SMALL] + [b"", b"\xff\xd8\xff\xe1\0\x40Exif\0\0II*\0\x08\0\0\0"]),
    st.binary(max_size=200),
)
def test_rubbish_that_begins_well(beginning: bytes, rubbish: bytes) -> None:
    handled(beginning + rubbish)


def test_every_byte_of_a_text_chunk_flipped() -> None:
    """With a checksum that is right again, so that what is in it is read."""
    for packed in (b"prompt\0\0" + zlib.compress(PROMPT.encode()), b"workflow\0\0" + zlib.compress(WORKFLOW.encode())):
        for place in range(len(packed)):
            flipped = bytearray(packed)
            flipped[place] ^= 1 << place % 8
            handled(png_of(chunk(b"zTXt", bytes(flipped))))


def test_jpeg_with_every_byte_of_its_exif_flipped() -> None:
    for place in range(len(COMMENTED)):
        flipped = bytearray(COMMENTED)
        flipped[place] ^= 0xFF
        handled(jpeg((0xE1, b"Exif\0\0" + bytes(flipped))))
