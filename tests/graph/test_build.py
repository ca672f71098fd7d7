"""Workflows written in Python: what becomes of them, what is refused, and what a type checker says of them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph import Context, Int, Link, Node, Paths, Registry, Wire
from graph.build import BuildError, build, expansion, titled, use
from graph.document import BadLink, DocumentNode
from graph.node import Out
from graph.read.api import read_api
from nodes.logic import LazySwitch
from tests.graph.toys import REGISTRY, Add, Divide, Pick, Show, graph

HOUSE = Path(__file__).resolve().parents[2]


class Parts(NamedTuple):
    int: int
    rest: Any


class Split(Node[Parts]):
    """Gives two things, of anything."""

    whole: Any

    def run(self, ctx: Context) -> Parts:
        return Parts(1, self.whole)


class Sink(Node[None], output=True):
    """Takes one number, if it is given one."""

    number: int | None = Wire(default=None)

    def run(self, ctx: Context) -> None:
        pass


def test_nodes_and_all_that_they_take_values_from_become_a_document() -> None:
    one = Add(a=1)
    document = build(Show(value=Divide(a=one.out, b=Add(a=one.out, b=2).out).out.rest))
    assert document.nodes == {
        "1": DocumentNode("Add", {"a": 1}),
        "2": DocumentNode("Add", {"a": Link("1", 0), "b": 2}),
        "3": DocumentNode("Divide", {"a": Link("1", 0), "b": Link("2", 0)}),
        "4": DocumentNode("Show", {"value": Link("3", 1)}),
    }
    assert document.classes == {"Add": Add, "Divide": Divide, "Show": Show}
    assert document.prompt["3"] == {"class_type": "Divide", "inputs": {"a": ["1", 0], "b": ["2", 0]}}


def test_the_same_program_gives_the_same_document() -> None:
    def written() -> Any:
        left, right = Add(a=1), Add(a=2)
        return build(Show(value=Add(a=left.out, b=right.out).out), Show(value=right.out))

    assert written() == written()


def test_named_nodes_have_their_name_as_id() -> None:
    one = Add(a=1)
    assert list(build(Show(value=one.out), first=one, last=Show(value=2)).nodes) == ["first", "1", "last"]
    assert set(build(Add(), **{"1": Add()}).nodes) == {"1", "2"}


def test_required_inputs_are_written_and_optional_ones_only_if_they_differ() -> None:
    assert build(n=Add()).nodes["n"].inputs == {"a": 0}
    assert build(n=Add(b=0)).nodes["n"].inputs == {"a": 0}
    assert build(n=Add(b=False)).nodes["n"].inputs == {"a": 0, "b": False}
    assert build(n=Sink()).nodes["n"].inputs == {}


def test_a_built_document_is_valid_without_its_classes_being_registered_by_hand(paths: Paths) -> None:
    document = build(s=Show(value=Add(a=Divide(a=7, b=2).out.quotient).out))
    assert set(graph(document, paths, Registry(*document.classes.values())).nodes) == {"1", "2", "s"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("__value__"), inner),
)


@given(VALUES)
def test_the_prompt_read_again_is_the_document(value: Any) -> None:
    document = build(Split(whole=Split(whole=value).out.rest))
    assert read_api(document.prompt).nodes == document.nodes


@pytest.mark.parametrize("value", [object(), b"bytes", float("nan"), [{"deep": Path()}]])
def test_what_json_cannot_say_is_in_the_document_but_not_in_its_prompt(value: Any) -> None:
    document = build(n=Split(whole=value))
    assert document.nodes["n"].inputs["whole"] is value
    assert document.prompt == {"n": {"class_type": "Split", "inputs": {}}}


def test_outputs_have_the_form_of_the_result() -> None:
    node = Divide(a=7)
    assert node.out == (Out(node, 0), Out(node, 1))
    assert node.out.rest == Out(node, 1)
    assert Add().out != Add().out
    assert Show(value=1).out is None


def test_a_field_called_like_its_type_is_shown_as_the_type() -> None:
    assert [(output.name, output.type) for output in Split.schema().outputs] == [("INT", "INT"), ("rest", "*")]


@pytest.mark.parametrize("name", ["out", "run", "lane"])
def test_an_input_called_like_a_part_of_every_node_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"Odd.{name}: an input may not be called so"):
        type("Odd", (Node,), {"__annotations__": {name: int}})


def test_a_chain_of_any_length_is_built() -> None:
    node = Add()
    for _ in range(5000):
        node = Add(a=node.out)
    assert build(node).nodes["5001"].inputs == {"a": Link("5000", 0)}


def test_a_class_that_names_its_inputs_by_itself_is_used() -> None:
    one, two = Add(a=1), Add(a=2)
    document = build(s=use(LazySwitch, index=1, value0=one.out, value1=two.out))
    assert document.nodes["s"].inputs == {"index": 1, "value0": Link("1", 0), "value1": Link("2", 0)}


def test_classes_found_by_name_are_used() -> None:
    divide = use(REGISTRY["Divide"], a=7, b=2)
    document = build(Show(value=use(REGISTRY["Add"], a=divide.out[1]).out))
    assert [node.class_type for node in document.nodes.values()] == ["Divide", "Add", "Show"]
    assert document.nodes["2"].inputs == {"a": Link("1", 1)}


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda: use(Add, aa=1), "Add has no input 'aa'; did you mean a?"),
        (lambda: use(Add, number=1), "Add has no input 'number'; it has: a, b."),
        (lambda: build(Add(a=Add())), "The input 'a' of Add is a node; give the node's output: .out."),  # type: ignore[arg-type]
        (
            lambda: build(Split(whole=Divide().out)),
            "The input 'whole' of Split is all outputs of Divide at once; say which: .out.quotient, .out.rest.",
        ),
        (
            lambda: build(Split(whole=[Add().out])),
            "The input 'whole' of Split is a list with an output of Add in it; a link stands by itself.",
        ),
        (lambda: build(Split(whole=Link("9", 0))), "A node is given a Link (to node '9'); give it another node's .out"),
        (lambda: build(Add(), Other.Add()), "Two classes of this workflow are called 'Add'; rename one."),
        (lambda: build(**dict.fromkeys("ab", Add())), "One node has several names; give each node one of them: a, b."),
        (
            lambda: build(LazySwitch(index=0, values={})),
            "LazySwitch names its inputs by itself; write it as use(LazySwitch, …).",
        ),
        (lambda: expansion(Add()), "A result of the expansion is a node; give the node's output: .out."),
        (lambda: expansion(Divide().out), "A result of the expansion is all outputs of Divide at once; say which:"),
    ],
)
def test_what_is_no_workflow_is_a_sentence(write: Any, sentence: str) -> None:
    with pytest.raises(BuildError, match=re.escape(sentence)):
        write()


class Other:
    class Add(Node[int]):
        """Another class of that name."""

        a: int = Int(default=0)

        def run(self, ctx: Context) -> int:
            return 0


def test_an_expansion_names_its_results_and_nodes_beside_them() -> None:
    divide = Divide(a=7)
    made = expansion(Add(a=divide.out.rest).out, 5, Link("outer", 1), also=[Show(value=divide.out.quotient)])
    assert made.local
    assert made.result == (Link("2", 0), 5, Link("outer", 1))
    assert made.document.nodes == {
        "1": DocumentNode("Divide", {"a": 7, "b": 1}),
        "2": DocumentNode("Add", {"a": Link("1", 1)}),
        "3": DocumentNode("Show", {"value": Link("1", 0)}),
    }


def test_nodes_of_an_expansion_take_no_id_that_it_links_to_in_the_graph_around() -> None:
    outer: Any = Link("1", 0)
    made = expansion(Add(a=outer, b=Add().out).out, Link("2", 0))
    assert made.document.nodes == {
        "3": DocumentNode("Add", {"a": 0}),
        "4": DocumentNode("Add", {"a": outer, "b": Link("3", 0)}),
    }
    assert made.result == (Link("4", 0), Link("2", 0))


def test_every_input_of_a_node_may_be_a_link_or_a_value() -> None:
    node = Pick(model="a", text=use(Split, whole="x").out[1], way="area", image=Add().out)  # type: ignore[arg-type]
    assert build(p=node).nodes["p"].inputs == {
        "model": "a", "way": "area", "text": Link("1", 1), "strength": 0.5, "on": True, "image": Link("2", 0),
    }  # fmt: skip


# ── what a type checker says ──────────────────────────────────────────────────────────────────────────────────────────

SNIPPET = """
from typing import Annotated, NamedTuple
from graph.context import Context
from graph.build import build
from graph.node import Node
from graph.wire import Socket
from graph.widgets import Choice, Int, Text, Wire

class Network: ...
class Words: ...
Model = Annotated[Network, Socket("MODEL")]
Clip = Annotated[Words, Socket("CLIP")]

class Loaded(NamedTuple):
    model: Model
    clip: Clip

class Load(Node[Loaded]):
    name: str = Text()

class Encode(Node[Clip]):
    clip: Clip
    text: str = Text(default="")

class Sample(Node[int]):
    model: Model = Wire()
    positive: Clip
    seed: int = Int(default=0)
    way: str = Choice(["a", "b"])
    mask: Clip | None = None

class Save(Node[None], output=True):
    number: int

load = Load(name="x")
words = Encode(clip=load.out.clip)
build(Save(number=Sample(model=load.out.model, positive=words.out, way="a").out), named=words)
Sample(model=load.out.model, positive=load.out.model, way="a")  # wrong: incompatible type "Network"; expected "Words"
Sample(model=load.out.model, positive=words.out, way="a", sed=1)  # wrong: Unexpected keyword argument "sed"
Sample(model=load.out.model, way="a")  # wrong: Missing named argument "positive"
Sample(model=load.out.modl, positive=words.out, way="a")  # wrong: "Loaded" has no attribute "modl"
Sample(model=load.out, positive=words.out, way="a")  # wrong: incompatible type "Loaded"; expected "Network"
Encode(clip=words)  # wrong: incompatible type "Encode"; expected "Words"
Encode(clip=words.out, text=7)  # wrong: incompatible type "int"; expected "str"
Save(number=Save(number=1).out)  # wrong: incompatible type "None"; expected "int"
build(words.out)  # wrong: incompatible type "Words"; expected "Node[Any] | Use"
"""


def test_a_type_checker_knows_what_fits(tmp_path: Path) -> None:
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    said = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", file],
        cwd=HOUSE, capture_output=True, text=True,
    )  # fmt: skip
    errors = {int(line): text for line, text in re.findall(r"snippet\.py:(\d+): error: (.+)", said.stdout)}
    wanted = {
        number: line.partition("# wrong: ")[2]
        for number, line in enumerate(SNIPPET.splitlines(), 1)
        if "# wrong: " in line
    }
    assert errors.keys() == wanted.keys(), said.stdout + said.stderr
    assert [errors[number] for number in wanted if wanted[number] not in errors[number]] == []


def test_a_class_may_be_a_name_that_is_looked_up_when_the_workflow_runs(paths: Paths) -> None:
    gone = use("Gone", anything=1)
    document = build(s=use("Show", value=use("Divide", a=gone.out[3], b=2).out[1]), g=gone)
    assert document.prompt["g"] == {"class_type": "Gone", "inputs": {"anything": 1}}
    assert document.nodes["1"].inputs == {"a": Link("g", 3), "b": 2}
    assert document.classes == {}
    assert set(graph(build(s=use("Show", value=use("Add", a=1).out[0])), paths, REGISTRY).nodes) == {"1", "s"}


def test_all_outputs_of_a_class_known_by_name_are_no_value() -> None:
    with pytest.raises(BuildError, match=re.escape("is all outputs of Gone at once; say which: .out[0].")):
        build(use("Show", value=use("Gone").out))


def test_nodes_that_lead_round_in_a_circle_are_given_links_to_names() -> None:
    first = use("Add", a=Link("second", 0))
    document = build(first=first, second=use("Add", a=first.out[0]))
    assert document.prompt["first"]["inputs"] == {"a": ["second", 0]}
    assert document.prompt["second"]["inputs"] == {"a": ["first", 0]}


def test_a_wrong_link_stays_one() -> None:
    document = build(n=use("Add", a=BadLink(["x"])))
    assert read_api(document.prompt).nodes == document.nodes


def test_nodes_get_titles() -> None:
    document = build(n=Add())
    assert titled(document, {"n": "Mine"}).prompt == {
        "n": {"class_type": "Add", "inputs": {"a": 0}, "_meta": {"title": "Mine"}}
    }
    assert "_meta" not in document.prompt["n"]
    with pytest.raises(BuildError, match="There is no node 'm' to give the title 'x' to"):
        titled(document, {"m": "x"})
