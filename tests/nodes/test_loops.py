"""Loops and conditions in whole workflows: what comes out, what runs, what is remembered, how they end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nodes.logic
import nodes.loops
from graph import Context, Engine, Int, Lanes, MemoryCache, Node, Paths, Registry, Result, WeightlessValues, plan
from graph.document import Document
from graph.events import Event, NodeFinished, NodeProgress, NodesAdded
from graph.given import Many
from graph.result import Limits
from graph.validate import validate
from tests.graph.toys import REGISTRY, Log, document, graph, problems, ran


class Below(Node[bool]):
    """Whether a number is below another."""

    a: int = Int(default=0)
    b: int = Int(default=0)

    def run(self, ctx: Context) -> bool:
        return self.a < self.b


class Numbers(Node[list[int]]):
    """Gives the numbers below another, one by one."""

    count: int = Int(default=3)

    def run(self, ctx: Context) -> list[int]:
        return list(range(self.count))


class FailAt(Node[int]):
    """Fails at one number."""

    value: int = Int(default=0)
    at: int = Int(default=0)

    def run(self, ctx: Context) -> int:
        if self.value == self.at:
            raise ZeroDivisionError
        return self.value


def built_in(module: Any) -> list[Any]:
    return list(Registry.scan_module(module).values())


EVERY = Registry(*REGISTRY.values(), *built_in(nodes.loops), *built_in(nodes.logic), Below, Numbers, FailAt)


@pytest.fixture
def house(tmp_path: Path, log: Log) -> Iterator[Engine]:
    with Lanes() as lanes:
        cache = MemoryCache(10**9, WeightlessValues())
        yield Engine(lanes, cache, Paths(tmp_path), resources=[log], limits=Limits(nodes=2_000))


@pytest.fixture
def log() -> Log:
    return Log()


def go(house: Engine, prompt: Document, told: list[Event] | None = None, targets: list[str] | None = None) -> Result:
    planned = plan(graph(prompt, house.paths, EVERY, targets))
    return asyncio.run(house.run(planned, sink=None if told is None else told.append))


def summing(count: Any, **more: Any) -> Document:
    """0 + 0 + 1 + 2 + …: value0 is the sum, and each iteration adds its number."""
    return document(
        start=("ForLoopStart", {"count": count, "value0": 0}), body=("Add", {"a": ["start", 2], "b": ["start", 1]}),
        end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}), show=("Show", {"value": ["end", 0]}), **more,
    )  # fmt: skip


@pytest.mark.parametrize(("count", "total"), [(1, 0), (2, 1), (5, 10), (100, 4950)])
def test_a_for_loop_hands_its_values_from_iteration_to_iteration(
    house: Engine, log: Log, count: int, total: int
) -> None:
    assert go(house, summing(count)).ui == {"show": {"text": [total]}}
    assert len(ran(log)) == count + 1


def test_a_loop_of_no_iterations_gives_what_it_began_with_and_its_body_never_runs(house: Engine, log: Log) -> None:
    prompt = summing(0, inner=("Show", {"value": ["body", 0]}))
    assert go(house, prompt).ui == {"show": {"text": [0]}}
    assert ran(log) == ["show"]


def test_a_while_loop_goes_on_as_long_as_its_condition_holds(house: Engine, log: Log) -> None:
    prompt = document(
        start=("WhileLoopStart", {"value0": 1}), body=("Add", {"a": ["start", 2], "b": ["start", 2]}),
        more=("Below", {"a": ["body", 0], "b": 100}),
        end=("WhileLoopEnd", {"loop": ["start", 0], "condition": ["more", 0], "value0": ["body", 0], "limit": 50}),
        show=("Show", {"value": ["end", 0]}),
    )  # fmt: skip
    assert go(house, prompt).ui == {"show": {"text": [128]}}
    assert len(ran(log)) == 7 + 1


def test_a_while_loop_that_does_not_end_is_stopped_with_a_sentence(house: Engine) -> None:
    prompt = document(
        start=("WhileLoopStart", {}), more=("Below", {"a": ["start", 1], "b": 10**6}),
        end=("WhileLoopEnd", {"loop": ["start", 0], "condition": ["more", 0], "limit": 5}),
        show=("Show", {"value": ["start", 1]}),
    )  # fmt: skip
    result = go(house, prompt, targets=["end"])
    (failure,) = result.failures
    assert failure.is_for_people
    assert failure.display_id == "end"
    assert "after 5 iterations" in str(failure)


def test_a_count_beyond_the_limit_is_a_problem_of_the_document(house: Engine) -> None:
    (problem,) = problems(validate(summing(10**7), EVERY, house.paths))
    assert problem.kind == "value_bigger_than_max"
    assert (problem.node_id, problem.input) == ("start", "count")


def test_a_run_with_too_many_nodes_is_stopped_with_a_sentence(house: Engine) -> None:
    (failure,) = go(house, summing(100_000)).failures
    assert "more than 2000" in str(failure)


def test_what_became_of_each_value_of_a_list_comes_out_as_a_list(house: Engine, log: Log) -> None:
    prompt = document(
        n=("Numbers", {"count": 4}), start=("MapListStart", {"items": ["n", 0]}),
        body=("Add", {"a": ["start", 1], "b": ["start", 3]}),
        end=("MapListEnd", {"loop": ["start", 0], "value": ["body", 0]}), show=("Show", {"value": ["end", 0]}),
    )  # fmt: skip
    result = go(house, prompt, targets=["end", "show"])
    assert result.outputs["end"] == (Many((4, 5, 6, 7)),)
    assert result.ui == {"show": {"text": [4, 5, 6, 7]}}


def test_a_list_goes_round_as_a_whole(house: Engine, log: Log) -> None:
    prompt = document(
        n=("Numbers", {"count": 3}), start=("ForLoopStart", {"count": 2, "value0": ["n", 0]}),
        body=("Add", {"a": ["start", 2], "b": 10}),
        end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}),
    )  # fmt: skip
    assert go(house, prompt, targets=["end"]).outputs["end"][0] == Many((20, 21, 22))
    assert ran(log) == ["body"] * 3 + ["end.1.body"] * 3


def test_an_output_node_that_fails_inside_a_loop_does_not_stop_it(house: Engine) -> None:
    prompt = summing(3, bad=("FailAt", {"value": ["start", 1], "at": 1}), inner=("Show", {"value": ["bad", 0]}))
    result = go(house, prompt)
    assert [failure.node_id for failure in result.failures] == ["end.1.bad"]
    assert result.ui["show"] == {"text": [3]}
    assert "end.2.inner" in result.ui


def test_a_map_over_an_empty_list_gives_an_empty_list(house: Engine, log: Log) -> None:
    prompt = document(
        n=("Numbers", {"count": 0}), start=("MapListStart", {"items": ["n", 0]}), body=("Add", {"a": ["start", 1]}),
        end=("MapListEnd", {"loop": ["start", 0], "value": ["body", 0]}),
    )  # fmt: skip
    assert go(house, prompt, targets=["end"]).outputs == {"end": (Many(),)}
    assert ran(log) == []


def test_output_nodes_of_the_body_run_in_each_iteration_even_if_the_loop_is_remembered(house: Engine, log: Log) -> None:
    prompt = summing(3, inner=("Show", {"value": ["body", 0]}))
    shown = {"show": {"text": [3]}, "inner": {"text": [0]}, "end.1.inner": {"text": [1]}, "end.2.inner": {"text": [3]}}
    for _ in range(2):
        assert go(house, prompt).ui == shown
    assert ran(log).count("body") == 1


def test_the_nodes_of_an_iteration_are_siblings_that_stand_for_those_of_the_document(house: Engine) -> None:
    told: list[Event] = []
    go(house, summing(3), told)
    added = [event for event in told if isinstance(event, NodesAdded)]
    assert [event.parent_id for event in added] == ["end", "end"]
    assert added[1].nodes == (("end.2.start", "start"), ("end.2.body", "body"), ("end.2.end", "end"))
    progress = [(event.display_id, event.value, event.total) for event in told if isinstance(event, NodeProgress)]
    assert progress == [("end", 1, 3), ("end", 2, 3)]
    ended = [event.node_id for event in told if isinstance(event, NodeFinished)]
    assert sorted(ended) == sorted({*ended})
    assert {"end", "end.1.end", "end.2.end"} <= {*ended}


def test_loops_within_loops(house: Engine, log: Log) -> None:
    """The inner loop adds its iteration's number, 0 + 1 + 2, in each of the outer's four iterations."""
    prompt = document(
        outer=("ForLoopStart", {"count": 4, "value0": 0}), inner=("ForLoopStart", {"count": 3, "value0": ["outer", 2]}),
        body=("Add", {"a": ["inner", 2], "b": ["inner", 1]}),
        inner_end=("ForLoopEnd", {"loop": ["inner", 0], "value0": ["body", 0]}),
        plus=("Add", {"a": ["inner_end", 0], "b": ["outer", 1]}),
        outer_end=("ForLoopEnd", {"loop": ["outer", 0], "value0": ["plus", 0]}),
        show=("Show", {"value": ["outer_end", 0]}),
    )  # fmt: skip
    assert go(house, prompt).ui == {"show": {"text": [4 * 3 + 0 + 1 + 2 + 3]}}
    assert len(ran(log)) == 4 * 3 + 4 + 1


def test_a_loop_uses_what_lies_outside_without_computing_it_again(lanes_without_cache: Engine, log: Log) -> None:
    prompt = document(
        outside=("Add", {"a": 7}), start=("ForLoopStart", {"count": 5, "value0": 0}),
        body=("Add", {"a": ["start", 2], "b": ["outside", 0]}),
        end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}), show=("Show", {"value": ["end", 0]}),
    )  # fmt: skip
    assert go(lanes_without_cache, prompt).ui == {"show": {"text": [35]}}
    assert ran(log).count("outside") == 1


@pytest.fixture
def lanes_without_cache(tmp_path: Path, log: Log) -> Iterator[Engine]:
    with Lanes() as lanes:
        yield Engine(lanes, MemoryCache(0, WeightlessValues()), Paths(tmp_path), resources=[log])


def test_a_loop_is_remembered_as_its_result_and_a_longer_one_shares_its_beginning(house: Engine, log: Log) -> None:
    first = go(house, summing(4))
    ran(log)
    assert go(house, summing(4)).ui == first.ui
    assert ran(log) == ["show"]


def test_an_iteration_that_fails_ends_the_loop_and_leaves_other_outputs_alone(house: Engine) -> None:
    prompt = document(
        start=("ForLoopStart", {"count": 5}), body=("FailAt", {"value": ["start", 1], "at": 2}),
        end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}), show=("Show", {"value": ["end", 0]}),
        good=("Show", {"value": 1}),
    )  # fmt: skip
    result = go(house, prompt)
    assert [(failure.node_id, failure.display_id) for failure in result.failures] == [("end.2.body", "body")]
    assert result.ui == {"good": {"text": [1]}}


def test_a_loop_can_be_cancelled_between_iterations(house: Engine) -> None:
    prompt = document(
        start=("WhileLoopStart", {}), more=("Below", {"a": ["start", 1], "b": 10**6}),
        end=("WhileLoopEnd", {"loop": ["start", 0], "condition": ["more", 0], "limit": 100_000}),
    )  # fmt: skip
    planned = plan(graph(prompt, house.paths, EVERY, ["end"]))

    async def scene() -> None:
        loop, third = asyncio.get_running_loop(), asyncio.Event()

        def sink(event: Event) -> None:
            if isinstance(event, NodeProgress) and event.value == 3:
                loop.call_soon_threadsafe(third.set)

        task = asyncio.create_task(house.run(planned, sink=sink))
        await third.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())


def test_a_condition_inside_a_loop_computes_one_branch_in_each_iteration(house: Engine, log: Log) -> None:
    prompt = document(
        start=("ForLoopStart", {"count": 4, "value0": 0}), low=("Below", {"a": ["start", 1], "b": 2}),
        one=("Add", {"a": ["start", 2], "b": 1}), ten=("Add", {"a": ["start", 2], "b": 10}),
        if_=("LazyIf", {"condition": ["low", 0], "on_true": ["one", 0], "on_false": ["ten", 0]}),
        end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["if_", 0]}), show=("Show", {"value": ["end", 0]}),
    )  # fmt: skip
    assert go(house, prompt).ui == {"show": {"text": [22]}}
    assert ran(log) == ["one", "end.1.one", "end.2.ten", "end.3.ten", "show"]


def test_a_switch_computes_only_the_value_of_its_number(house: Engine, log: Log) -> None:
    values = {f"v{number}": ("Add", {"a": number * 10}) for number in range(7)}
    wired = {f"value{number}": [f"v{number}", 0] for number in range(7)}
    prompt = document(**values, s=("LazySwitch", {"index": 6, **wired}))
    assert go(house, prompt, targets=["s"]).outputs == {"s": (60,)}
    assert ran(log) == ["v6"]


def test_a_switch_without_that_value_says_which_there_are(house: Engine) -> None:
    prompt = document(v=("Add", {"a": 1}), s=("LazySwitch", {"index": 3, "value0": ["v", 0]}))
    (failure,) = go(house, prompt, targets=["s"]).failures
    assert str(failure) == (
        "LazySwitch (node s) failed: index is 3, but nothing is linked to value3; there is: value0."
    )


def test_a_loop_without_a_start_says_so(house: Engine) -> None:
    (problem,) = problems(validate(document(e=("ForLoopEnd", {})), EVERY, house.paths, targets=["e"]))
    assert (problem.kind, problem.input) == ("required_input_missing", "loop")


def test_output_nodes_of_the_body_run_in_each_iteration_even_if_what_comes_after_the_loop_is_remembered(
    house: Engine, log: Log
) -> None:
    prompt = document(
        start=("ForLoopStart", {"count": 3, "value0": 0}), body=("Add", {"a": ["start", 2], "b": ["start", 1]}),
        inner=("Show", {"value": ["body", 0]}), end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}),
        after=("Add", {"a": ["end", 0]}), more=("Add", {"a": ["after", 0]}), show=("Show", {"value": ["more", 0]}),
    )  # fmt: skip
    first = go(house, prompt).ui
    assert set(first) == {"inner", "show", "end.1.inner", "end.2.inner"}
    ran(log)
    assert go(house, prompt).ui == first
    assert sorted(ran(log)) == ["end.1.inner", "end.2.inner", "inner", "show"]


def test_a_loop_in_a_branch_that_was_not_taken_stays_untouched_when_the_choice_is_remembered(
    house: Engine, log: Log
) -> None:
    prompt = document(
        start=("ForLoopStart", {"count": 3, "value0": 0}), body=("Add", {"a": ["start", 2], "b": 1}),
        inner=("Show", {"value": ["body", 0]}), end=("ForLoopEnd", {"loop": ["start", 0], "value0": ["body", 0]}),
        if_=("LazyIf", {"condition": False, "on_true": ["end", 0], "on_false": 7}),
        show=("Show", {"value": ["if_", 0]}),
    )  # fmt: skip
    for _ in range(2):
        assert go(house, prompt).ui == {"inner": {"text": [1]}, "show": {"text": [7]}}


def test_a_loop_may_have_several_ends_and_saves_once(house: Engine, log: Log) -> None:
    prompt = document(
        numbers=("Numbers", {"count": 4}), start=("MapListStart", {"items": ["numbers", 0]}),
        one=("Add", {"a": ["start", 1], "b": 1}), ten=("Add", {"a": ["start", 1], "b": 10}),
        inner=("Show", {"value": ["one", 0]}),
        ones=("MapListEnd", {"loop": ["start", 0], "value": ["one", 0]}), s1=("Show", {"value": ["ones", 0]}),
        tens=("MapListEnd", {"loop": ["start", 0], "value": ["ten", 0]}), s2=("Show", {"value": ["tens", 0]}),
    )  # fmt: skip
    ui = go(house, prompt).ui
    assert (ui["s1"], ui["s2"]) == ({"text": [1, 2, 3, 4]}, {"text": [10, 11, 12, 13]})
    shown = sorted(ui[node_id]["text"][0] for node_id in ui if node_id.endswith("inner"))
    assert shown == [1, 2, 3, 4]


def test_an_end_that_is_linked_to_its_start_through_another_node_says_so(house: Engine) -> None:
    prompt = document(
        start=("ForLoopStart", {"count": 3, "value0": 0}), if_=("LazyIf", {"condition": True, "on_true": ["start", 0]}),
        end=("ForLoopEnd", {"loop": ["if_", 0], "value0": ["start", 2]}),
    )  # fmt: skip
    (failure,) = go(house, prompt, targets=["end"]).failures
    assert str(failure) == (
        "ForLoopEnd (node end) failed: it ends a loop that comes from LazyIf (node if_), which begins none; "
        "link its input 'loop' directly to the loop's start."
    )
