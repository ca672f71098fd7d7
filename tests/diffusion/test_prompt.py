"""The prompt's grammar: weights, escapes, chunks, embeddings."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffusion.text.prompt import Format, Segment, Token, chunks, segments
from diffusion.text.tokenizer import tokenize

# The file says where it is from.
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "tokens.json").read_text())
SYNTH = torch.tensor(
    [  # the first numbers of its three vectors, as the recorded tokens have them
        [-0.343854, -0.65585, -0.745356, 0.422969],
        [-0.352237, -0.348753, 0.678888, -0.016368],
        [0.218688, 0.161739, 0.549809, -0.34621],
    ]
)


def nothing(name: str) -> None:
    return None


def synth(name: str) -> list[Tensor] | None:
    return list(SYNTH) if name in ("synth_ti_golden", "synth_ti_golden.safetensors") else None


def ids(chunk: list[Token]) -> list[object]:
    return [token.value for token in chunk]


@pytest.mark.parametrize("recorded", GOLDEN["prompts"], ids=lambda recorded: ascii(recorded["prompt"])[:40])
def test_tokens_weights_and_words_are_those_recorded(recorded: dict[str, object]) -> None:
    def readable(value: object, weight: object, word: int) -> str:
        value = [round(number, 5) for number in value.tolist()] if isinstance(value, Tensor) else value
        value = [round(number, 5) for number in value] if isinstance(value, list) else value
        return f"{value} {float(weight)} {word}"  # type: ignore[arg-type]

    ours = [[readable(*token) for token in chunk] for chunk in chunks(recorded["prompt"], synth, Format())]
    theirs = [
        [readable(value, weight, word) for weight, word, values in runs for value in values]
        for runs in recorded["chunks"]
    ]
    assert ours == [chunk + [readable(49407, 1.0, 0)] * (77 - len(chunk)) for chunk in theirs]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("((a:1.2))", [("a", 1.2)]),
        ("a (b (c:0.5) d:1.2) e", [("a ", 1), ("b ", 1.2), ("c", 0.5), (" d", 1.2), (" e", 1)]),
        (r"\(a\) (\(b\):1.5)", [("(a) ", 1), ("(b)", 1.5)]),
        (r"(a\:1.2)", [("a\\", 1.2)]),
        (r"(a \)", [("(a )", 1)]),
        ("(open (closed:2)", [("open ", 2), ("(closed", 2)]),
        ("(open (closed:2) on", [("(open (closed:2) on", 1)]),
        ("a) (b:2) (c:2)", [("a) (b:2) (c:2)", 1)]),
        (")((a:2)", [(")(", 1), ("a", 2)]),
        ("(a:)", [("a:", 1.1)]),
        ("(a b:one)", [("a b:one", 1.1)]),
    ],
)
def test_weights(prompt: str, expected: list[tuple[str, float]]) -> None:
    found = list(segments(prompt))
    assert [segment.text for segment in found] == [text for text, _ in expected]
    assert [segment.weight for segment in found] == pytest.approx([weight for _, weight in expected])


def test_nesting_has_no_limit() -> None:
    [segment] = segments("(" * 3000 + "a" + ")" * 3000)
    assert segment.text == "a"
    assert math.log(segment.weight) == pytest.approx(3000 * math.log(1.1))


@given(st.text(st.characters(), max_size=60))
def test_every_text_is_a_prompt(prompt: str) -> None:
    assert {len(chunk) for chunk in chunks(prompt, nothing, Format())} == {77}


@given(st.text(st.sampled_from("ab (),:\\1.2"), max_size=40))
def test_every_pile_of_the_grammars_own_characters_is_a_prompt(prompt: str) -> None:
    assert {len(chunk) for chunk in chunks(prompt, nothing, Format())} == {77}


@given(st.text(st.characters(exclude_characters="()"), max_size=40))
def test_plain_text_is_one_segment_of_weight_1(prompt: str) -> None:
    assert list(segments(prompt)) == ([Segment(prompt, 1.0)] if prompt else [])


@given(st.text(st.sampled_from("ab ()"), max_size=30))
def test_escaped_parentheses_are_text(text: str) -> None:
    escaped = text.replace("(", r"\(").replace(")", r"\)")
    assert list(segments(escaped)) == ([Segment(text, 1.0)] if text else [])


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_number_sets_the_weight_whatever_it_was_outside(outer: float, inner: float) -> None:
    assert list(segments(f"(a (b:{inner}):{outer})")) == [Segment("a ", outer), Segment("b", inner)]


def test_padding_is_the_encoders_own() -> None:
    [chunk] = chunks("a", nothing, Format(pad=0))
    assert ids(chunk) == [49406, 320, 49407] + [0] * 74


def test_a_long_group_is_cut_where_the_chunk_ends() -> None:
    first, second = chunks("cat " * 80, nothing, Format())
    assert ids(first) == [49406] + [2368] * 75 + [49407]
    assert ids(second) == [49406] + [2368] * 5 + [49407] * 71


def test_a_chunk_filled_to_its_last_place_needs_no_other() -> None:
    assert len(chunks("cat " * 75, nothing, Format())) == 1


@pytest.mark.parametrize(("words", "in_first"), [(7, 70), (8, 75)])
def test_a_group_of_fewer_than_8_tokens_moves_whole(words: int, in_first: int) -> None:
    first, second = chunks("cat " * 70 + "(" + "dog " * words + ":2)", nothing, Format())
    assert ids(first)[: in_first + 2] == [49406] + [2368] * 70 + [1929] * (in_first - 70) + [49407]
    assert [token.weight for token in second].count(2.0) == 70 + words - in_first


def test_an_embeddings_vectors_take_places_and_weight() -> None:
    [chunk] = chunks("a (embedding:synth_ti_golden:1.5), b", synth, Format())
    assert [token.value.tolist() for token in chunk[2:5] if isinstance(token.value, Tensor)] == SYNTH.tolist()
    assert [token.weight for token in chunk[:7]] == [1, 1, 1.5, 1.5, 1.5, 1, 1]


def test_without_a_way_to_load_embeddings_their_names_are_text() -> None:
    [chunk] = chunks("cat embedding:x", None, Format())
    assert ids(chunk)[1:6] == [2368, *tokenize("embedding:x")]


def test_a_comma_after_an_embeddings_name_is_text() -> None:
    [chunk] = chunks("embedding:synth_ti_golden, cat", synth, Format())
    assert ids(chunk)[4:7] == [*tokenize(", cat"), 49407]


def test_a_name_that_ends_in_a_comma_is_found_first() -> None:
    [chunk] = chunks("embedding:odd, cat", lambda name: list(SYNTH) if name == "odd," else None, Format())
    assert ids(chunk)[4:6] == [2368, 49407]


@pytest.mark.parametrize(
    ("prompt", "left", "said"),
    [
        ("embedding:nowhere, cat", ", cat", "embedding:nowhere is left out"),
        ("embedding:", "", "write embedding:name"),
        ("cat embedding:, dog", "cat, dog", "write embedding:name"),
    ],
)
def test_an_embedding_that_is_not_there_is_left_out_with_a_warning(
    prompt: str, left: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        [chunk] = chunks(prompt, nothing, Format())
    assert ids(chunk)[1 : 1 + len(tokenize(left)) + 1] == [*tokenize(left), 49407]
    assert [record.getMessage() for record in caplog.records if said in record.getMessage()]
