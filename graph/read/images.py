"""A picture that carries its recipe to a Document. Only the headers are read, never the pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from graph.document import Document
from graph.problems import DocumentError, Problem
from graph.read.api import parse_json, read_api

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes) -> Document:
    """The workflow in a PNG's text chunks `prompt` (API form) and `workflow` (the editor's, kept for what is saved).

    Raises DocumentError if the file is no PNG or carries no workflow.
    """
    chunks = _text_chunks(data)
    if "prompt" not in chunks:
        also = ", only the editor's form of one, which cannot be run yet" if "workflow" in chunks else ""
        sentence = f"This picture carries no workflow in API form{also}; give one that was saved with it."
        raise DocumentError([Problem("invalid_prompt", sentence)])
    extra = {"workflow": parse_json(chunks["workflow"])} if "workflow" in chunks else {}
    return read_api(parse_json(chunks["prompt"]), extra)


def _text_chunks(data: bytes) -> dict[str, Any]:
    import PIL.Image

    try:
        with PIL.Image.open(BytesIO(data), formats=["PNG"]) as image:
            return {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        sentence = f"This picture cannot be read ({error}); give one that is whole."
        raise DocumentError([Problem("invalid_prompt", sentence)]) from error
