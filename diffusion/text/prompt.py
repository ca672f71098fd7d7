"""A prompt's text in, chunks of 77 weighted tokens out: `(words:1.2)`, nesting, escapes, `embedding:name`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from diffusion.text.tokenizer import END, START, tokenize

_log = logging.getLogger(__name__)

_GROUP_FACTOR = 1.1
_SPLITTABLE = 8  # a group of this many tokens or more may be cut where a chunk ends
_EMBEDDING = "embedding:"
_PARENTHESIS = re.compile(r"\\[()]|([()])")
_ESCAPE = re.compile(r"\\([()])")
_BEFORE_EMBEDDING = re.compile(rf"[ \n](?={_EMBEDDING})")


class Segment(NamedTuple):
    """A stretch of the prompt with one weight."""

    text: str
    weight: float


class Token(NamedTuple):
    """One place of a chunk. `word` counts the prompt's groups from 1; start, end and padding have 0."""

    value: int | Tensor  # an id of the vocabulary, or a vector [width] from an embedding file
    weight: float
    word: int


@dataclass(frozen=True)
class Format:
    """How a text encoder wants its chunks. The defaults are CLIP-L's; OpenCLIP's encoders pad with 0."""

    start: int = START
    end: int = END
    pad: int = END
    length: int = 77


LoadEmbedding = Callable[[str], Sequence[Tensor] | None]
"""The vectors of an embedding by the name that the prompt says, or None where there is none of that name."""


def segments(prompt: str) -> Iterator[Segment]:
    r"""Cut a prompt by its weights, in reading order.

    `(text)` multiplies the weight by 1.1, `(text:1.3)` sets it, groups nest, `\(` and `\)` are plain parentheses. What
    is no complete group is plain text. Every string is a prompt.
    """
    # A stack, not recursion: nesting has no limit.
    pending = [Segment(part, 1.0) for part in reversed(_split(prompt))]
    while pending:
        part, weight = pending.pop()
        if part.startswith("(") and part.endswith(")") and not part.endswith(r"\)"):
            inner, weight = _explicit_weight(part[1:-1], weight * _GROUP_FACTOR)
            pending.extend(Segment(each, weight) for each in reversed(_split(inner)))
        else:
            yield Segment(_ESCAPE.sub(r"\1", part), weight)


def _split(text: str) -> list[str]:
    """Groups of the outermost level, with their parentheses, and the text between them.

    A `)` that closes nothing swallows the next `(`. From a `(` that is never closed to the end is one part: plain text,
    unless it happens to end in `)`.
    """
    parts, start, depth = [], 0, 0
    for match in _PARENTHESIS.finditer(text):
        if match[1] == "(":
            if depth == 0:
                parts.append(text[start : match.start()])
                start = match.start()
            depth += 1
        elif match[1] == ")":
            depth -= 1
            if depth == 0:
                parts.append(text[start : match.end()])
                start = match.end()
    parts.append(text[start:])
    return [part for part in parts if part]


def _explicit_weight(text: str, weight: float) -> Segment:
    """The number after the last colon, if it is one and something stands before it."""
    before, colon, number = text.rpartition(":")
    if before and colon:
        try:
            return Segment(before, float(number))
        except ValueError:
            pass
    return Segment(text, weight)


def chunks(prompt: str, load_embedding: LoadEmbedding | None, form: Format) -> list[list[Token]]:
    """Chunks of exactly `form.length` tokens: start, up to 75 of the prompt's, end, padding. At least one.

    A group that does not fit into what is left of a chunk goes on in the next one if it has 8 tokens or more; a shorter
    one moves there whole. Embeddings that are missing are left out, with a warning in the log; without a way to load
    any, `embedding:name` is plain text.
    """
    room = form.length - 2
    filled: list[list[Token]] = [[]]
    for word, group in enumerate(_groups(prompt, load_embedding), start=1):
        tokens = [Token(value, group.weight, word) for value in group.values]
        while len(filled[-1]) + len(tokens) > room:
            fitting = room - len(filled[-1]) if len(group.values) >= _SPLITTABLE else 0
            filled[-1].extend(tokens[:fitting])
            filled.append([])
            tokens = tokens[fitting:]
        filled[-1].extend(tokens)
    return [_framed(tokens, form) for tokens in filled]


def empty_chunk(form: Format) -> list[Token]:
    """The chunk of an empty prompt."""
    return _framed([], form)


def _framed(tokens: list[Token], form: Format) -> list[Token]:
    start, end, pad = (Token(value, 1.0, 0) for value in (form.start, form.end, form.pad))
    return [start, *tokens, end] + [pad] * (form.length - 2 - len(tokens))


class _Group(NamedTuple):
    values: Sequence[int | Tensor]
    weight: float


def _groups(prompt: str, load_embedding: LoadEmbedding | None) -> Iterator[_Group]:
    """The values of every stretch of plain text and of every embedding, in reading order."""
    for text, weight in segments(prompt):
        for piece in filter(None, _BEFORE_EMBEDDING.split(text)):
            rest = piece
            if load_embedding and piece.startswith(_EMBEDDING):
                vectors, rest = _embedding(piece.removeprefix(_EMBEDDING), load_embedding)
                if vectors is not None:
                    yield _Group(vectors, weight)
                if not rest:
                    continue
            yield _Group(tokenize(rest), weight)


def _embedding(text: str, load_embedding: LoadEmbedding) -> tuple[Sequence[Tensor] | None, str]:
    """The vectors that the first word names, and the text after it. A comma after the name is no part of it."""
    name, rest = (*text.split(maxsplit=1), "", "")[:2]
    bare = name.rstrip(",")
    vectors = load_embedding(name) if name else None
    if vectors is None and bare != name:
        vectors = load_embedding(bare) if bare else None
        rest = f"{name[len(bare) :]} {rest}"
    if not bare:
        _log.warning("'embedding:' without a name in a prompt is left out; write embedding:name")
    elif vectors is None:
        _log.warning("embedding:%s is left out: there is no embedding of that name", bare)
    return vectors, rest
