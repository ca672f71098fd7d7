"""The texts that a picture carries of its recipe. Only its headers are read, never its pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from graph.problems import DocumentError, Problem
from graph.read.a1111 import is_parameters
from graph.read.boxes import avif_texts
from graph.read.formats import (
    PNG_SIGNATURE,
    Broken,
    Budget,
    Text,
    TooMuch,
    gif_texts,
    jpeg_texts,
    png_texts,
    webp_texts,
)

KEYED = re.compile(r"\s{0,9}(prompt|workflow|parameters)\s{0,9}:\s{0,9}(?=\{)", re.IGNORECASE)
AVIF_BRANDS = frozenset((b"avif", b"avis"))


def is_picture(data: bytes) -> bool:
    """Whether a file is a picture of a kind that can carry a recipe: PNG, WebP, JPEG, GIF or AVIF."""
    return _reader(data) is not None


def texts_of(data: bytes) -> Mapping[str, str]:
    """The texts in a picture: `prompt` and `workflow`, both JSON, and `parameters`, as far as it carries them.

    Of a picture that is not whole, those that still are. Raises DocumentError if it is no picture, if it is broken and
    carries nothing, or if there is more in it than any workflow needs.
    """
    return read_texts(data)[0]


def read_texts(data: bytes) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """As texts_of(), and a sentence if the picture is not whole."""
    reader = _reader(data)
    if reader is None:
        raise _refusal("This is no picture of a kind that can carry a workflow; give a PNG, WebP, JPEG, GIF or AVIF.")
    named: dict[str, str] = {}
    told: dict[str, str] = {}
    damage = ""
    try:
        for key, text in reader(data, Budget()):
            if key:
                named.setdefault(key, text)
            elif found := _told(text):
                told.setdefault(*found)
    except Broken as error:
        damage = str(error)
    except TooMuch as error:
        sentence = f"This picture is not read, since {error}; save it anew, with nothing but its workflow."
        raise _refusal(sentence) from error
    texts = told | named
    if damage and not texts:
        raise _refusal(f"This picture cannot be read, since {damage}; give one that is whole.")
    note = f"The picture is not whole ({damage}); what it carries was read as far as it goes."
    return texts, (note,) if damage else ()


def _reader(data: bytes) -> Callable[[bytes, Budget], Iterator[Text]] | None:
    if data.startswith(PNG_SIGNATURE):
        return png_texts
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return webp_texts
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_texts
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return gif_texts
    if data[4:8] == b"ftyp" and data[8:12] in AVIF_BRANDS:
        return avif_texts
    return None


def _told(text: str) -> tuple[str, str] | None:
    """The key of a text that only by its content says what it is, and the text without such a key before it."""
    found = KEYED.match(text)
    if found:
        return found[1].lower(), text[found.end() :]
    if text[:100].lstrip().startswith("{"):
        key = "prompt" if '"class_type"' in text else "workflow" if '"nodes"' in text else None
        return (key, text) if key else None
    return ("parameters", text) if is_parameters(text) else None


def _refusal(sentence: str) -> DocumentError:
    return DocumentError([Problem("invalid_prompt", sentence)])
