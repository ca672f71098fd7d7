"""Bytes become a Document, or one sentence that says why not."""

import io
import json
import struct
import zlib
from typing import Any

import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from graph import DocumentError, Link, read
from graph.document import BadLink
from graph.read.api import read_api

PROMPT = {"1": {"class_type": "Add", "inputs": {"a": 1, "b": ["5:12", 0]}, "_meta": {"title": "ünï"}}}


def png(**texts: str) -> bytes:
    info, data = PngInfo(), io.BytesIO()
    for key, text in texts.items():
        info.add_text(key, text)
    PIL.Image.new("RGB", (2, 2)).save(data, "PNG", pnginfo=info)
    return data.getvalue()


def refused(data: bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        read(data)
    assert {problem.kind for problem in caught.value.problems} == {"invalid_prompt"}
    return str(caught.value)


def test_inputs_are_links_literals_and_wrapped_lists() -> None:
    inputs = {
        "link": ["5:12", 0], "float slot": ["4", 1.0], "text": "a", "wrapped": {"__value__": ["4", 0]}, "none": None,
        "object": {"__value__": 1, "more": 2},
    }  # fmt: skip
    node = read_api({"1": {"class_type": "X", "inputs": inputs, "is_changed": ["abc"], "_meta": {}}}).nodes["1"]
    assert node.class_type == "X"
    assert node.is_changed == ["abc"]
    assert node.inputs == {
        "link": Link("5:12", 0), "float slot": Link("4", 1), "text": "a", "wrapped": ["4", 0], "none": None,
        "object": {"__value__": 1, "more": 2},
    }  # fmt: skip


@pytest.mark.parametrize("value", [[], ["4"], [4, 0], ["4", True], ["4", 0.5], ["4", "0"], ["4", 0, 0], [["4", 0]]])
def test_other_lists_are_bad_links(value: list[Any]) -> None:
    assert read_api({"1": {"class_type": "X", "inputs": {"a": value}}}).nodes["1"].inputs == {"a": BadLink(value)}


def test_the_document_keeps_what_was_sent() -> None:
    document = read(json.dumps(PROMPT).encode())
    assert document.prompt == PROMPT
    assert document.extra_pnginfo == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_json_with_and_without_a_byte_order_mark(encoding: str) -> None:
    assert read(json.dumps(PROMPT, ensure_ascii=False).encode(encoding)).prompt == PROMPT


def test_a_picture_carries_its_recipe() -> None:
    document = read(png(prompt=json.dumps(PROMPT), workflow='{"nodes": []}'))
    assert document.prompt == PROMPT
    assert document.nodes["1"].inputs["b"] == Link("5:12", 0)
    assert document.extra_pnginfo == {"workflow": {"nodes": []}}


def test_only_the_headers_of_a_picture_are_read() -> None:
    data = bytearray(png(prompt=json.dumps(PROMPT)))
    start = data.index(b"IDAT")
    data[start + 4 : start + 10] = b"broken"
    assert read(bytes(data)).prompt == PROMPT


def test_a_huge_picture_is_read_without_its_pixels() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    text = chunk(b"tEXt", b"prompt\0" + json.dumps(PROMPT).encode())
    pixels = chunk(b"IDAT", zlib.compress(b""))
    assert read(b"\x89PNG\r\n\x1a\n" + header + text + pixels + chunk(b"IEND", b"")).prompt == PROMPT


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "This is not JSON: Expecting value at line 1, column 1"),
        (b'{"1": \n {"class_type" }', "This is not JSON: Expecting ':' delimiter at line 2, column 16"),
        (b"\xff\xfe\xfa", "This is not JSON: "),
        (b"[" * 100_000, "This is not JSON: it is nested too deeply"),
        (b'{"1": ' + b"9" * 5000 + b"}", "This is not JSON: "),
        (b"GIF89a\0\0\0", "This picture cannot be read"),
        (b"[1, 2]", "This JSON is no workflow"),
        (b'"text"', "This JSON is no workflow"),
        (b'{"a": 1}', "This JSON is no workflow"),
        (b'{"nodes": [{"id": 1}], "links": []}', "This is a workflow in the editor's form"),
        (b"\x89PNG\r\n\x1a\nrubbish", "This picture cannot be read"),
        (png(), "This picture carries no workflow; give one that was saved with it, unchanged by other programs."),
        (png(workflow='{"nodes": []}'), "This picture carries no workflow in API form, only the editor's form of one"),
        (png(prompt="{"), "This is not JSON"),
    ],
)
def test_what_is_no_workflow_gets_one_sentence(data: bytes, sentence: str) -> None:
    assert sentence in refused(data)
    assert refused(data).count(". ") == 0


def test_every_node_that_is_none_is_named() -> None:
    bad = {"1": {"class_type": "X"}, "2": {"inputs": {}}, "3": [], "4": {"class_type": "X", "inputs": []}}
    with pytest.raises(DocumentError) as caught:
        read_api(bad)
    assert [(problem.node_id, problem.sentence.split(";")[0]) for problem in caught.value.problems] == [
        ("2", "Node 2 has no class_type"),
        ("3", "Node 3 is no object but list"),
        ("4", "Node 4 has inputs that are no object"),
    ]
