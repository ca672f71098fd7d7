"""Documents as Python source: it builds them again, reads well, and nothing in a document can break out of it."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodes
from graph.document import BadLink, Document, DocumentNode, Link
from graph.node import Out
from graph.paths import Paths
from graph.problems import DocumentError
from graph.read.api import read_api
from graph.read.python import read_python
from graph.registry import Registry
from graph.write import write
from graph.write.python import to_python
from tests.graph.toys import REGISTRY

HOUSE = Path(__file__).resolve().parents[2]
ALL = Registry(*REGISTRY.values(), *Registry.scan(nodes).values())
HOSTILE = st.text() | st.sampled_from(
    ('"""', "'''", "\\", '\\"', "'\"", "\n", "\r", "{x}", "__import__('os')", "#", "\u2028", "\u202e", "\ud800", "\x00",
     "x\ny")
)  # fmt: skip
NAMES = HOSTILE | st.sampled_from(
    ("a", "b", "value", "self", "cls", "None", "class", "__debug__", "ﬁ", "a b", "match", "inputs")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
)
CLASSES = st.sampled_from((*sorted(REGISTRY), "LazySwitch", "KSampler", "CheckpointLoaderSimple", "Gone")) | HOSTILE


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """Prompts with any names and values; wires may lead anywhere, also round in circles."""
    ids = draw(st.lists(HOSTILE | st.sampled_from(("1", "2", "5:1", "document", "build")), unique=True, max_size=5))
    links = st.tuples(st.sampled_from(ids or [""]) | HOSTILE, st.integers(-2, 4)).map(list)
    prompt = {}
    for name in ids:
        class_type = draw(CLASSES)
        known = list(ALL[class_type].schema().inputs) if class_type in ALL else []
        keys = draw(st.lists(NAMES | st.sampled_from(known) if known else NAMES, unique=True, max_size=5))
        inputs = {key: draw(VALUES | links | links) for key in keys}
        if draw(st.booleans()) and known:  # all of them, so that the class itself can be written
            inputs = {key: draw(links | VALUES) for key in known}
        prompt[name] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": draw(HOSTILE)}}
    return prompt


def built(source: str) -> Document:
    """What the source makes."""
    found: dict[str, Any] = {"__name__": "a test"}
    exec(compile(source, "a test", "exec"), found)
    made = found["document"]
    assert isinstance(made, Document)
    return made


def titles(prompt: Any) -> dict[str, str]:
    """The titles of a prompt, without those that classes have."""
    found = {}
    for name, node in prompt.items():
        title = node.get("_meta", {}).get("title", "")
        own = {
            "",
            node["class_type"],
            *(cls.schema().display for cls in ALL.values() if cls.schema().name == node["class_type"]),
        }
        if title not in own:
            found[name] = title
    return found


@settings(max_examples=300, deadline=None)
@given(prompts())
def test_the_source_of_any_document_builds_it_again(prompt: dict[str, Any]) -> None:
    document = read_api(prompt)
    made = built(to_python(document, ALL))
    assert read_api(dict(made.prompt)).nodes == document.nodes
    assert titles(made.prompt) == titles(prompt)


@settings(max_examples=300, deadline=None)
@given(prompts())
def test_the_source_of_any_document_holds_calls_of_node_classes_and_nothing_else(prompt: dict[str, Any]) -> None:
    tree = ast.parse(to_python(read_api(prompt), ALL))
    about, json_import, *rest, end = tree.body
    assert isinstance(about, ast.Expr)
    assert ast.unparse(json_import) == "import json"
    assert ast.unparse(end) == "if __name__ == '__main__':\n    print(json.dumps(document.prompt, indent=2))"
    imported: set[str] = set()
    variables: list[str] = []
    for each in rest:
        if isinstance(each, ast.ImportFrom):
            assert str(each.module).split(".")[0] in ("graph", "nodes", "tests")
            imported |= {alias.name for alias in each.names}
            continue
        assert isinstance(each, ast.Assign | ast.AnnAssign)
        variables.append(ast.unparse(each.target if isinstance(each, ast.AnnAssign) else each.targets[0]))
        assert each.value is not None
        for inner in ast.walk(each.value):
            if isinstance(inner, ast.Call):
                called = ast.unparse(inner.func)
                assert called in imported or called in ("float", "json.loads")
            assert isinstance(
                inner,
                ast.Call | ast.Constant | ast.Name | ast.Attribute | ast.Subscript | ast.Dict | ast.List | ast.keyword
                | ast.Load | ast.UnaryOp | ast.USub,
            )  # fmt: skip
    assert len(variables) == len(set(variables))
    assert imported.isdisjoint(variables)


@pytest.mark.parametrize("file", sorted((HOUSE / "workflows").glob("*.json")), ids=lambda file: file.stem)
def test_a_workflow_of_the_project_is_written_with_the_classes_themselves(file: Path, tmp_path: Path) -> None:
    prompt = json.loads(file.read_text())
    source = write(read_api(prompt), "python", Registry.scan(nodes), Paths(tmp_path))
    made = built(source)
    assert made.prompt == prompt
    assert set(made.classes) == {node["class_type"] for node in prompt.values()}
    assert "use(" not in source
    assert max(map(len, source.splitlines())) <= 120


def test_a_type_checker_finds_no_fault_in_the_source(tmp_path: Path) -> None:
    prompt = json.loads((HOUSE / "workflows" / "text_to_image.json").read_text())
    prompt["more"] = {"class_type": "Gone", "inputs": {"image": ["decode", 0], "a b": 1}}
    file = tmp_path / "made.py"
    file.write_text(write(read_api(prompt), "python", Registry.scan(nodes), Paths(tmp_path)))
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", file]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_variables_are_called_after_titles_or_classes() -> None:
    nodes_ = {
        str(number): {"class_type": kind, "inputs": {}, "_meta": {"title": title}}
        for number, (kind, title) in enumerate(
            (
                ("Gone", "Grün: 2 × 3"),
                ("CLIPTextEncode", "猫"),
                ("CLIPTextEncode", ""),
                ("é", "class"),
                ("4x", "build"),
            )
        )
    }
    made = [line.split(" = ")[0] for line in to_python(read_api(nodes_), ALL).splitlines() if " = use(" in line]
    assert made == ["grun_2_3", "clip_text_encode", "clip_text_encode_2", "class_2", "build_2"]


def test_outputs_are_named_where_the_class_is_and_else_numbered() -> None:
    prompt = {
        "1": {"class_type": "Divide", "inputs": {"a": 7, "b": 2}},
        "2": {"class_type": "Gone", "inputs": {"one": ["1", 1], "two": ["3", 2], "three": ["1", 5]}},
        "3": {"class_type": "Gone", "inputs": {"back": ["2", 0]}},
    }
    source = to_python(read_api(prompt), ALL)
    assert "one=divide.out.rest" in source
    assert "two=gone.out[2]" in source
    assert "three=Out(divide, 5)" in source
    assert 'back=Link("2", 0)' in source


def test_a_long_text_is_written_line_by_line() -> None:
    text = "a cat, sitting on a red sofa in the evening sun\n\nphotograph, 35 mm, grain, soft light\n"
    prompt = {"1": {"class_type": "Gone", "inputs": {"text": text}}}
    source = to_python(read_api(prompt), ALL)
    assert '"a cat, sitting on a red sofa in the evening sun\\n"\n' in source
    assert built(source).prompt == prompt


@pytest.mark.parametrize("depth", [60, 400])
def test_values_of_any_depth_are_built_again(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    prompt = {"1": {"class_type": "Gone", "inputs": {"deep": value}}}
    assert built(to_python(read_api(prompt), ALL)).prompt == prompt


def test_a_chain_of_thousands_of_nodes_is_built_again() -> None:
    prompt: dict[str, Any] = {
        str(number): {"class_type": "Add", "inputs": {"a": [str(number + 1), 0]}} for number in range(3000)
    }
    prompt["3000"] = {"class_type": "Add", "inputs": {"a": 1}}
    assert built(to_python(read_api(prompt), ALL)).prompt == prompt


def test_infinity_and_what_is_no_number_are_written() -> None:
    inputs = {"a": float("inf"), "b": {"__value__": [float("-inf")]}, "c": float("nan")}
    prompt = {"1": {"class_type": "Gone", "inputs": inputs}}
    given_ = built(to_python(read_api(prompt), ALL)).nodes["1"].inputs
    assert str(dict(given_)) == "{'a': inf, 'b': [-inf], 'c': nan}"


def test_a_value_that_no_json_has_is_refused_with_its_place() -> None:
    document = Document({"7": DocumentNode("Gone", {"where": Path("x")})}, {})
    with pytest.raises(DocumentError, match=r"Node 7: the input 'where' has a value of \w+Path that cannot be written"):
        to_python(document, ALL)


def test_the_source_as_a_script_prints_the_api_form(tmp_path: Path) -> None:
    prompt = {"1": {"class_type": "Gone", "inputs": {"text": "ü \ud800 \u202e"}}}
    file = tmp_path / "workflow.py"
    file.write_text(to_python(read_api(prompt), ALL))
    done = subprocess.run([sys.executable, file], env={"PYTHONPATH": str(HOUSE)}, capture_output=True, check=True)
    assert json.loads(done.stdout) == prompt
    assert read_python(file).prompt == prompt


SOURCES = {
    "x = 1": "This Python file makes no workflow; end it with “document = build(…)”.",
    "from graph import build\na = build()\nb = build()\n": (
        "This Python file makes 2 workflows; call the one that counts “document”."
    ),
    "\n1 / 0\n": "This Python file fails in line 2: ZeroDivisionError: division by zero; put that right.",
    "x = (\n": "This Python file fails in line 1: SyntaxError: '(' was never closed; put that right.",
    "raise SystemExit(3)": "This Python file fails in line 1: it ends itself; put that right.",
    "\0": "This Python file fails: SyntaxError: source code string cannot contain null bytes; put that right.",
    "def f(): return f()\nf()": (
        "This Python file fails in line 1: RecursionError: maximum recursion depth exceeded; put that right."
    ),
}


@pytest.mark.parametrize(("source", "sentence"), SOURCES.items())
def test_a_file_that_makes_no_single_document_is_refused_in_a_sentence(
    source: str, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "workflow.py"
    file.write_text(source)
    with pytest.raises(DocumentError) as refused:
        read_python(file)
    assert str(refused.value) == sentence


def test_the_document_of_a_file_is_the_one_called_so_or_the_only_one(tmp_path: Path) -> None:
    file = tmp_path / "json.py"  # as a module of Python itself is called
    file.write_text("from graph import build, use\nother = build()\ndocument = build(a=use('Gone'))\n")
    assert list(read_python(file).nodes) == ["a"]
    file.write_text("from graph import build, use\nmine = again = build(b=use('Gone'))\n")
    assert list(read_python(file).nodes) == ["b"]
    assert hasattr(sys.modules["json"], "dumps")


def test_classes_of_the_file_itself_come_along(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from __future__ import annotations\nfrom graph import Context, Int, Node, build\n"
        "class Twice(Node[int]):\n    number: int = Int(default=1)\n"
        "    def run(self, ctx: Context) -> int:\n        return 2 * self.number\n"
        "document = build(a=Twice(number=2))\n"
    )
    assert read_python(file).classes["Twice"].schema().inputs["number"].type == "INT"


def test_wrong_links_stay_what_they_are() -> None:
    document = read_api({"1": {"class_type": "Gone", "inputs": {"a": ["9", 0], "b": [1, 2, 3], "c": []}}})
    made = built(to_python(document, ALL))
    assert made.nodes["1"].inputs == {"a": BadLink(["9", 0]), "b": BadLink([1, 2, 3]), "c": BadLink([])}
    assert read_api(dict(made.prompt)).nodes == document.nodes
    assert not isinstance(made.nodes["1"].inputs["a"], Link | Out)
