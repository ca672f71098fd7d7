"""The tokeniser of OpenAI's CLIP (Radford et al. 2021, arXiv:2103.00020): text in, ids of 49,408 words out."""

from __future__ import annotations

import gzip
import unicodedata
from functools import cache
from itertools import islice
from pathlib import Path

import regex
from tokenizers.models import BPE

START = 49406
END = 49407

_VOCABULARY = Path(__file__).parents[2] / "models" / "tokenizers" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
_MERGES = 49152 - 256 - 2  # the file lists more pairs than CLIP was trained with
_SPECIAL = {"<|startoftext|>": START, "<|endoftext|>": END}
_SPECIAL_PATTERN = regex.compile("(" + "|".join(map(regex.escape, _SPECIAL)) + ")")
_WORD_PATTERN = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE
)
# Chinese characters as Unicode's blocks list them: CLIP's vocabulary has none, so each stands as a word of its own.
_IDEOGRAPH_PATTERN = regex.compile(
    "([\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f"
    "\U0002b820-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f])"
)


def tokenize(text: str) -> list[int]:
    """The ids of a text, without start, end or padding, and without a limit on their number.

    The words `<|startoftext|>` and `<|endoftext|>` are the ids that they name. Any string is accepted.
    """
    ids: list[int] = []
    for part in _SPECIAL_PATTERN.split(text):
        if part in _SPECIAL:
            ids.append(_SPECIAL[part])
        else:
            for word in _WORD_PATTERN.findall(_normalise(part)):
                ids.extend(_word_ids(word))
    return ids


def _normalise(text: str) -> str:
    """Lower case, composed characters (NFC), ideographs apart, nothing invisible but white space."""
    visible = "".join(
        char
        for char in text
        if char in "\t\n\r" or not (char == "\ufffd" or unicodedata.category(char).startswith("C"))
    )
    return unicodedata.normalize("NFC", _IDEOGRAPH_PATTERN.sub(r" \1 ", visible)).lower()


def _word_ids(word: str) -> list[int]:
    if word in _SPECIAL:
        return [_SPECIAL[word]]
    letters = _byte_letters()
    return [token.id for token in _pair_encoding().tokenize("".join(letters[byte] for byte in word.encode()))]


@cache
def _byte_letters() -> dict[int, str]:
    """A printable character for every byte, in the vocabulary's order: most Latin-1 bytes are their own."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + n) for n, byte in enumerate(others)}


@cache
def _pair_encoding() -> BPE:
    """Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) with CLIP's merges; `</w>` marks a word's end."""
    with gzip.open(_VOCABULARY, "rt", encoding="utf-8") as lines:
        merges = [(first, second) for first, second in map(str.split, islice(lines, 1, _MERGES + 1))]
    letters = list(_byte_letters().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *(first + second for first, second in merges)]
    return BPE(vocab={word: index for index, word in enumerate(words)}, merges=merges, end_of_word_suffix="</w>")
