"""Fingerprints: equal work has equal ones, different work has not."""

from pathlib import Path
from typing import Any

import pytest

from graph import Choice, Context, Int, ModelNames, Node, Paths, Registry, Text, plan
from graph.document import Document, DocumentNode
from graph.fingerprint import Fingerprinter, digest_sources
from graph.read.api import read_api
from tests.graph.toys import REGISTRY, document, graph


class ReadFile(Node[str]):
    """Gives a file's text."""

    name: str = Text(default="")

    def fingerprint(self, paths: Paths) -> str:
        return paths.annotated(self.name).read_text()

    def run(self, ctx: Context) -> str:
        return ctx.paths.annotated(self.name).read_text()


class Loads(Node[str]):
    """Takes a model file."""

    name: str = Choice(ModelNames("checkpoints"))

    def fingerprint(self, paths: Paths) -> str:
        return paths.digest(paths.find("checkpoints", self.name))

    def run(self, ctx: Context) -> str:
        return self.name


class Name(Node[str]):
    def run(self, ctx: Context) -> str:
        return "a.txt"


class Tells(Node[str], hidden=("unique_id", "prompt")):
    """Gives its own id."""

    number: int = Int(default=0, optional=True)

    def run(self, ctx: Context) -> str:
        return ctx.node_id


EVERY = Registry(*REGISTRY.values(), ReadFile, Loads, Name, Tells)


def of(paths: Paths, prompt: Document, target: str, code: str = "", environment: str = "") -> str | None:
    """The fingerprint of a node."""
    planned = plan(graph(prompt, paths, EVERY, targets=[target]))
    printer = Fingerprinter(planned.graph, paths, code=code, environment=environment)
    keys: list[str | None] = []
    for task in planned.tasks:
        keys.append(printer.of(task, [keys[index] for _, index, _ in task.wires]))
    return keys[-1]


def adding(a: Any, b: Any = 5) -> Document:
    return document(x=("Add", {"a": 1}), y=("Divide", {"a": 1, "b": 1}), t=("Add", {"a": a, "b": b}))


def test_node_ids_titles_and_the_order_of_inputs_do_not_enter(paths: Paths) -> None:
    one = read_api(
        {
            "1": {"class_type": "Add", "inputs": {"a": 1}, "_meta": {"title": "one"}},
            "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 2}},
        }
    )
    other = read_api(
        {
            "y": {"class_type": "Add", "inputs": {"b": 2, "a": ["x", 0]}, "_meta": {"title": "other"}},
            "x": {"class_type": "Add", "inputs": {"a": 1}},
        }
    )
    assert of(paths, one, "2") == of(paths, other, "y")


def test_every_difference_that_matters_gives_another(paths: Paths) -> None:
    found = [
        of(paths, adding(1), "t"),
        of(paths, adding(2), "t"),
        of(paths, adding(5, 1), "t"),
        of(paths, adding(["x", 0]), "t"),
        of(paths, adding(["y", 0]), "t"),
        of(paths, adding(["y", 1]), "t"),
        of(paths, adding(["y", 0], ["y", 1]), "t"),
        of(paths, adding(1), "t", code="changed"),
        of(paths, adding(1), "t", environment="changed"),
        of(paths, document(t=("Divide", {"a": 1, "b": 5})), "t"),
    ]
    assert len(set(found)) == len(found)
    assert None not in found


def test_literals_of_other_types_are_not_the_same(paths: Paths) -> None:
    class Anything(Node[int]):
        value: Any

        def run(self, ctx: Context) -> int:
            return 0

    registry = Registry(Anything)
    found = set()
    for value in (1, 1.0, True, "1", None, {"link": "1"}, {"__value__": ["1", 0]}, {"__value__": []}):
        planned = plan(graph(document(t=("Anything", {"value": value})), paths, registry, targets=["t"]))
        found.add(Fingerprinter(planned.graph, paths, code="", environment="").of(planned.tasks[0], []))
    assert len(found) == 8


def test_the_content_of_a_named_file_enters(paths: Paths) -> None:
    file = paths.annotated("a.txt")
    file.parent.mkdir(parents=True)
    file.write_text("one")
    before = of(paths, document(t=("ReadFile", {"name": "a.txt"})), "t")
    assert before == of(paths, document(t=("ReadFile", {"name": "a.txt"})), "t")
    file.write_text("two")
    assert before != of(paths, document(t=("ReadFile", {"name": "a.txt"})), "t")


def test_a_model_file_is_known_by_what_it_holds_whatever_its_name(paths: Paths) -> None:
    folder = paths.roots("checkpoints")[0]
    folder.mkdir(parents=True)
    (folder / "one.safetensors").write_bytes(b"weights")
    (folder / "same.safetensors").write_bytes(b"weights")
    (folder / "other.safetensors").write_bytes(b"other")
    keys = {name: of(paths, document(t=("Loads", {"name": f"{name}.safetensors"})), "t") for name in ("one", "same")}
    assert keys["one"] == keys["same"]
    assert keys["one"] != of(paths, document(t=("Loads", {"name": "other.safetensors"})), "t")


def test_a_file_named_only_while_running_is_never_reused(paths: Paths) -> None:
    prompt = document(n=("Name", {}), r=("ReadFile", {"name": ["n", 0]}))
    assert of(paths, prompt, "n") is not None
    assert of(paths, prompt, "r") is None


def test_what_depends_on_chance_is_never_reused_nor_what_follows(paths: Paths) -> None:
    prompt = document(c=("Chance", {}), a=("Add", {"a": ["c", 0]}), b=("Add", {"a": ["a", 0]}))
    assert [of(paths, prompt, node_id) for node_id in "cab"] == [None, None, None]


def test_a_change_value_that_came_with_the_document_stands_for_the_file(paths: Paths) -> None:
    def sent(value: Any) -> Document:
        return Document({"t": DocumentNode("ReadFile", {"name": "gone.txt"}, value)}, {"t": {}})

    assert of(paths, sent(["a"]), "t") == of(paths, sent(["a"]), "t")
    assert of(paths, sent(["a"]), "t") != of(paths, sent(["b"]), "t")
    with pytest.raises(FileNotFoundError):
        of(paths, sent(None), "t")


def test_a_node_that_reads_its_id_and_the_prompt_has_them_in_it(paths: Paths) -> None:
    base = of(paths, document(t=("Tells", {})), "t")
    assert base == of(paths, document(t=("Tells", {})), "t")
    assert base != of(paths, document(u=("Tells", {})), "u")
    assert base != of(paths, document(t=("Tells", {}), more=("Add", {"a": 1})), "t")


def test_code_is_told_apart_by_names_and_content(tmp_path: Path) -> None:
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "sub").mkdir(parents=True)
        (folder / "notes.txt").write_text(str(folder))
        for name, text in files.items():
            (folder / "sub" / f"{name}.py").write_text(text)
        return digest_sources([folder])

    assert digest(a="x", b="y") == digest(a="x", b="y")
    assert len({digest(a="x", b="y"), digest(a="x", c="y"), digest(a="x", b="z"), digest(a="xy", b="")}) == 4


def test_the_class_enters_by_module_and_name(paths: Paths) -> None:
    original = of(paths, document(t=("Add", {"a": 1})), "t")

    class Add(Node[int]):
        """Another class of that name."""

        a: int = Int(default=0)

        def run(self, ctx: Context) -> int:
            return 0

    planned = plan(graph(document(t=("Add", {"a": 1})), paths, Registry(Add), targets=["t"]))
    assert Fingerprinter(planned.graph, paths, code="", environment="").of(planned.tasks[0], []) != original
