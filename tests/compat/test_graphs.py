"""V1 classes that ask for inputs, and those that give graphs to run in their place."""

import pytest

from graph.events import NodesAdded, NodeStarted
from graph.given import Many
from tests.compat.house import House, Prompt

SOURCES: Prompt = {
    "a": ("ToyAdd", {"a": 1, "b": ["z", 0]}),
    "b": ("ToyAdd", {"a": 2, "b": ["z", 0]}),
    "z": ("ToyAdd", {"a": 0}),
}
NUMBERS = ("ToyNumbers", {"text": "1 2 3"})


class TestLazy:
    @pytest.mark.parametrize(("mask", "ran"), [(0, ["a"]), (1, ["b"]), (0.5, ["a", "b"])])
    def test_only_what_is_asked_for_runs(self, mask: float, ran: list[str], house: House) -> None:
        prompt = {**SOURCES, "1": ("ToyMix", {"a": ["a", 0], "b": ["b", 0], "mask": mask})}
        assert house.value(prompt, "1") == 11 * (1 - mask) + 12 * mask
        assert sorted(house.ran()) == sorted([*ran, "z"])

    def test_a_class_may_ask_step_by_step(self, house: House) -> None:
        prompt: Prompt = {
            **SOURCES,
            "w": ("ToyChanged", {"value": 1}),
            "1": ("ToySwitch", {"which": ["w", 0], "in0": ["a", 0], "in1": ["b", 0]}),
        }
        assert house.value(prompt, "1") == 12
        assert house.ran() == ["w", "z", "b"]

    def test_the_mixin_asks_for_all(self, house: House) -> None:
        prompt = {**SOURCES, "1": ("ToyAll", {"a": ["a", 0], "b": ["b", 0], "mask": 0})}
        assert house.value(prompt, "1") == 11
        assert sorted(house.ran()) == ["a", "b", "z"]

    def test_a_class_that_does_not_ask_gets_nothing(self, house: House) -> None:
        prompt = {**SOURCES, "1": ("ToySilent", {"a": ["a", 0], "b": ["b", 0], "mask": 0})}
        assert house.value(prompt, "1") == 0.0
        assert house.ran() == []

    def test_the_object_that_asks_is_the_one_that_runs_and_knows_its_node(self, house: House) -> None:
        prompt = {**SOURCES, "1": ("ToyKnows", {"a": ["a", 0], "b": ["b", 0], "mask": 0})}
        assert house.value(prompt, "1") == ("1", {})

    def test_an_input_that_is_not_there_cannot_be_asked_for(self, house: House) -> None:
        prompt = {**SOURCES, "1": ("ToyWrong", {"a": ["a", 0], "b": ["b", 0], "mask": 0})}
        (failure,) = house.run(prompt, "1").failures
        assert "'nothing'" in str(failure)

    def test_what_calls_ask_for_is_put_together(self, house: House) -> None:
        prompt = {
            **SOURCES,
            "n": ("ToyNumbers", {"text": "0 1"}),
            "1": ("ToyMix", {"a": ["a", 0], "b": ["b", 0], "mask": ["n", 0]}),
        }
        assert house.value(prompt, "1") == Many([11, 12])

    def test_a_second_run_asks_for_nothing_anew(self, house: House) -> None:
        prompt = {**SOURCES, "1": ("ToyMix", {"a": ["a", 0], "b": ["b", 0], "mask": 1})}
        house.run(prompt, "1")
        house.ran()
        house.run(prompt, "1")
        assert house.ran() == []
        assert house.of_kind(NodeStarted) == []


class TestExpansion:
    def test_others_run_in_the_nodes_place_and_take_from_nodes_around_it(self, house: House) -> None:
        prompt = {"z": ("ToyAdd", {"a": 0}), "1": ("ToyTwice", {"value": ["z", 0]})}
        assert house.run(prompt, "1").outputs["1"] == (20, 10)
        (added,) = house.of_kind(NodesAdded)
        assert added.parent_id == "1"
        assert added.nodes == (("1.0.0.1", "1"), ("1.0.0.2", "1"))
        assert house.ran() == ["z", "1.0.0.1", "1.0.0.2"]

    def test_a_node_may_be_shown_as_another(self, house: House) -> None:
        house.run({"z": ("ToyAdd", {"a": 0}), "1": ("ToyTwice", {"value": ["z", 0], "display": "z"})}, "1")
        assert house.of_kind(NodesAdded)[0].nodes == (("1.0.0.1", "1"), ("1.0.0.2", "z"))

    def test_output_nodes_inside_run_too(self, house: House) -> None:
        result = house.run({"z": ("ToyAdd", {"a": 0}), "1": ("ToyTwice", {"value": ["z", 0], "show": True})}, "1")
        assert result.ui["1.0.0.3"]["text"] == [20]

    def test_an_expansion_may_expand(self, house: House) -> None:
        assert house.value({"1": ("ToyNest", {"value": 0, "depth": 5})}, "1") == 5
        assert house.of_kind(NodesAdded)[-1].nodes == (("1.0.0.1" + 4 * ".0.0.1", "1"),)

    def test_of_several_calls_some_may_expand(self, house: House) -> None:
        prompt = {"n": NUMBERS, "1": ("ToyMixed", {"value": ["n", 0]})}
        assert house.value(prompt, "1") == Many([101, 2, 103])
        assert sorted(house.ran()) == ["1.0.0.1", "1.2.0.1"]

    def test_recursion(self, house: House) -> None:
        assert house.value({"1": ("ToyFibonacci", {"n": 12})}, "1") == 144
        assert len(house.ran()) == 11, "equal numbers are computed once"

    def test_a_second_run_expands_nothing(self, house: House) -> None:
        prompt: Prompt = {"1": ("ToyFibonacci", {"n": 5})}
        assert house.value(prompt, "1") == house.value(prompt, "1")
        assert house.of_kind(NodesAdded) == []

    def test_recursion_without_end_is_ended(self, house: House) -> None:
        for class_type, inputs, words in (
            ("ToyNest", {"value": 0, "depth": 1001}, "1000 times"),
            ("ToyEndless", {}, "wait for its own result"),
        ):
            result = house.run({"1": (class_type, inputs), **SHOWN}, "1", "s")
            (failure,) = result.failures
            assert failure.is_for_people
            assert words in str(failure)
            assert result.ui["s"]["text"] == [7]

    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ("class", "'ToyNowhere'"),
            ("none", "without class_type"),
            ("link", "node nowhere"),
            ("double", "id bad"),
            ("circle", "circle"),
        ],
    )
    def test_a_graph_that_cannot_run_is_the_nodes_fault(self, how: str, words: str, house: House) -> None:
        result = house.run({"bad": ("ToyBad", {"how": how}), **SHOWN}, "bad", "s")
        (failure,) = result.failures
        assert failure.node_id == "bad"
        assert words in str(failure)
        assert result.ui["s"]["text"] == [7]


SHOWN: Prompt = {"s": ("ToyShow", {"value": 7})}


class TestLoop:
    """A loop as packs build it: the end looks at the graph, and expands to a copy of what lies before it."""

    def prompt(self, rounds: int) -> Prompt:
        return {
            "open": ("ToyWhileOpen", {"value0": 0, "value1": "kept"}),
            "add": ("ToyAdd", {"a": ["open", 1], "b": ["one", 0]}),
            "one": ("ToyChanged", {"value": 1}),
            "less": ("ToyLess", {"a": ["add", 0], "b": rounds}),
            "close": (
                "ToyWhileClose",
                {"flow": ["open", 0], "condition": ["less", 0], "value0": ["add", 0], "value1": ["open", 2]},
            ),
        }

    def test_it_runs_until_its_condition_fails(self, house: House) -> None:
        assert house.run(self.prompt(5), "close").outputs["close"] == (5, "kept")
        ran = house.ran()
        assert len([node_id for node_id in ran if node_id.endswith("add")]) == 5
        assert ran.count("one") == 1, "what lies outside of the loop runs once"

    def test_one_round_makes_no_nodes(self, house: House) -> None:
        assert house.value(self.prompt(1), "close") == 1
        assert house.of_kind(NodesAdded) == []
