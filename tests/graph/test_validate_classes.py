"""Validation of classes that are not derived from a declaration, such as third-party ones: odd types, own checks."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import pytest

from graph import Graph, Link, Node, Paths, Registry, validate
from graph.context import Context
from graph.schema import Input, Output, Schema
from tests.graph.test_node import Blend
from tests.graph.test_validate import found, graph, only
from tests.graph.test_wire import Anything, Equal, Name
from tests.graph.toys import Add, Divided, document


def by_hand(*inputs: Input, outputs: Sequence[Any] = ("INT",), **traits: Any) -> type[Node[Any]]:
    """A class `Hand` with these inputs, whose check() says what it saw if it is told to by the class's `seen`."""

    class Hand(Node[Any]):
        values: Mapping[str, Any]
        linked: Mapping[str, Any]
        seen: ClassVar[list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = []

        @classmethod
        def schema(cls) -> Schema:
            given = tuple(Output(str(each), each) for each in outputs)
            return Schema("Hand", {item.name: item for item in inputs}, given, display="Hand", **traits)

        @classmethod
        def peek(cls, literals: Mapping[str, Any], linked: Any, node_id: str = "") -> Self:
            return cls(values=literals, linked=linked)

        def check(self, paths: Paths) -> list[tuple[str, str]]:
            self.seen.append((self.values, self.linked))
            return [(name, f"{name} is forbidden") for name, value in self.values.items() if value == "forbidden"]

        def run(self, ctx: Context) -> int:
            return 1

    return Hand


def test_a_variadic_node_gets_what_it_does_not_declare(paths: Paths) -> None:
    registry = Registry(Blend, Add)
    inputs = {f"input_blocks.{number}.": 1.0 for number in range(3)} | {"more": ["a", 0], "value": 5, "list": [1, 2, 3]}
    prompt = document(b=("Blend", inputs), a=("Add", {"a": 1}))
    found = graph(prompt, paths, registry, targets=["b"])
    assert {name: found.nodes["b"].inputs[name] for name in ("more", "value", "list")} == {
        "more": Link("a", 0), "value": 5, "list": [1, 2, 3],
    }  # fmt: skip
    assert list(found.nodes) == ["a", "b"]
    problem = only(
        paths, document(b=("Blend", inputs | {"more": ["a", 4]}), a=("Add", {"a": 1})), registry, targets=["b"]
    )
    assert (problem.kind, problem.input) == ("bad_linked_input", "more")


def test_a_variadic_class_may_say_which_undeclared_literals_it_takes(paths: Paths) -> None:
    def undeclared(name: str) -> Input | None:
        if name == "broken":
            raise KeyError("INPUT_TYPES")
        return Input(name, "INT", literal=True) if name.startswith("n") else None

    hand = by_hand(variadic=True, undeclared=undeclared)
    spec = graph(document(h=("Hand", {"n1": "5", "other": 6})), paths, Registry(hand), targets=["h"]).nodes["h"]
    assert spec.inputs == {"n1": 5}
    kinds = [
        each.kind
        for each in found(paths, document(h=("Hand", {"n1": "x", "broken": 1})), Registry(hand), targets=["h"])
    ]
    assert kinds == ["invalid_input_type", "exception_during_validation"]


def test_a_node_that_judges_links_is_told_their_types(paths: Paths) -> None:
    hand = by_hand(Input("image", "IMAGE"), Input("mask", "MASK"), checks_links=True)
    prompt = document(h=("Hand", {"image": ["a", 0], "mask": ["h2", 1]}), a=("Add", {"a": 1}), h2=("Other", {}))

    class Other(Node[Divided]):
        def run(self, ctx: Context) -> Divided:
            return Divided(1, 2)

    assert isinstance(validate(prompt, Registry(hand, Add, Other), paths, targets=["h"]), Graph)
    assert hand.seen == [({}, {"image": "INT", "mask": "INT"})]  # type: ignore[attr-defined]


def test_the_nodes_own_check_may_find_several_faults(paths: Paths) -> None:
    hand = by_hand(*(Input(name, "STRING", literal=True) for name in "abc"))
    prompt = document(h=("Hand", {"a": "forbidden", "b": "fine", "c": "forbidden"}))
    faults = found(paths, prompt, Registry(hand), targets=["h"])
    assert [(problem.kind, problem.input) for problem in faults] == [
        ("custom_validation_failed", "a"), ("custom_validation_failed", "c"),
    ]  # fmt: skip


def test_ranges_and_choices_of_open_inputs_are_left_to_the_node(paths: Paths) -> None:
    options = {"min": 0, "max": 9}
    hand = by_hand(
        Input("n", "INT", options=options, literal=True, open=True),
        Input("way", "COMBO", choices=("left", "right"), literal=True, open=True),
    )
    inputs = (
        graph(document(h=("Hand", {"n": "100", "way": "up"})), paths, Registry(hand), targets=["h"]).nodes["h"].inputs
    )
    assert inputs == {"n": 100, "way": "up"}
    kind = only(paths, document(h=("Hand", {"n": "x", "way": "up"})), Registry(hand), targets=["h"]).kind
    assert kind == "invalid_input_type"


def test_a_range_of_something_that_is_no_number_means_nothing(paths: Paths) -> None:
    hand = by_hand(Input("s", "STRING", options={"min": 0, "max": 9}, literal=True))
    assert isinstance(validate(document(h=("Hand", {"s": "x"})), Registry(hand), paths, targets=["h"]), Graph)


@pytest.mark.parametrize("kind", [["a", "b"], Anything("*"), Equal("*"), ("a", "b"), Name.INT, None])
def test_odd_types_of_third_party_classes_do_no_harm(paths: Paths, kind: Any) -> None:
    hand = by_hand(Input("x", kind, choices=["a", "b"], literal=True), Input("y", kind, False), outputs=[kind, "INT"])
    prompt = document(h=("Hand", {"x": "1", "y": ["h2", 0]}), h2=("Hand", {"x": ["s", 0]}), s=("Hand", {"x": []}))
    for each in found(paths, prompt, Registry(hand), targets=["h"]):
        assert each.kind in ("value_not_in_list", "bad_linked_input")


def test_one_list_of_choices_feeds_another(paths: Paths) -> None:
    combo: Any = ["a", "b"]
    hand = by_hand(Input("x", combo, choices=combo, literal=True), outputs=[["b", "c"]])
    prompt = document(h=("Hand", {"x": ["g", 0]}), g=("Hand", {"x": "a"}))
    assert isinstance(validate(prompt, Registry(hand), paths, targets=["h"]), Graph)


def test_lazy_and_whole_inputs_are_checked_like_others(paths: Paths) -> None:
    hand = by_hand(Input("lazy", "INT", lazy=True), Input("whole", "INT", whole=True), Input("raw", "INT", raw=True))
    good = {name: ["a", 0] for name in ("lazy", "whole", "raw")}
    nodes: dict[str, Any] = {"a": ("Add", {"a": 1}), "w": ("Words", {}), "h": ("Hand", good)}

    class Words(Node[str]):
        def run(self, ctx: Context) -> str:
            return ""

    registry = Registry(hand, Add, Words)
    assert list(graph(document(**nodes), paths, registry, targets=["h"]).nodes) == ["a", "h"]
    for name in good:
        nodes["h"] = ("Hand", good | {name: ["w", 0]})
        assert only(paths, document(**nodes), registry, targets=["h"]).kind == "return_type_mismatch"


def test_hidden_inputs_may_be_given_and_are_passed_on_by_variadic_classes(paths: Paths) -> None:
    inputs = {"prompt": ["a", 0], "unique_id": "7"}
    for variadic in (False, True):
        hand = by_hand(hidden=("prompt", "unique_id"), variadic=variadic)
        spec = graph(
            document(h=("Hand", inputs), a=("Add", {"a": 1})), paths, Registry(hand, Add), targets=["h"]
        ).nodes["h"]
        assert spec.inputs == ({"prompt": Link("a", 0), "unique_id": "7"} if variadic else {})


def test_a_class_that_cannot_say_what_it_takes_is_a_problem(paths: Paths) -> None:
    class Broken(Node[int]):
        @classmethod
        def schema(cls) -> Schema:
            if cls.__dict__.get("registered"):
                raise KeyError("choices")
            return Schema("Broken", {}, (), display="Broken")

        def run(self, ctx: Context) -> int:
            return 1

    registry = Registry(Broken)
    Broken.registered = True  # type: ignore[attr-defined]
    problem = only(paths, document(b=("Broken", {})), registry, targets=["b"])
    assert (problem.kind, problem.node_id) == ("invalid_prompt", "b")
    assert "Broken does not say what it takes and gives: 'choices'" in problem.sentence


def test_choices_that_cannot_be_had_are_a_problem(paths: Paths) -> None:
    def fail(paths: Paths) -> list[str]:
        raise OSError("no such folder")

    hand = by_hand(Input("x", "COMBO", choices=fail, literal=True))
    problem = only(paths, document(h=("Hand", {"x": "a"})), Registry(hand), targets=["h"])
    assert (problem.kind, problem.input) == ("exception_during_validation", "x")
    assert "OSError: no such folder" in problem.sentence
