"""What V1 classes say of a workflow before it runs: whether they have changed, and what is wrong with their inputs."""

import asyncio
import math
from typing import Any

import pytest

from graph import Graph, Problem, plan, validate
from graph.read.api import read_api
from tests.compat.house import House, Prompt

CHANGED: Prompt = {"1": ("ToyChanged", {"value": 5})}
GOOD: dict[str, Any] = {"judged": 1, "other": 1, "choice": "a"}


class TestIsChanged:
    def runs(self, house: House, says: Any, prompt: Prompt = CHANGED) -> bool:
        house.module("changing").STATE["value"] = says
        assert house.run(prompt, "1").failures == ()
        return "1" in house.ran()

    @pytest.mark.parametrize("says", [False, True, 1, "abc", [1, {"a": 2}], (1, 2), None])
    def test_the_same_value_again_means_that_nothing_has_changed(self, says: Any, house: House) -> None:
        assert [self.runs(house, says), self.runs(house, says), self.runs(house, "other")] == [True, False, True]

    @pytest.mark.parametrize("says", [math.nan, [math.nan], object(), ValueError("on purpose")])
    def test_what_equals_nothing_always_runs(self, says: Any, house: House) -> None:
        assert [self.runs(house, says), self.runs(house, says)] == [True, True]

    def test_it_is_asked_with_literals_none_for_links_and_its_id(self, house: House) -> None:
        house.run({"1": ("ToyChanged", {"value": 5, "more": ["2", 0]}), "2": ("ToyAdd", {"a": 1})}, "1")
        assert house.module("changing").STATE["asked"] == (5, "1", None)

    def test_it_is_not_asked_where_the_document_has_its_answer(self, house: House) -> None:
        house.module("changing").STATE["value"] = math.nan
        for says, ran in (([1], ["1"]), ([1], []), ([2], ["1"])):
            nodes = {"1": {"class_type": "ToyChanged", "inputs": {"value": 5}, "is_changed": says}}
            graph = validate(read_api(nodes), house.registry, house.paths, targets=["1"])
            assert isinstance(graph, Graph)
            asyncio.run(house.engine.run(plan(graph)))
            assert house.ran() == ran

    def test_it_may_be_a_coroutine(self, house: House) -> None:
        prompt: Prompt = {"1": ("ToyChangedLater", {"value": 5})}
        assert [self.runs(house, says, prompt) for says in (1, 1, 2, math.nan, math.nan)] == [
            True,
            False,
            True,
            True,
            True,
        ]


class TestValidateInputs:
    def problems(self, house: House, class_type: str, **inputs: Any) -> list[tuple[str, str | None]]:
        found = house.validate({"1": (class_type, {**GOOD, **inputs}), "n": ("ToyAdd", {"a": 1})}, ["1"])
        return [] if isinstance(found, Graph) else [(problem.kind, problem.input) for problem in found]

    def sentence(self, house: House, prompt: Prompt) -> str:
        found = house.validate(prompt, ["1"])
        assert isinstance(found, list)
        (problem,) = found
        assert isinstance(problem, Problem)
        return problem.sentence

    def test_an_input_that_it_names_is_not_judged_otherwise(self, house: House) -> None:
        assert self.problems(house, "ToyOne", judged=99) == []
        assert self.problems(house, "ToyOne", judged=99, other=99) == [("value_bigger_than_max", "other")]
        assert self.problems(house, "ToyOne", judged=99, choice="c") == [("value_not_in_list", "choice")]

    def test_a_text_says_what_is_wrong(self, house: House) -> None:
        assert self.problems(house, "ToyOne", judged=13) == [("custom_validation_failed", "judged")]
        sentence = self.sentence(house, {"1": ("ToyOne", {**GOOD, "judged": 13})})
        assert "'judged'" in sentence
        assert "13 brings bad luck" in sentence

    def test_a_link_is_none(self, house: House) -> None:
        assert self.problems(house, "ToyOne", judged=["n", 0]) == []

    def test_keywords_stand_for_all_inputs(self, house: House) -> None:
        assert self.problems(house, "ToyAll_", judged=99, other=99, choice="c") == []

    def test_types_are_converted_all_the_same(self, house: House) -> None:
        assert self.problems(house, "ToyAll_", judged="no number") == [("invalid_input_type", "judged")]

    def test_anything_but_true_is_a_refusal_and_it_may_be_a_coroutine(self, house: House) -> None:
        assert self.problems(house, "ToyRefuse") == [("custom_validation_failed", "choice")]

    def test_an_error_in_it_is_said(self, house: House) -> None:
        assert self.problems(house, "ToyRaise") == [("exception_during_validation", None)]
        assert "KeyError: 'mistake'" in self.sentence(house, {"1": ("ToyRaise", GOOD)})

    def test_it_may_judge_the_types_of_links(self, house: House) -> None:
        prompt: Prompt = {"1": ("ToyTypes", {"judged": ["n", 0]}), "n": ("ToyAdd", {"a": 1})}
        assert isinstance(house.validate(prompt, ["1"]), Graph), "INT for MODEL"
        assert "cannot take DICT" in self.sentence(house, {**prompt, "n": ("ToyHidden", {})})

    def test_a_class_whose_inputs_cannot_be_asked_for_says_so(self, house: House) -> None:
        assert "IndexError" in self.sentence(house, {"1": ("ToyBroken", {"choice": "a"})})


class TestLinks:
    def fits(self, house: House, giver: tuple[str, dict[str, Any]], taker: str, name: str, output: int = 0) -> bool:
        inputs = {**({"a": 1, "b": 1} if taker == "ToyLess" else {}), name: ["g", output]}
        return isinstance(house.validate({"1": (taker, inputs), "g": giver}, ["1"]), Graph)

    def test_a_type_that_differs_from_none_fits_all(self, house: House) -> None:
        assert self.fits(house, ("ToyHidden", {}), "ToyShow", "value")
        assert self.fits(house, ("ToyWhileOpen", {}), "ToyLess", "a", output=1)

    def test_other_types_have_to_agree(self, house: House) -> None:
        assert self.fits(house, ("ToyAdd", {"a": 1}), "ToyLess", "a")
        assert not self.fits(house, ("ToyHidden", {}), "ToyLess", "a")
