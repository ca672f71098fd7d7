"""Validation: every Problem at once, each in one sentence that says what, where and what to do."""

import dataclasses
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph import Graph, Link, Node, Paths, Problem, Registry, validate
from graph.context import Context
from graph.document import Document
from graph.model import Spec
from graph.read.api import read_api
from graph.validate import examine
from tests.graph.test_paths import put
from tests.graph.toys import REGISTRY, Add, Pick, Show, document, problems


def graph(prompt: Document, paths: Paths, registry: Registry = REGISTRY, **options: Any) -> Graph:
    found = validate(prompt, registry, paths, **options)
    assert isinstance(found, Graph), found
    return found


GOOD = {"model": "one.ckpt", "way": "area", "strength": 0.5, "on": True}


def found(paths: Paths, prompt: Document, registry: Registry = REGISTRY, **options: Any) -> list[Problem]:
    return problems(validate(prompt, registry, paths, **options))


def only(paths: Paths, prompt: Document, registry: Registry = REGISTRY, **options: Any) -> Problem:
    (problem,) = found(paths, prompt, registry, **options)
    assert problem.sentence.endswith((".", "?"))
    assert problem.sentence.count(". ") == 0
    return problem


@pytest.fixture
def models(paths: Paths) -> Paths:
    for name in ("one.ckpt", "two.safetensors"):
        put(paths.roots("checkpoints")[0] / name)
    return paths


def picked(**changes: Any) -> Document:
    return read_api({"p": {"class_type": "Pick", "inputs": GOOD | changes}})


def test_a_valid_document_becomes_a_graph_of_what_its_outputs_need(paths: Paths) -> None:
    prompt = document(a=("Add", {"a": "3", "extra": 1}), unused=("Add", {"a": []}), s=("Show", {"value": ["a", 0]}))
    assert graph(prompt, paths) == Graph(
        {"a": Spec(Add, {"a": 3}), "s": Spec(Show, {"value": Link("a", 0)})},
        ("s",),
        {**prompt.prompt, "a": {"class_type": "Add", "inputs": {"a": 3, "extra": 1}}},
    )
    assert prompt.prompt["a"]["inputs"]["a"] == "3"  # what was sent stays as it was


def test_an_unknown_class_is_named_with_the_nearest(paths: Paths) -> None:
    problem = only(paths, document(a=("Addd", {}), s=("Show", {"value": ["a", 0]})))
    assert (problem.kind, problem.node_id, problem.class_type) == ("invalid_prompt", "a", "Addd")
    assert problem.sentence == "Node a: there is no node class 'Addd'; did you mean Add?"


def test_an_unknown_class_counts_even_where_no_output_needs_it(paths: Paths) -> None:
    assert only(paths, document(s=("Show", {"value": 1}), x=("Qwertyuiop", {}))).node_id == "x"


@pytest.mark.parametrize(
    ("prompt", "kind", "name", "sentence"),
    [
        (
            document(s=("Show", {})), "required_input_missing", "value",
            "Show (node s): the input 'value' is missing; give it a value (INT, usually 0).",
        ),
        (
            document(s=("Show", {"value": ["a"]})), "bad_linked_input", "value",
            "Show (node s): the input 'value' is ['a'], which is no link; "
            'write ["node id", output number], or {"__value__": […]} for a list as a value.',
        ),
        (
            document(s=("Show", {"value": ["9", 0]}), a=("Add", {"a": 1})), "bad_linked_input", "value",
            "Show (node s): the input 'value' is linked to node 9, which does not exist; "
            "link it to an output of type INT (there are: node a (Add)).",
        ),
        (
            document(s=("Show", {"value": ["a", 2]}), a=("Divide", {"a": 1, "b": 1})), "bad_linked_input", "value",
            "Show (node s): the input 'value' is linked to output 2 of node a (Divide), which does not exist; "
            "its outputs are: 0 INT, 1 INT.",
        ),
        (
            document(s=("Show", {"value": ["a", -1]}), a=("Add", {"a": 1})), "bad_linked_input", "value",
            "Show (node s): the input 'value' is linked to output -1 of node a (Add), which does not exist; "
            "its outputs are: 0 INT.",
        ),
        (
            document(s=("Show", {"value": "many"})), "invalid_input_type", "value",
            "Show (node s): the input 'value' takes INT, and 'many' is none; give a whole number.",
        ),
        (
            document(s=("Show", {"value": ["d", 0]}), d=("Divide", {"a": 101, "b": 1})), "value_bigger_than_max", "a",
            "Divide (node d): the input 'a' is 101, which is above 100; give 100 or less.",
        ),
        (
            document(s=("Show", {"value": ["d", 0]}), d=("Divide", {"a": -101, "b": 1})), "value_smaller_than_min", "a",
            "Divide (node d): the input 'a' is -101, which is below -100; give -100 or more.",
        ),
        (
            document(s=("Show", {"value": 1, "valeu": ["s", 0]})), "bad_linked_input", "valeu",
            "Show (node s): the input 'valeu' is linked, but there is no such input; "
            "remove the link; its inputs are: value.",
        ),
    ],
)  # fmt: skip
def test_one_problem_one_sentence(paths: Paths, prompt: Document, kind: str, name: str, sentence: str) -> None:
    problem = only(paths, prompt)
    assert (problem.kind, problem.input, problem.sentence) == (kind, name, sentence)


def test_a_wrong_type_on_a_wire(models: Paths) -> None:
    prompt = document(p=("Pick", GOOD | {"image": ["a", 0]}), a=("Add", {"a": 1}), q=("Pick", GOOD))
    problem = only(models, prompt, targets=["p", "q"])
    assert problem.kind == "return_type_mismatch"
    assert problem.extra == {"received_type": "INT", "linked_node": ["a", 0]}
    assert problem.sentence == (
        "Pick (node p): the input 'image' takes IMAGE, but output 0 of node a (Add) gives INT; "
        "link it to an output of type IMAGE (there are: node p (Pick), node q (Pick))."
    )


def test_a_value_where_only_a_wire_fits(models: Paths) -> None:
    problem = only(models, picked(image=5), targets=["p"])
    assert (problem.kind, problem.input) == ("invalid_input_type", "image")
    assert "takes IMAGE from another node, not the value 5; link an output to it" in problem.sentence


def test_a_value_that_is_not_in_the_list_says_what_was_meant(models: Paths) -> None:
    problem = only(models, picked(way="bilinaer"), targets=["p"])
    assert problem.kind == "value_not_in_list"
    assert problem.sentence == (
        "Pick (node p): the input 'way' is 'bilinaer', which is not in its list; "
        "did you mean 'bilinear'? There are: bilinear, nearest, area."
    )


def test_a_model_file_that_is_not_there_says_which_are(models: Paths) -> None:
    problem = only(models, picked(model="zzz"), targets=["p"])
    assert problem.sentence == (
        "Pick (node p): the input 'model' finds no file 'zzz' in models/checkpoints; "
        "there are: one.ckpt, two.safetensors."
    )


def test_an_empty_model_folder_says_what_to_do(paths: Paths) -> None:
    assert "that folder is empty: put the file there" in only(paths, picked(), targets=["p"]).sentence


def test_the_nodes_own_check(models: Paths) -> None:
    problem = only(models, picked(text="forbidden"), targets=["p"])
    assert (problem.kind, problem.input) == ("custom_validation_failed", "text")
    assert problem.sentence == ("Pick (node p): the input 'text' will not do: this word is not allowed; use another.")


def test_a_check_that_needs_a_linked_input_is_left_out(models: Paths) -> None:
    class Words(Node[str]):
        def run(self, ctx: Context) -> str:
            return "forbidden"

    prompt = document(w=("Words", {}), p=("Pick", GOOD | {"text": ["w", 0]}))
    assert isinstance(validate(prompt, Registry(Words, Pick), models, targets=["p"]), Graph)


def test_a_check_that_fails_is_a_problem_and_no_crash(paths: Paths) -> None:
    class Broken(Node[None], output=True):
        def check(self, paths: Paths) -> list[tuple[str, str]]:
            raise KeyError("oops")

        def run(self, ctx: Context) -> None: ...

    problem = only(paths, document(b=("Broken", {})), Registry(Broken))
    assert problem.kind == "exception_during_validation"
    assert "KeyError: 'oops'; that is a fault of the node class" in problem.sentence


def test_a_cycle_is_one_problem_that_names_its_nodes(paths: Paths) -> None:
    prompt = document(
        a=("Add", {"a": ["c", 0]}), b=("Add", {"a": ["a", 0]}), c=("Add", {"a": ["b", 0], "b": ["b", 0]}),
        s=("Show", {"value": ["c", 0]}),
    )  # fmt: skip
    problem = only(paths, prompt)
    assert (problem.kind, problem.node_id) == ("dependency_cycle", "a")
    assert problem.sentence == (
        "Add (node a): waits for itself: nodes a → b → c → a form a circle of 3; remove one of these links."
    )


def test_a_node_that_takes_its_own_output(paths: Paths) -> None:
    prompt = document(a=("Add", {"a": ["a", 0]}), s=("Show", {"value": ["a", 0]}))
    assert "takes its own output" in only(paths, prompt).sentence


def test_a_workflow_without_outputs(paths: Paths) -> None:
    for prompt in (document(), document(a=("Add", {"a": 1}))):
        problem = only(paths, prompt)
        assert (problem.kind, problem.node_id) == ("prompt_no_outputs", None)
        assert "add an output node (Show)" in problem.sentence


def test_targets_choose_what_is_looked_at(paths: Paths) -> None:
    prompt = document(good=("Add", {"a": 1}), bad=("Add", {}), s=("Show", {}))
    assert graph(prompt, paths, targets=["good"]).targets == ("good",)
    assert only(paths, prompt, targets=["nowhere"]).sentence == (
        "There is no node nowhere to run; name a node of this workflow."
    )


def test_all_problems_come_at_once_in_the_order_of_the_document(paths: Paths) -> None:
    prompt = document(
        s=("Show", {"value": ["d", 7]}), d=("Divide", {"a": 500, "b": "x"}), x=("Nope", {}), s2=("Show", {}),
        unreached=("Add", {}),
    )  # fmt: skip
    assert [(problem.node_id, problem.input, problem.kind) for problem in found(paths, prompt)] == [
        ("s", "value", "bad_linked_input"),
        ("d", "a", "value_bigger_than_max"),
        ("d", "b", "invalid_input_type"),
        ("x", None, "invalid_prompt"),
        ("s2", "value", "required_input_missing"),
    ]


def test_the_outputs_without_problems_can_be_had(paths: Paths) -> None:
    prompt = document(
        a=("Add", {"a": 1}), bad=("Add", {"a": ["a", 0], "b": "x"}), s=("Show", {"value": ["a", 0]}),
        t=("Show", {"value": ["bad", 0]}),
    )  # fmt: skip
    examined = examine(prompt, REGISTRY, paths)
    assert [problem.node_id for problem in examined.problems] == ["bad"]
    assert examined.graph is not None
    assert examined.graph.targets == ("s",)
    assert list(examined.graph.nodes) == ["a", "s"]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("strength", "1.5", 1.5),
        ("strength", 2, 2.0),
        ("on", "false", True),
        ("on", 0, False),
        ("text", 42, "42"),
        ("text", {"__value__": ["a", 1]}, "['a', 1]"),
    ],
)
def test_literals_are_converted_as_comfyui_does(models: Paths, name: str, given: Any, expected: Any) -> None:
    value = graph(picked(**{name: given}), models, targets=["p"]).nodes["p"].inputs[name]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(("given", "expected"), [(3.9, 3), (True, 1), (" 7 ", 7), (10**30, 10**30)])
def test_whole_numbers(paths: Paths, given: Any, expected: int) -> None:
    assert graph(document(s=("Show", {"value": given})), paths).nodes["s"].inputs["value"] == expected


@pytest.mark.parametrize("given", [None, "1.5", float("inf"), float("nan"), {"a": 1}])
def test_no_whole_numbers(paths: Paths, given: Any) -> None:
    assert only(paths, document(s=("Show", {"value": given}))).kind == "invalid_input_type"


def test_what_is_not_a_number_is_no_number(models: Paths) -> None:
    assert "is not a number; give one" in only(models, picked(strength=float("nan")), targets=["p"]).sentence


def test_null_for_an_optional_input_means_nothing_given(models: Paths) -> None:
    inputs = graph(picked(image=None, text=None), models, targets=["p"]).nodes["p"].inputs
    assert "image" not in inputs
    assert "text" not in inputs


# -- what is wanted


def test_some_of_the_output_nodes_can_be_wanted(paths: Paths) -> None:
    prompt = document(
        a=("Add", {"a": 1}), s=("Show", {"value": ["a", 0]}), t=("Show", {"value": ["b", 0]}), b=("Add", {"a": 2}),
        bad=("Show", {}),
    )  # fmt: skip
    some = graph(prompt, paths, only=["t"])
    assert (some.targets, list(some.nodes)) == (("t",), ["b", "t"])
    assert graph(prompt, paths, only=["t", "s", "t"]).targets == ("s", "t")
    examined = examine(prompt, REGISTRY, paths, only=["a", "nowhere", "s"])
    assert examined.graph is not None
    assert examined.graph.targets == ("s",)
    assert [(problem.kind, problem.node_id, problem.sentence) for problem in examined.problems] == [
        ("prompt_no_outputs", "nowhere", "There is no node nowhere to run; name a node of this workflow."),
        ("prompt_no_outputs", "a", "Add (node a) is no output node; name one of: s, t, bad."),
    ]
    assert only(paths, prompt, only=[]).kind == "prompt_no_outputs"


def test_a_document_may_bring_its_classes_along(paths: Paths) -> None:
    class Own(Node[None], output=True):
        def run(self, ctx: Context) -> None: ...

    prompt = dataclasses.replace(document(o=("Own", {})), classes={"Own": Own})
    assert graph(prompt, paths).nodes["o"].node is Own


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=30), st.data())
def test_a_graph_has_what_its_targets_need_sources_first(drawn: list[tuple[int, int]], data: st.DataObject) -> None:
    """Node n takes from two drawn nodes, itself and later ones among them: then it, and what needs it, cannot run."""
    nodes = {
        str(n): ("Add", {"a": [str(a % len(drawn)), 0], "b": [str(b % len(drawn)), 0]})
        for n, (a, b) in enumerate(drawn)
    }
    nodes |= {str(n): ("Add", {"a": n}) for n in data.draw(st.sets(st.integers(0, len(drawn) - 1)))}
    targets = data.draw(st.lists(st.sampled_from(sorted(nodes)), min_size=1, unique=True))
    wires = nx.DiGraph()
    wires.add_nodes_from(nodes)
    wires.add_edges_from(
        (inputs[name][0], n) for n, (_, inputs) in nodes.items() for name in inputs if type(inputs[name]) is list
    )
    circles = {n for knot in nx.strongly_connected_components(wires) if len(knot) > 1 for n in knot}
    circles |= set(nx.nodes_with_selfloops(wires))
    good = [n for n in targets if not ({n} | nx.ancestors(wires, n)) & circles]
    examined = examine(document(**nodes), REGISTRY, Paths(Path()), targets=targets)
    assert [problem.kind for problem in examined.problems] == ["dependency_cycle"] * len(examined.problems)
    assert bool(examined.problems) == (good != targets)
    assert (examined.graph is None) == (not good)
    if examined.graph is not None:
        order = list(examined.graph.nodes)
        assert list(examined.graph.targets) == good
        assert set(order) == {n for target in good for n in {target} | nx.ancestors(wires, target)}
        assert all(order.index(a) < order.index(b) for a, b in wires.subgraph(order).edges)


def test_a_chain_of_100_000_nodes_is_no_recursion(paths: Paths) -> None:
    prompt = {"0": {"class_type": "Add", "inputs": {"a": 1}}}
    prompt |= {str(n): {"class_type": "Add", "inputs": {"a": [str(n - 1), 0]}} for n in range(1, 100_000)}
    assert len(graph(read_api(prompt), paths, targets=["99999"]).nodes) == 100_000


def test_thousands_of_wrong_names_are_answered_without_looking_for_thousands_of_meanings(paths: Paths) -> None:
    prompt = document(**{f"n{n}": (f"Add{n}", {}) for n in range(2000)})
    assert sum("did you mean" in problem.sentence for problem in found(paths, prompt)) == 50
