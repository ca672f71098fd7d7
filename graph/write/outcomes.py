"""What a text of the editor may be sent as: one with `{a|b}` or `%date:…%` in it has several outcomes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from graph.read.texts import DATE_PART, ESCAPED, LONGEST_PATH, PATTERN, without_comments

PLAIN = re.compile(r"(?:\\.|[^\\{|}])+", re.DOTALL)  # what is no sign of a choice
LONGEST = 20_000  # letters of a text with alternatives that are looked at
STEPS = 4  # for each letter, to compare it with an outcome; only texts that nobody wrote by hand need more


@dataclass
class _Choice:
    """Alternatives; each is a list of texts and further choices."""

    alternatives: list[list[str | _Choice]] = field(default_factory=lambda: [[]])


class _TooMuch(Exception):
    """A text that nobody wrote by hand."""


def may_become(text: str, outcome: str) -> bool:
    """Whether a text with alternatives can be sent as this one."""
    if max(len(text), len(outcome)) > LONGEST:
        return False
    try:
        return len(outcome) in _Search(outcome, len(text)).ends(_parts(without_comments(text)), {0})
    except (_TooMuch, RecursionError):
        return False


def may_be_filled_in(text: str, sent: str, outcome: str) -> bool:
    """Whether a text with `%date:…%` in it, which was `sent` at one time, can be `outcome` at another."""
    if max(len(text), len(sent), len(outcome)) > LONGEST_PATH or not _has_date(text):
        return False
    return _masked(sent) == _masked(outcome)


def _has_date(text: str) -> bool:
    forms = (found[1].split(".")[0] for found in PATTERN.finditer(text))
    return any(form.startswith("date:") and DATE_PART.search(form.removeprefix("date:")) for form in forms)


def _masked(text: str) -> str:
    """A text without the numbers in it, which are what changes with the time."""
    parts: list[str] = []
    for character in text:
        if not character.isdecimal():
            parts.append(character)
        elif not parts or parts[-1] != "0":
            parts.append("0")
    return "".join(parts)


def _parts(text: str) -> list[str | _Choice]:
    """A text taken apart; what a brace opens that is never closed ends with the text."""
    top: list[str | _Choice] = []
    here = top
    open_choices: list[tuple[list[str | _Choice], _Choice]] = []
    at = 0
    while at < len(text):
        sign = text[at]
        if sign == "{":
            choice = _Choice()
            here.append(choice)
            open_choices.append((here, choice))
            here = choice.alternatives[0]
        elif sign == "|" and open_choices:
            here = []
            open_choices[-1][1].alternatives.append(here)
        elif sign == "}" and open_choices:
            here = open_choices.pop()[0]
        else:
            found = PLAIN.match(text, at)
            piece = found[0] if found else sign
            at += len(piece) - 1
            if here and isinstance(last := here[-1], str):
                here[-1] = last + piece
            else:
                here.append(piece)
        at += 1
    return top


class _Search:
    """Places in an outcome up to which parts of a text can have become it."""

    def __init__(self, outcome: str, steps: int) -> None:
        self._outcome = outcome
        self._steps = STEPS * (steps + len(outcome)) + 1000

    def ends(self, parts: list[str | _Choice], starts: set[int]) -> set[int]:
        """Where the parts may end that begin at one of these places."""
        for part in parts:
            if not starts:
                break
            self._steps -= len(starts)
            if self._steps < 0:
                raise _TooMuch
            if isinstance(part, str):
                part = ESCAPED.sub(r"\1", part)
                starts = {start + len(part) for start in starts if self._outcome.startswith(part, start)}
            else:
                starts = set().union(*(self.ends(each, starts) for each in part.alternatives))
        return starts
