"""Texts with alternatives and dates: which texts they can have been sent as."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.read.texts import choose_parts, fill_in
from graph.write.outcomes import may_be_filled_in, may_become

TEXTS = st.text("ab{|}\\/* \n", max_size=20)


@given(TEXTS, st.data())
def test_every_outcome_of_a_text_is_one(text: str, data: st.DataObject) -> None:
    outcome = choose_parts(text, lambda count: data.draw(st.integers(0, count - 1)))
    assert may_become(text, outcome)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("a {b|c}", "a d"), ("{a|b} {a|b}", "a"), ("a // b", "a // b"), ("", "a"), ("{a}", "{a}"), ("a{|b}", "ac")],
)
def test_other_texts_are_none(text: str, outcome: str) -> None:
    assert not may_become(text, outcome)


@pytest.mark.parametrize("text", ["{a|aa}" * 3000, "{" * 15000, "{a|" * 5000, "{{a|aa}|{a|aaa}}" * 1000])
def test_a_text_that_could_become_endlessly_many_is_looked_at_for_a_bounded_time(text: str) -> None:
    assert not may_become(text, "a" * 9000 + "b")


@given(st.text("x /d", max_size=5), st.datetimes(), st.datetimes())
def test_a_name_with_a_date_can_be_that_of_any_day(name: str, one: datetime, other: datetime) -> None:
    def unknown(node: str, widget: str) -> object:
        raise KeyError

    text = f"{name} %date:yyyy-M-dd hh:mm%"
    assert may_be_filled_in(text, fill_in(text, one, unknown), fill_in(text, other, unknown))
    assert not may_be_filled_in(text, fill_in(text, one, unknown), f"{fill_in(text, other, unknown)}!")


@pytest.mark.parametrize("text", ["20", "%width%", "%date%", "%a.b%", "%date:x%"])
def test_a_name_without_a_date_is_what_it_is(text: str) -> None:
    assert not may_be_filled_in(text, "20", "30")
