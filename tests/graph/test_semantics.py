"""What nodes may do besides giving values: lists, lazy inputs, blocked values, other nodes, waiting together."""

from __future__ import annotations

import asyncio

import pytest

from graph import (
    Context,
    Engine,
    Lanes,
    MemoryCache,
    Node,
    Registry,
    WeightlessValues,
    plan,
)
from graph.document import Document, DocumentNode, Link
from graph.events import Event, NodeBlocked, NodesAdded
from graph.given import Blocked, Expansion, Many
from tests.graph.semantic_toys import EVERY, go, only_value
from tests.graph.toys import Log, document, graph, ran

# ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_runs_once_for_each_value_of_a_list_and_repeats_the_last_of_a_shorter_one(house: Engine) -> None:
    prompt = document(
        three=("Numbers", {"count": 3}),
        two=("Numbers", {"count": 2}),
        add=("Add", {"a": ["three", 0], "b": ["two", 0]}),
    )
    assert only_value(house, prompt, "add") == Many((0 + 0, 1 + 1, 2 + 1))


def test_a_whole_list_comes_in_one_call_and_a_single_value_as_a_list_of_one(house: Engine, log: Log) -> None:
    prompt = document(
        n=("Numbers", {"count": 4}), one=("Add", {"a": 7}), all=("Total", {"numbers": ["n", 0]}),
        single=("Total", {"numbers": ["one", 0]}), both=("Total", {"numbers": ["n", 0], "each": ["n", 0]}),
    )  # fmt: skip
    assert only_value(house, prompt, "all") == 6
    assert only_value(house, prompt, "single") == 7
    log.ran.clear()
    assert only_value(house, prompt, "both") == Many((6, 7, 8, 9))
    assert ran(log) == ["both"] * 4


def test_an_empty_list_makes_no_call_and_is_handed_on(house: Engine, log: Log) -> None:
    prompt = document(n=("Numbers", {"count": 0}), add=("Add", {"a": ["n", 0]}), all=("Total", {"numbers": ["add", 0]}))
    assert only_value(house, prompt, "add") == Many()
    assert ran(log) == []
    assert only_value(house, prompt, "all") == 0


def test_an_output_node_shows_what_every_call_showed(house: Engine) -> None:
    prompt = document(n=("Numbers", {"count": 3}), s=("Show", {"value": ["n", 0]}))
    assert go(house, prompt, ["s"]).ui == {"s": {"text": [0, 1, 2]}}


# ── lazy inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────


def switch(number: int, *, other: int = 2) -> Document:
    return document(
        odd=("Odd", {"number": number}), yes=("Add", {"a": 1}), no=("Add", {"a": other}),
        if_=("If", {"condition": ["odd", 0], "on_true": ["yes", 0], "on_false": ["no", 0]}),
        after=("Add", {"a": ["if_", 0], "b": 10}),
    )  # fmt: skip


def test_the_branch_that_is_not_taken_is_never_computed(house: Engine, log: Log) -> None:
    assert only_value(house, switch(1), "after") == 11
    assert ran(log) == ["yes", "if_", "after"]
    assert only_value(house, switch(2), "after") == 12
    assert ran(log) == ["no", "if_", "after"]


def test_what_a_lazy_node_asked_for_is_remembered_with_its_result(house: Engine, log: Log) -> None:
    go(house, switch(1), ["after"])
    ran(log)
    result = go(house, switch(1), ["after"])
    assert (ran(log), result.cached) == ([], ("after",))
    assert only_value(house, switch(1, other=3), "after") == 11  # a change in the other branch changes nothing
    assert ran(log) == []


def test_lazy_inputs_of_lists_are_asked_for_if_any_call_needs_them(house: Engine, log: Log) -> None:
    prompt = document(
        n=("Numbers", {"count": 3}), odd=("Odd", {"number": ["n", 0]}), yes=("Add", {"a": 1}), no=("Add", {"a": 2}),
        if_=("If", {"condition": ["odd", 0], "on_true": ["yes", 0], "on_false": ["no", 0]}),
    )  # fmt: skip
    assert only_value(house, prompt, "if_") == Many((2, 1, 2))
    assert sorted(set(ran(log))) == ["if_", "no", "yes"]


def test_a_value_that_a_lazy_node_may_still_ask_for_is_kept(house: Engine, log: Log, lanes: Lanes) -> None:
    """`yes` is done and used up before `if_` asks for it; without a cache it would have to run again."""
    forgetful = Engine(lanes, MemoryCache(0, WeightlessValues()), house.paths, registry=EVERY, resources=[log])
    prompt = document(
        yes=("Add", {"a": 1}), use=("Odd", {"number": ["yes", 0]}),
        if_=("If", {"condition": ["use", 0], "on_true": ["yes", 0], "on_false": 5}),
    )  # fmt: skip
    assert only_value(forgetful, prompt, "if_") == 1
    assert ran(log) == ["yes", "if_"]


def test_a_failure_in_a_branch_that_was_asked_for_is_the_only_one_told(house: Engine) -> None:
    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}), if_=("If", {"condition": True, "on_true": ["bad", 0]}),
        s=("Show", {"value": ["if_", 0]}),
    )  # fmt: skip
    result = go(house, prompt, ["s"])
    assert [failure.node_id for failure in result.failures] == ["bad"]


# ── blocked values ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_takes_a_blocked_value_does_not_run_and_the_first_says_why(house: Engine, log: Log) -> None:
    told: list[Event] = []
    prompt = document(
        b=("Block", {"value": 1, "bad": 1}), add=("Add", {"a": ["b", 0]}), s=("Show", {"value": ["add", 0]}),
        t=("Show", {"value": 5}),
    )  # fmt: skip
    result = go(house, prompt, ["s", "t"], told)
    assert (ran(log), result.failures, result.ui) == (["t"], (), {"t": {"text": [5]}})
    assert [(event.node_id, event.message) for event in told if isinstance(event, NodeBlocked)] == [
        ("add", "it is bad")
    ]


def test_of_a_list_only_the_blocked_elements_are_left_out(house: Engine) -> None:
    prompt = document(
        n=("Numbers", {"count": 3}), b=("Block", {"value": ["n", 0], "bad": 1, "silent": True}),
        add=("Add", {"a": ["b", 0], "b": 10}), s=("Show", {"value": ["add", 0]}),
    )  # fmt: skip
    result = go(house, prompt, ["s", "add"])
    assert result.ui == {"s": {"text": [10, 12]}}
    assert result.outputs["add"] == (Many((10, Blocked(), 12)),)


# ── nodes that make nodes ─────────────────────────────────────────────────────────────────────────────────────────────


def test_nodes_that_a_node_makes_run_in_its_place(house: Engine, log: Log) -> None:
    told: list[Event] = []
    prompt = document(x=("Sum3", {"a": 1, "b": 2, "c": 3}), s=("Show", {"value": ["x", 0]}))
    result = go(house, prompt, ["s", "x"], told)
    assert result.outputs["x"] == (6, 3)
    assert result.ui == {"s": {"text": [6]}, "x.0.show": {"text": [6]}}
    assert sorted(ran(log)) == ["s", "x.0.first", "x.0.second", "x.0.show"]
    (added,) = [event for event in told if isinstance(event, NodesAdded)]
    assert added.parent_id == "x"
    assert {display for _, display in added.nodes} == {"x"}


def test_what_was_let_go_of_is_given_again_by_the_next_node_that_is_equal(
    house: Engine, lanes: Lanes, log: Log
) -> None:
    """Without a cache: `x` is over and its value used when a node that `y` makes, equal to it, comes to need it."""
    forgetful = Engine(lanes, MemoryCache(0, WeightlessValues()), house.paths, registry=EVERY, resources=[log])
    prompt = document(
        x=("Down", {"n": 1}),
        if_=("If", {"condition": ["late", 0], "on_true": ["y", 0]}), late=("Odd", {"number": ["x", 0]}),
        y=("Down", {"n": 3}), t=("Show", {"value": ["if_", 0]}),
    )  # fmt: skip
    result = go(forgetful, prompt, ["t"])
    assert result.failures == ()
    assert result.ui == {"t": {"text": [3]}}


def test_an_expansion_is_remembered_as_its_result(house: Engine, log: Log) -> None:
    prompt = document(x=("Down", {"n": 5}))
    assert only_value(house, prompt, "x") == 5
    ran(log)
    assert only_value(house, prompt, "x") == 5
    assert ran(log) == []
    assert only_value(house, document(y=("Down", {"n": 6})), "y") == 6
    assert len(ran(log)) == 1  # what it makes equals what ran before


def test_calls_that_expand_and_calls_that_do_not_are_put_together_in_order(house: Engine) -> None:
    prompt = document(n=("Numbers", {"count": 4}), x=("Down", {"n": ["n", 0]}))
    assert only_value(house, prompt, "x") == Many((0, 1, 2, 3))


def test_nodes_that_make_nodes_without_end_are_stopped(house: Engine) -> None:
    result = go(house, document(x=("Down", {"n": 21})), ["x"])
    assert "20 times" in str(result.failures[0])
    assert result.failures[0].is_for_people
    assert result.outputs == {}


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("unknown class", "'Ad', which there is not; did you mean Add?"),
        ("circle", "in a circle"),
        ("waits for me", "for its own result"),
        ("no such node", "takes from node nobody, which this run does not have"),
        ("no such output", "takes output 3 of node y"),
        ("missing input", "without the input 'a'"),
        ("taken", "the id a, which another has"),
        ("wrong count", "it declares 1 outputs, but the nodes that it made give 2"),
    ],
)
def test_nodes_that_cannot_run_are_the_fault_of_the_one_that_made_them(house: Engine, how: str, sentence: str) -> None:
    prompt = document(
        a=("Add", {"a": 1}), bad=("Strange", {"how": how}), s=("Show", {"value": ["bad", 0]}),
        good=("Show", {"value": ["a", 0]}),
    )  # fmt: skip
    result = go(house, prompt, ["s", "good"])
    assert [failure.node_id for failure in result.failures] == ["bad"]
    assert sentence in str(result.failures[0])
    assert result.ui == {"good": {"text": [1]}}


def test_a_failure_inside_names_the_inner_node_and_the_one_that_stands_for_it(house: Engine) -> None:
    class Breaks(Node[int]):
        def run(self, ctx: Context) -> Expansion:
            return Expansion(Document({"d": DocumentNode("Divide", {"a": 1, "b": 0})}, {}), (Link("d", 0),), local=True)

    registry = Registry(*EVERY.values(), Breaks)
    prompt = document(x=("Breaks", {}), s=("Show", {"value": ["x", 0]}))
    result = asyncio.run(house.run(plan(graph(prompt, house.paths, registry))))
    (failure,) = result.failures
    assert (failure.node_id, failure.display_id, failure.class_type) == ("x.0.d", "x", "Divide")
