"""A document as Python source that builds it."""

from __future__ import annotations

from graph.document import Document
from graph.registry import Registry


def to_python(document: Document, registry: Registry) -> str:
    """Source that builds the same graph."""
    return f"from graph.read.api import read_api\n\ndocument = read_api({dict(document.prompt)!r})\n"
