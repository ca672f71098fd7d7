"""Ids of the CLIP vocabulary."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion.text.tokenizer import END, tokenize

VOCABULARY = Path(__file__).parents[2] / "models" / "tokenizers" / "clip"


def test_the_vocabulary_is_the_published_file_and_has_its_licence() -> None:
    content = (VOCABULARY / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
    assert "MIT License" in (VOCABULARY / "LICENSE").read_text()


# What CLIPTokenizer of transformers 4.57.6 gives, without ftfy.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("ΟΔΟΣ Σ", [138, 123, 138, 112, 138, 123, 139, 480, 139, 481]),  # a sigma at a word's end, and alone
        ("İstanbul", [328, 16384, 11231]),
        ("it'\u017f", [585, 6, 129, 379]),  # a long s makes no contraction
        ("x<|endoftext|>y", [343, 49407, 344]),
        ("!<|endoftext|>!", [256, 49407, 256]),
        ("x<|EndOfText|>y", [343, 49407, 344]),
        ("a\u00adb\u200dc", [5334]),  # invisible characters are gone
        ("e\u0301", [4166]),
        ("\ufffd\u0007ok", [2481]),
        ("中文ab", [19759, 511, 29032, 485, 3937]),
        ("\u00a0a\u2028b", [320, 321]),
        ("100² ١٢", [272, 271, 271, 41175, 149, 350, 149, 351]),
    ],
)
def test_strange_text(text: str, ids: list[int]) -> None:
    assert tokenize(text) == ids


@given(st.text(st.characters(), max_size=40))
def test_any_text_has_ids_of_the_vocabulary(text: str) -> None:
    assert all(0 <= token <= END for token in tokenize(text))


def test_a_lone_surrogate_is_invisible() -> None:
    assert tokenize("ca\ud800t") == tokenize("cat")
