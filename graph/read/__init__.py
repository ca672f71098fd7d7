"""Bytes to a Document: tells the forms apart in which workflows are kept."""

from __future__ import annotations

from graph.document import Document
from graph.problems import DocumentError, Problem
from graph.read.api import parse_json, read_api
from graph.read.images import PNG_SIGNATURE, read_png


def read(data: bytes) -> Document:
    """Read a workflow: JSON in API form, or a PNG that carries one. Raises DocumentError when it is neither."""
    if data.startswith(PNG_SIGNATURE):
        return read_png(data)
    if b"\0" in data[:64]:
        sentence = "This is neither JSON nor a PNG; give a workflow in API form, or a picture that was saved with one."
        raise DocumentError([Problem("invalid_prompt", sentence)])
    return read_api(parse_json(data))
