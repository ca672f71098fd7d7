"""Prompts as A1111 and its kin read them, written as CLIPTextEncode reads them.

Both know `(word)` and `(word:1.2)`. There, weights that stand in each other are multiplied and `[word]` takes weight
away; here, the inner weight alone counts and square brackets are plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

STRONGER = 1.1
DEEPEST = 50  # brackets in brackets; what stands deeper is plain text
TOKEN = re.compile(r"\\.?|[()\[\]|:]|[^\\()\[\]|:]+", re.DOTALL)
WEIGHT = re.compile(r":\s{0,9}([+-]?[.\d]{1,20})\s{0,9}\)")
PART_WEIGHT = re.compile(r"\s{0,9}:\s{0,9}[+-]?[.\d]{1,20}\s{0,9}$")

BREAK_NOTE = "“BREAK” in the prompt has no counterpart and is left out; join two encoded prompts in its place."
AND_NOTE = "“AND” joins several prompts; they are one here, since their weights have no counterpart."
SCHEDULE_NOTE = "A prompt changes on the way ([from:to:when]); what is drawn for most of the steps is kept."
ALTERNATE_NOTE = "A prompt takes turns between words ([one|other]); the first of them is kept."


@dataclass
class _Piece:
    text: str
    weight: float = 1.0
    is_sign: bool = False  # a ":" or "|" that may part what stands in brackets


@dataclass
class _Group:
    opening: str = ""
    pieces: list[_Piece] = field(default_factory=list)
    has_groups: bool = False
    has_weights: bool = False  # numbers, in itself or in what stands in it


class _Reader:
    """Reads one prompt into pieces of text with their weights."""

    def __init__(self, prompt: str, steps: int) -> None:
        self.steps = steps
        self.notes: dict[str, None] = {}
        self.is_common = True  # whether the prompt means the same here as it stands
        self.groups = [_Group()]
        self._read(prompt)
        while len(self.groups) > 1:  # what is never closed holds for the rest
            self.is_common = False
            self._close_round(None) if self.groups[-1].opening == "(" else self._weaken()

    @property
    def pieces(self) -> list[_Piece]:
        return self.groups[0].pieces

    def _read(self, prompt: str) -> None:
        place = 0
        while place < len(prompt):
            group = self.groups[-1]
            weight = WEIGHT.match(prompt, place) if group.opening == "(" else None
            number = _number(weight[1]) if weight else None
            if weight and number is not None:
                self._close_round(number)
                place = weight.end()
                continue
            found = TOKEN.match(prompt, place)
            assert found is not None  # every character is some token
            token = found[0]
            place = found.end()
            if token in ("(", "[") and len(self.groups) <= DEEPEST:
                self.groups.append(_Group(token))
            elif token == ")" and group.opening == "(":
                self._close_round(None)
            elif token == "]" and group.opening == "[":
                self._close_square()
            elif token[0] == "\\":
                self.is_common = self.is_common and token in ("\\(", "\\)")
                self._add(token[1:])
            else:
                self.is_common = self.is_common and token not in ("(", ")")
                self._add(token, is_sign=token in (":", "|") and group.opening == "[")

    def _add(self, text: str, *, is_sign: bool = False) -> None:
        self.groups[-1].pieces.append(_Piece(text, is_sign=is_sign))

    def _close_round(self, number: float | None) -> None:
        group = self.groups.pop()
        if group.has_weights or (number is not None and (group.has_groups or not group.pieces)):
            self.is_common = False
        _, colon, tail = "".join(piece.text for piece in group.pieces[-2:]).rpartition(":")
        if number is None and colon and _float(tail) is not None:  # a number here that is none there, such as 1e3
            self.is_common = False
        self._give_up(group.pieces, STRONGER if number is None else number)
        self.groups[-1].has_weights |= group.has_weights or number is not None

    def _weaken(self) -> None:
        self._give_up(self.groups.pop().pieces, 1 / STRONGER)

    def _close_square(self) -> None:
        self.is_common = False
        pieces = self.groups[-1].pieces
        bars = [number for number, piece in enumerate(pieces) if piece.is_sign and piece.text == "|"]
        colons = [number for number, piece in enumerate(pieces) if piece.is_sign and piece.text == ":"]
        when = _number("".join(piece.text for piece in pieces[colons[-1] + 1 :])) if colons else None
        if bars:
            self.notes[ALTERNATE_NOTE] = None
            self._keep(pieces[: bars[0]])
        elif when is not None:
            self.notes[SCHEDULE_NOTE] = None
            first = colons[0] if len(colons) > 1 else -1
            share = when if when < 1 else when / max(self.steps, 1)
            self._keep(pieces[first + 1 : colons[-1]] if share <= 0.5 else pieces[: max(first, 0)])
        else:
            self._weaken()

    def _keep(self, pieces: list[_Piece]) -> None:
        self.groups.pop()
        self._give_up(pieces, 1.0)

    def _give_up(self, pieces: list[_Piece], factor: float) -> None:
        for piece in pieces:
            piece.weight *= factor
            piece.is_sign = False
        self.groups[-1].pieces += pieces
        self.groups[-1].has_groups = True


def translate(prompt: str, steps: int) -> tuple[str, tuple[str, ...]]:
    """A prompt of A1111's that is drawn in so many steps, and sentences on what of it has no counterpart."""
    notes: dict[str, None] = {}
    stretches = re.split(r"\bBREAK\b", prompt)
    if len(stretches) > 1:
        notes[BREAK_NOTE] = None
        prompt = "\n".join(stretch.strip() for stretch in stretches)
    joined = re.split(r"\bAND\b", prompt)
    if len(joined) > 1:
        notes[AND_NOTE] = None
        prompt = ", ".join(PART_WEIGHT.sub("", part).strip() for part in joined)
    reader = _Reader(prompt, steps)
    notes |= reader.notes
    text = prompt if reader.is_common else "".join(_written(reader.pieces))
    return text.strip(), tuple(notes)


def name_embeddings(prompt: str, names: Iterable[str]) -> str:
    """A prompt in which learnt words, named by their bare names there, are marked as such: `embedding:name`."""
    known = {name.casefold(): name for name in names if name and not re.search(r"\s", name)}
    if not known:
        return prompt
    some = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))

    def marked(found: re.Match[str]) -> str:
        before = prompt[found.start() - 1 : found.start()]
        after = prompt[found.end() : found.end() + 1]
        front = " " if before and not before.isspace() and before != "(" else ""
        back = " " if after and not after.isspace() and after not in ":)" else ""
        comma = found[2] or ""
        return f"{front}embedding:{known.get(found[1].casefold(), found[1])}{comma}{back}"

    return re.sub(rf"(?<![\w:.\\/-])({some})(?![\w-])(,?)", marked, prompt, flags=re.IGNORECASE)


def _written(pieces: list[_Piece]) -> Iterator[str]:
    for weight, stretch in groupby(pieces, key=lambda piece: round(piece.weight, 4)):
        text = "".join(piece.text for piece in stretch)
        literal = text.replace("(", "\\(").replace(")", "\\)")
        yield f"({literal}:{weight:g})" if weight != 1 and text.strip() else literal


def _number(text: str) -> float | None:
    """A number as A1111 writes them, without an exponent."""
    return _float(text) if re.fullmatch(r"\s*[+-]?[.\d]+\s*", text[:40]) and len(text) <= 40 else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
