"""How functions of V1 classes are called, and what becomes of what they return."""

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest

from graph import Graph, Lanes, plan
from graph.effects import Effects
from graph.events import NodeBlocked, NodeProgress, NodeWarned
from graph.given import Many
from nodes.runtime import TensorValues
from tests.compat.house import House, Prompt

ADD = {"1": ("ToyAdd", {"a": 1, "b": ["2", 0]}), "2": ("ToyAdd", {"a": 5})}


def test_links_and_literals_come_as_keywords_and_defaults_are_the_functions_own(house: House) -> None:
    assert house.value(ADD, "1") == 1 + 5 + 10
    assert house.ran() == ["2", "1"]


@pytest.mark.parametrize("form", ["tuple", "list", "dict", "text", "long"])
def test_a_result_comes_in_many_forms(form: str, house: House) -> None:
    result = house.run({"1": ("ToyForms", {"form": form})}, "1")
    assert result.outputs["1"] == (("x", "y") if form == "text" else (1, "a"))
    assert result.ui.get("1", {}) == ({"text": ["seen"]} if form == "dict" else {})


@pytest.mark.parametrize("form", ["none", "number"])
def test_a_result_that_is_none_of_them_is_the_nodes_fault(form: str, house: House) -> None:
    result = house.run({"1": ("ToyForms", {"form": form}), "2": ("ToyShow", {"value": ["1", 0]}), **SHOWN})
    (failure,) = result.failures
    assert failure.is_for_people
    assert str(failure).startswith("ToyForms (node 1) failed: it returned ")
    assert "number, STRING" in str(failure)
    assert result.ui == {"s": {"text": [7], "animated": [True]}}


SHOWN = {"s": ("ToyShow", {"value": 7})}


@pytest.mark.parametrize("form", ["short", "ui"])
def test_an_output_that_is_missing_is_a_fault_only_if_it_is_taken(form: str, house: House) -> None:
    alone = {"1": ("ToyForms", {"form": form})}
    taken = {**alone, "2": ("ToyCollect", {"x": ["1", 1]})}
    (failure,) = house.run(taken, "2").failures
    assert "STRING is not there" in str(failure)

    assert house.run(alone, "1").failures == ()
    house.run(taken, "2")  # what it gave is remembered, and whoever takes it is told
    assert [event.node_id for event in house.of_kind(NodeBlocked)] == ["2"]
    assert "STRING is not there" in house.of_kind(NodeBlocked)[0].message


def test_a_class_without_outputs_shows_what_it_has(house: House) -> None:
    result = house.run({"1": ("ToyShow", {"value": "a"})})
    assert result.ui["1"] == {"text": ["a"], "animated": [True]}
    assert result.outputs["1"] == ()


def test_a_coroutine_that_ends_the_program_fails_and_others_go_on(house: House) -> None:
    leaving = {"1": ("ToyLeave", {"value": 1, "count": 1})}
    (failure,) = house.run(leaving, "1").failures
    assert str(failure) == "ToyLeave (node 1) failed: ProgramEnd: it ends the program (SystemExit: 3)"
    assert house.value({"1": ("ToyBarrier", {"value": 1, "count": 1})}, "1") == 1


def test_hidden_inputs(house: House) -> None:
    prompt = {"1": ("ToyHidden", {"widget": 3, "more": 4})}
    given = house.value(prompt, "1")
    assert given["unique_id"] == "1"
    assert given["prompt"]["1"]["class_type"] == "ToyHidden"
    assert given["nodes"] == {"1"}
    assert given["png"] is None
    assert given["auth_token_comfy_org"] is given["api_key_comfy_org"] is None
    assert given["widget"] == 3
    assert "more" not in given


def test_what_a_node_writes_into_the_prompt_is_its_own(house: House) -> None:
    prompt = {"1": ("ToyHidden", {}), "2": ("ToyHidden", {"widget": ["1", 0]})}
    assert house.value(prompt, "1")["prompt"].keys() == house.value(prompt, "2")["prompt"].keys() == {"1", "2", "mine"}
    graph = house.validate(prompt, ["2"])
    assert isinstance(graph, Graph)
    asyncio.run(house.engine.run(plan(graph)))
    assert graph.prompt.keys() == {"1", "2"}


def test_any_name_is_an_input_of_a_class_that_says_so(house: House) -> None:
    prompt = {"1": ("ToyCollect", {"x": ["2", 0], "y": [1, 2, 3], "z": "w"}), "2": ("ToyAdd", {"a": 5})}
    prompt["1"][1]["y"] = {"__value__": [1, 2, 3]}
    assert house.value(prompt, "1") == "[('x', 15), ('y', [1, 2, 3]), ('z', 'w')]"


def test_undeclared_links_are_passed_on_and_undeclared_literals_are_not(house: House) -> None:
    prompt = {"1": ("ToyCollectLinks", {"x": ["2", 0], "z": "w"}), "2": ("ToyAdd", {"a": 5})}
    assert house.value(prompt, "1") == "[('x', 15)]"


def test_an_object_remembers_from_run_to_run_as_long_as_its_node_stays(house: House) -> None:
    def count(node_id: str, value: int) -> int:
        found: int = house.value({node_id: ("ToyRemember", {"value": value})}, node_id)
        return found

    assert [count("1", 1), count("1", 2), count("2", 3), count("1", 4)] == [1, 2, 1, 3]
    assert count("1", 4) == 3, "what is the same is not computed again"


def test_many_nodes_do_not_fill_the_memory(house: House) -> None:
    names = [str(number) for number in range(100)]
    house.run({name: ("ToyRemember", {"value": int(name)}) for name in names}, *names)
    assert len(house.registry["ToyRemember"].instances) == 32


def test_a_pack_runs_one_node_at_a_time(tmp_path: Path) -> None:
    with Lanes({"cpu": 4, "io": 1}) as lanes:
        names = [str(number) for number in range(20)]
        prompt: Prompt = {name: ("ToyCrowd", {"a": int(name)}) for name in names}
        assert House(lanes, tmp_path).run(prompt, *names).failures == ()


def test_equal_nodes_share_a_result_unless_they_say_that_they_are_not_idempotent(house: House) -> None:
    both = {"1": ("ToySame", {"a": 1}), "2": ("ToySame", {"a": 1})}
    house.run(both, "1", "2")
    assert house.ran() == ["same", "same"]
    house.run(both, "1", "2")
    assert house.ran() == []
    forms = {"1": ("ToyChanged", {"value": 1}), "2": ("ToyChanged", {"value": 1})}
    house.run(forms, "1", "2")
    assert sorted(house.ran()) == ["1", "2"], "it reads its id"


def test_progress(house: House) -> None:
    house.run({"1": ("ToySteps", {"steps": 3})}, "1")
    assert [(event.node_id, event.value, event.total) for event in house.of_kind(NodeProgress)] == [
        ("1", 1, 3), ("1", 2, 3), ("1", 3, 3),
    ]  # fmt: skip


def test_a_raw_link_is_the_link_and_its_source_runs_first(house: House) -> None:
    prompt = {"1": ("ToyLink", {"value": ["2", 0]}), "2": ("ToyAdd", {"a": 5})}
    assert house.value(prompt, "1") == ["2", 0]
    assert house.ran() == ["2"]


def test_one_failing_output_does_not_stop_a_good_one(house: House) -> None:
    result = house.run(
        {"1": ("ToyFail", {"value": 1}), "2": ("ToyShow", {"value": ["3", 0]}), "3": ("ToyAdd", {"a": 1})}
    )
    assert [str(failure) for failure in result.failures] == ["ToyFail (node 1) failed: RuntimeError: on purpose"]
    assert result.ui["2"]["text"] == [11]


def test_an_output_node_saves_again_only_if_its_file_has_gone(lanes: Lanes, tmp_path: Path) -> None:
    house = House(lanes, tmp_path, effects=Effects())
    folder = house.paths.folders["output"]
    folder.mkdir()
    prompt: Prompt = {"1": ("ToySave", {"text": "hello", "folder": str(folder)})}
    shown = {"files": [{"filename": "toy.txt", "subfolder": "", "type": "output"}]}
    assert house.run(prompt).ui["1"] == shown
    assert house.run(prompt).ui["1"] == shown
    assert house.ran() == ["save"]
    (folder / "toy.txt").unlink()
    house.run(prompt)
    assert house.ran() == ["save"]


class TestSpoiling:
    PROMPT: ClassVar[Prompt] = {
        "1": ("ToyTensor", {}),
        "2": ("ToySpoil", {"latent": ["1", 0], "tensor": False}),
        "3": ("ToySpoil", {"latent": ["1", 0], "tensor": True}),
    }

    def test_a_node_that_writes_into_a_dict_writes_into_its_own(self, house: House) -> None:
        result = house.run(self.PROMPT, "1", "2")
        assert result.outputs["1"][0].keys() == {"samples"}
        assert result.outputs["2"][0].keys() == {"samples", "mine"}

    def test_a_node_that_writes_into_a_tensor_is_named_and_what_it_spoiled_is_computed_again(
        self, lanes: Lanes, tmp_path: Path
    ) -> None:
        house = House(lanes, tmp_path, guard=TensorValues())
        house.run(self.PROMPT, "2")
        assert house.ran() == ["tensor"]
        assert house.of_kind(NodeWarned) == []
        assert house.run(self.PROMPT, "3").failures == ()
        (warned,) = house.of_kind(NodeWarned)
        assert "ToySpoil (node 3) wrote into what it was given as latent" in warned.message
        house.run(self.PROMPT, "3")
        assert house.ran() == ["tensor"]


class TestLists:
    NUMBERS = ("ToyNumbers", {"text": "1 2 3"})

    def test_a_class_runs_once_for_each_value_and_the_shorter_list_repeats_its_last(self, house: House) -> None:
        prompt = {
            "n": self.NUMBERS, "m": ("ToyNumbers", {"text": "10 20"}), "1": ("ToyAdd", {"a": ["n", 0], "b": ["m", 0]}),
        }  # fmt: skip
        assert house.value(prompt, "1") == Many([11, 22, 23])
        assert house.ran() == ["1"] * 3

    def test_a_list_that_is_one_value_stays_one(self, house: House) -> None:
        assert house.value({"n": self.NUMBERS, "1": ("ToyCollect", {"x": ["n", 1]})}, "1") == "[('x', [1, 2, 3])]"

    def test_input_is_list_takes_all_at_once_literals_and_hidden_ones_too(self, house: House) -> None:
        prompt = {"n": self.NUMBERS, "1": ("ToySum", {"numbers": ["n", 0], "start": 5})}
        assert house.run(prompt, "1").outputs["1"] == (11, 3)
        assert house.ran() == [["1"]]

    def test_ui_of_all_calls_is_put_together(self, house: House) -> None:
        result = house.run({"n": self.NUMBERS, "1": ("ToyShow", {"value": ["n", 0]})})
        assert result.ui["1"] == {"text": [1, 2, 3], "animated": [True] * 3}

    def test_an_empty_list_makes_no_call(self, house: House) -> None:
        prompt = {"n": ("ToyNumbers", {"text": ""}), "1": ("ToyAdd", {"a": ["n", 0]})}
        assert house.value(prompt, "1") == Many()
        assert house.ran() == []


class TestBlockers:
    def test_what_a_blocker_reaches_does_not_run(self, house: House) -> None:
        prompt = {
            "1": ("ToyOdd", {"number": 2}),
            "2": ("ToyShow", {"value": ["1", 0]}),
            "3": ("ToyShow", {"value": ["1", 1]}),
        }
        result = house.run(prompt)
        assert result.failures == ()
        assert result.ui.keys() == {"3"}
        assert house.of_kind(NodeBlocked) == []

    def test_the_first_that_it_reaches_says_its_message_and_later_ones_are_silent(self, house: House) -> None:
        prompt = {
            "1": ("ToyOdd", {"number": 2, "message": "even", "alone": True}),
            "2": ("ToyAdd", {"a": ["1", 1]}),
            "3": ("ToyShow", {"value": ["2", 0]}),
        }
        house.run(prompt)
        assert [(event.node_id, event.message) for event in house.of_kind(NodeBlocked)] == [("2", "even")]

    @pytest.mark.parametrize("class_type", ["ToyOdd", "ToyOddOnes"])
    def test_of_several_values_only_the_blocked_are_skipped(self, class_type: str, house: House) -> None:
        name = "number" if class_type == "ToyOdd" else "numbers"
        prompt = {
            "n": ("ToyNumbers", {"text": "1 2 3"}),
            "1": (class_type, {name: ["n", 0]}),
            "2": ("ToyShow", {"value": ["1", 0]}),
        }
        assert house.run(prompt).ui["2"]["text"] == [1, 3]
        assert house.ran() == ["2", "2"]


class TestAsync:
    def test_functions_that_wait_overlap(self, house: House) -> None:
        nodes = {str(number): ("ToyBarrier", {"value": number, "count": 4}) for number in range(4)}
        assert house.run(nodes, *nodes).failures == ()
        assert sorted(house.ran()) == list(nodes)

    def test_the_calls_of_one_node_overlap(self, house: House) -> None:
        prompt = {
            "n": ("ToyNumbers", {"text": "1 2 3"}), "1": ("ToyBarrier", {"value": ["n", 0], "count": 3}),
        }  # fmt: skip
        assert house.value(prompt, "1") == Many([1, 2, 3])

    def test_one_that_fails_is_named(self, house: House) -> None:
        (failure,) = house.run({"1": ("ToyFailLater", {"value": 1, "count": 1})}, "1").failures
        assert str(failure) == "ToyFailLater (node 1) failed: RuntimeError: later"
