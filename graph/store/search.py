"""Full-text search: the words of a request, and what they typed as a query that cannot fail."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from graph.store.private import is_private
from graph.store.text import unpack

VALUE_CHARS = 10_000  # of one value: a picture written into a prompt as text is not worth more
JOB_CHARS = 200_000
QUERY_WORDS = 32
QUERY_CHARS = 1_000

# Scripts that put no space between words: each of their characters is a word, so that parts of a sentence are found.
UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff])"
)


def words(job_id: str, prompt: Mapping[str, Any]) -> str:
    """Everything to be found of a job: its id, and of each node the class, the title and the values of its inputs."""
    found: dict[str, None] = {job_id: None}  # each once, in order
    size = 0
    for node in prompt.values():
        for text in _texts(node) if isinstance(node, Mapping) else ():
            if text not in found:
                found[text] = None
                size += len(text)
        if size > JOB_CHARS:
            break
    return _spaced("\n".join(found)[:JOB_CHARS])


def query(text: str) -> str | None:
    """What a person typed as a query for all its words, each perhaps only begun; None if it holds no word."""
    pieces = [piece for piece in clean(text[:QUERY_CHARS]).replace('"', " ").split() if any(map(str.isalnum, piece))]
    # Words that begin with a certain letter are in every job, and gathering them takes long: a letter is a word.
    terms = (f'"{_spaced(piece)}"{"*" if len(piece) > 1 else ""}' for piece in pieces[:QUERY_WORDS])
    return " ".join(terms) or None


def index(db: sqlite3.Connection, seq: int, job_id: str, prompt: Mapping[str, Any]) -> None:
    """Make a job findable."""
    db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (seq, words(job_id, prompt)))


def index_all(db: sqlite3.Connection) -> None:
    """Make every job of a store findable that had no index yet."""
    for seq, job_id, prompt in db.execute("SELECT seq, id, prompt FROM jobs JOIN requests USING (seq)"):
        index(db, seq, job_id, unpack(prompt))


def _texts(node: Mapping[str, Any]) -> Iterator[str]:
    """What can be read in a node; not its links, and nothing that is kept private."""
    yield clean(str(node.get("class_type", "")))
    meta = node.get("_meta")
    if isinstance(meta, Mapping) and isinstance(title := meta.get("title"), str):
        yield clean(title[:VALUE_CHARS])
    inputs = node.get("inputs")
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        if not isinstance(value, list) and not is_private(name):
            yield from _literals(value)


def _literals(value: Any) -> Iterator[str]:
    """Texts and numbers in a value, however deep."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield clean(value[:VALUE_CHARS])
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield repr(value)
        elif isinstance(value, Mapping):
            waiting += reversed(list(value.values()))
        elif isinstance(value, list):
            waiting += reversed(value)


def clean(text: str) -> str:
    """Text that the database takes: no halves of surrogate pairs, no zero bytes."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def _spaced(text: str) -> str:
    """Text with words apart and in one form: Größe and GRÖSSE are the same, as are wide and narrow letters."""
    return UNSPACED.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
