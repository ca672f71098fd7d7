"""Texts as the editor sends them: with one of `{a|b}` chosen, and with `%date:…%` and `%Node.widget%` filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

LINE_END = re.compile("[\n\r\u2028\u2029]|$")
ESCAPED = re.compile(r"\\([{}|])")
PATTERN = re.compile(r"%([^%]+)%")
DATE_PART = re.compile("dd?|MM?|hh?|mm?|ss?|yyy?y?")
UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')  # in the name of a file
LONGEST_PATH, LONGEST_VALUE = 4096, 1000  # letters; no file can be called more
DEEPEST = 20  # lists inside lists; no text has more


def plain_text(value: object, depth: int = 0) -> str:
    """A value as text, the way a text field shows it: 8.0 is "8", true is "true", null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else _decimal(value)
    if isinstance(value, list):
        return ",".join(plain_text(each, depth + 1) for each in value) if depth < DEEPEST else ""
    return "[object Object]" if isinstance(value, dict) else str(value)


def _decimal(value: float) -> str:
    if 1e-6 <= abs(value) < 1e-4:
        return format(Decimal(repr(value)), "f")
    return repr(value).replace("e-0", "e-")


def field_text(value: object) -> str:
    """What a text field of several lines makes of a value."""
    return plain_text(value).replace("\r\n", "\n").replace("\r", "\n")


def choose_parts(text: str, choose: Callable[[int], int]) -> str:
    r"""A text without comments, with one alternative of each {a|b|{c|d}}; `choose` says which of so many.

    `\{`, `\|` and `\}` stand for the signs themselves. What a brace opens that is never closed ends with the text.
    """
    text = without_comments(text)
    if "{" not in text:
        return ESCAPED.sub(r"\1", text)
    blocks = _blocks(text)
    parts: list[str] = []
    ranges = [(0, len(text))]
    while ranges:
        start, end = ranges.pop()
        at = start
        while at < end:
            if text[at] == "\\":
                at += 2
            elif at in blocks:
                bounds = blocks[at]  # of its alternatives: the sign before each, and the one after the last
                chosen = choose(len(bounds) - 1)
                ranges.append((bounds[-1] + 1, end))
                ranges.append((bounds[chosen] + 1, bounds[chosen + 1]))
                break
            else:
                at += 1
        parts.append(text[start : min(at, end)])
    return ESCAPED.sub(r"\1", "".join(parts))


def without_comments(text: str) -> str:
    """A text without /* … */ and without what follows // in a line, also in addresses."""
    parts: list[str] = []
    at = 0
    closable = True  # whether a */ may follow
    while (start := text.find("/", at)) >= 0:
        end = -1
        if text.startswith("//", start) and (found := LINE_END.search(text, start)):
            end = found.start()
        elif closable and text.startswith("/*", start):
            close = text.find("*/", start + 2)
            closable = close >= 0
            end = close + 2 if closable else -1
        parts.append(text[at:start] if end >= 0 else text[at : start + 1])
        at = end if end >= 0 else start + 1
    return "".join(parts) + text[at:]


def _blocks(text: str) -> dict[int, list[int]]:
    """Where braces open, with the places of the brace, of each bar between alternatives, and of the closing brace."""
    blocks: dict[int, list[int]] = {}
    open_blocks: list[list[int]] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == "\\":
            at += 1
        elif sign == "{":
            blocks[at] = [at]
            open_blocks.append(blocks[at])
        elif sign == "|" and open_blocks:
            open_blocks[-1].append(at)
        elif sign == "}" and open_blocks:
            open_blocks.pop().append(at)
        at += 1
    for bounds in open_blocks:
        bounds.append(len(text))
    return blocks


def fill_in(text: str, now: datetime, look_up: Callable[[str, str], Any]) -> str:
    """A text with each %date:yyyy-MM-dd% and %Node.widget% replaced; `look_up` gives a widget's value.

    It raises KeyError for one that is not there: that pattern stays, as does any other (the server knows %width%).
    """

    def replaced(found: re.Match[str]) -> str:
        first, *rest = found[1].split(".")
        if len(rest) == 1:
            try:
                return UNSAFE.sub("_", plain_text(look_up(first, rest[0]))[:LONGEST_VALUE])
            except KeyError:
                return found[0]
        return date_text(first.removeprefix("date:"), now) if first.startswith("date:") else found[0]

    return PATTERN.sub(replaced, text) if len(text) <= LONGEST_PATH else text


def date_text(form: str, now: datetime) -> str:
    """A time in a form of yyyy, yy, M, d, h, m and s; two letters pad with a zero."""
    parts = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def replaced(found: re.Match[str]) -> str:
        letters = found[0]
        if letters[0] == "y":
            return {"yy": str(now.year)[2:], "yyyy": str(now.year)}.get(letters, letters)
        return str(parts[letters[0]]).zfill(len(letters))

    return DATE_PART.sub(replaced, form)
