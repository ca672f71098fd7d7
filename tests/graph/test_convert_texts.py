"""Texts that are sent otherwise than they are saved: choices in braces, comments, dates and values in file names."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.read.texts import choose_parts, date_text, fill_in, plain_text
from tests.graph.editor_graphs import Drawing, inputs, values


def first(count: int) -> int:
    return 0


def last(count: int) -> int:
    return count - 1


@pytest.mark.parametrize(
    ("text", "choose", "chosen"),
    [
        ("a {red|blue} b", first, "a red b"),
        ("a {red|blue} b", last, "a blue b"),
        ("{a|b} {c|d}", last, "b d"),
        ("{x{1|2}|y{3|{4|5}}}", first, "x1"),
        ("{x{1|2}|y{3|{4|5}}}", last, "y5"),
        ("{|none}{some|}.", first, "some."),
        ("{single} a|b }", first, "single a|b }"),
        (r"\{a|b\} {p\|q|r} C:\path \\", first, r"{a|b} p|q C:\path \\"),
        ("open {a|b and } closed}", first, "open a closed}"),
        ("open {a|{b|c", last, "open c"),
        ("open {a", first, "open a"),
        ("a\\", first, "a\\"),
    ],
)
def test_one_alternative_is_chosen(text: str, choose: Callable[[int], int], chosen: str) -> None:
    assert choose_parts(text, choose) == chosen


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a /* b\nc */ d", "a  d"),
        ("a // b\nc", "a \nc"),
        ("https://example.org/x y", "https:"),
        ("/* open", "/* open"),
        ("a / b */ c /", "a / b */ c /"),
        ("/*/ a */b", "b"),
        ("// a /* b\nc */", "\nc */"),
        ("{a /* | */ b|c}", "a  b"),
    ],
)
def test_comments_are_taken_out(text: str, left: str) -> None:
    assert choose_parts(text, first) == left


@given(st.text("{}|\\/* ab\n", max_size=60))
def test_any_text_comes_out_without_more_in_it_than_went_in(text: str) -> None:
    for choose in (first, last):
        chosen = choose_parts(text, choose)
        assert len(chosen) <= len(text)
        assert set(chosen) <= set(text)


@pytest.mark.parametrize(
    "text", ["{" * 100_000, "{a|" * 50_000 + "}" * 50_000, "/*" * 100_000, "*/" + "/*" * 100_000, "/" * 99_999]
)
def test_a_long_text_takes_no_longer_than_its_length_asks(text: str) -> None:
    assert len(choose_parts(text, last)) <= len(text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("yyyy-MM-dd_hhmmss", "2031-02-03_040506"), ("yy M d h m s", "31 2 3 4 5 6"), ("y yyy dddd", "y yyy 0303"),
        ("", ""), ("Tag", "Tag"),
    ],
)  # fmt: skip
def test_a_date_in_any_form(form: str, text: str) -> None:
    assert date_text(form, datetime(2031, 2, 3, 4, 5, 6)) == text


NAMED = {("KSampler", "seed"): 5, ("Load", "file"): 'a/b\\c:"*?<>|\n.ckpt', ("A", "none"): None, ("A", "on"): True}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("%date:yyyy%/x", "2031/x"),
        ("%date:dd.MM.yy%", "03"),
        ("%date:dd.MM%", "%date:dd.MM%"),  # a widget MM of a node date:dd, as far as the editor can see
        ("%KSampler.seed%-%KSampler.steps%", "5-%KSampler.steps%"),
        ("%Load.file%", "a_b_c________.ckpt"),
        ("%A.none%%A.on%", "true"),
        ("%width%x%height% 50% 100%", "%width%x%height% 50% 100%"),
        ("%a.b.c%", "%a.b.c%"),
        ("%", "%"),
    ],
)
def test_patterns_are_filled_in(text: str, filled: str) -> None:
    assert fill_in(text, datetime(2031, 2, 3), lambda node, widget: NAMED[node, widget]) == filled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.00005, "0.00005"),
        (-0.5, "-0.5"),
        (2**64, "18446744073709551616"),
        (None, ""),
    ],
)
def test_numbers_are_written_as_the_editor_writes_them(value: Any, text: str) -> None:
    assert plain_text(value) == text


def test_lists_without_end_are_cut() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert plain_text(deep) == ""


# -- in workflows


def prefix(text: str, made: Drawing) -> Any:
    return inputs(made.node(9, "SaveImage", [text]).workflow())["9"]["filename_prefix"]


def test_a_node_is_found_by_its_name_for_texts_then_by_its_title_and_the_first_one_counts() -> None:
    alias = {"Node name for S&R": "Sizes"}
    made = Drawing().node(1, "Empty", [1, 2], title="Sizes").node(2, "Empty", [3, 4], properties=alias)
    made.node(3, "Empty", [5, 6], properties=alias).node(4, "Empty", [7, 8], title="Other/one")
    assert prefix("%Sizes.width% %Other/one.width% %Empty.width% %The Empty.width%", made) == "3 7 1 3"


def test_values_are_those_that_were_written_not_those_that_are_sent() -> None:
    assert prefix("%Text.text%", Drawing().node(1, "Text", ["{a|b} %x%"])) == "{a_b} %x%"


def test_nodes_inside_of_subgraphs_are_found_and_so_are_primitives() -> None:
    inside = Drawing().node(1, "Words", ["inner"]).subgraph("sub")
    made = Drawing().node(5, "sub").node(6, "PrimitiveNode", ["of primitive"]).node(7, "Text", ["old"])
    made.wire(6, 0, 7, "text").node(9, "SaveImage", ["%Words.text% %Text.text%"])
    assert inputs(made.workflow(inside))["9"] == {"filename_prefix": "inner of primitive"}


def test_only_names_of_files_to_save_are_filled_in() -> None:
    assert values("Words", ["%date:yyyy%"]) == {"text": "%date:yyyy%"}
    assert values("SaveImage", ["%date:yyyy%"]) == {"filename_prefix": "2031"}
    assert values("SaveImage", [5]) == {"filename_prefix": 5}


def test_a_name_too_long_for_a_file_is_left_alone() -> None:
    text = "%Text.text%" * 1000
    assert prefix(text, Drawing().node(1, "Text", ["a" * 100_000])) == text
