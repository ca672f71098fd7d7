"""Bytes to a Document: tells the forms apart in which workflows are kept."""

from __future__ import annotations

from graph.document import Document
from graph.read.convert import Circumstances
from graph.read.facts import Facts
from graph.read.forms import document_of, find_in_picture, find_in_text
from graph.read.images import is_picture


def read(data: bytes, facts: Facts | None = None, circumstances: Circumstances | None = None) -> Document:
    """Read a workflow in whatever form it is kept: JSON in API form or the editor's, or a picture that carries either.

    A workflow in the editor's form needs facts about its node classes. What was odd or had to be left out is said in
    the document's notes. Raises DocumentError when there is no workflow, or none that can be read.
    """
    found = find_in_picture(data) if is_picture(data) else find_in_text(data)
    return document_of(found, facts, circumstances)
