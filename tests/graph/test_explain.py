"""Explanations: for every node the true reason why it runs or does not, before and after."""

import asyncio
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph import (
    Context,
    Document,
    Engine,
    Lanes,
    MemoryCache,
    Node,
    Paths,
    Registry,
    Text,
    WeightlessValues,
    plan,
)
from graph.effects import Effects
from graph.events import Event, NodeStarted
from graph.explain import conclude, explain
from graph.explanation import Change, Explanation
from graph.notes import MOST, Notes
from graph.read.api import read_api
from graph.wire import Lazy
from tests.graph.test_engine_random import PROPERTY, prompts
from tests.graph.toys import REGISTRY, Log, document, engine, graph


class Either(Node[int]):
    """Gives one of two numbers, and computes that one alone."""

    first: bool = True
    a: Lazy[int]
    b: Lazy[int]

    def needs(self) -> Iterator[str]:
        yield "a" if self.first else "b"

    def run(self, ctx: Context) -> int:
        given = self.a if self.first else self.b
        assert given is not None
        return given


class Length(Node[int]):
    """How long a file is."""

    name: str = Text(default="")

    def fingerprint(self, paths: Paths) -> str:
        return paths.annotated(self.name).read_text()

    def run(self, ctx: Context) -> int:
        return len(ctx.paths.annotated(self.name).read_text())


class Named(Node[str]):
    def run(self, ctx: Context) -> str:
        return "a.txt"


class Say(Node[str]):
    text: str = Text(default="")

    def run(self, ctx: Context) -> str:
        return self.text


EVERY = Registry(*REGISTRY.values(), Either, Length, Named, Say)


class Desk:
    """An engine, and what it remembers of nodes."""

    def __init__(self, lanes: Lanes, folder: Path, notes: Notes | None = None, **options: Any) -> None:
        self.engine = engine(lanes, folder, Log(), **options)
        self.notes = notes or Notes()

    def explain(self, prompt: Document, target: str) -> dict[str, Explanation]:
        planned = plan(graph(prompt, self.engine.paths, EVERY, targets=[target]))
        return {each.node_id: each for each in explain(planned, self.engine, self.notes)}

    def run(self, prompt: Document, target: str) -> dict[str, Explanation]:
        """Explain, run, and say what is known then."""
        planned = plan(graph(prompt, self.engine.paths, EVERY, targets=[target]))
        before = explain(planned, self.engine, self.notes)
        after = conclude(before, asyncio.run(self.engine.run(planned)))
        self.notes.take(after)
        return {each.node_id: each for each in after}


@pytest.fixture
def desk(lanes: Lanes, tmp_path: Path) -> Desk:
    return Desk(lanes, tmp_path)


def chain(a: Any = 1, b: int = 5) -> Document:
    return document(x=("Add", {"a": a}), y=("Add", {"a": ["x", 0], "b": b}), z=("Add", {"a": ["y", 0]}))


def reasons(explained: dict[str, Explanation]) -> dict[str, str]:
    return {node_id: each.reason for node_id, each in explained.items()}


def test_what_never_ran_is_new(desk: Desk) -> None:
    explained = desk.explain(chain(), "z")
    assert reasons(explained) == {"x": "new", "y": "new", "z": "new"}
    assert all(each.runs for each in explained.values())
    assert str(explained["x"]) == "Add (node x) runs: no result for these inputs is remembered"
    assert {node_id: each.needed_by for node_id, each in explained.items()} == {"x": ("y",), "y": ("z",), "z": ()}


def test_what_is_remembered_does_not_run_nor_does_what_only_it_needs(desk: Desk) -> None:
    desk.run(chain(), "z")
    explained = desk.explain(chain(), "z")
    assert reasons(explained) == {"x": "unneeded", "y": "unneeded", "z": "memory"}
    assert not any(each.runs for each in explained.values())
    assert explained["z"].sentence == "does not run: its result is remembered in memory"
    assert explained["y"].sentence == "does not run: nothing that runs needs it, but only Add (node z)"


def test_a_changed_input_is_named_with_both_values_and_what_follows_names_its_source(desk: Desk) -> None:
    desk.run(chain(), "z")
    explained = desk.explain(chain(b=6), "z")
    assert reasons(explained) == {"x": "memory", "y": "changed", "z": "source"}
    assert explained["y"].changes == (Change("the input 'b'", "5", "6"),)
    assert explained["y"].sentence == "runs: since it last ran, the input 'b' changed from 5 to 6"
    assert explained["z"].sentence == (
        "runs: it is given something else than when it last ran ('a' comes from Add (node y))"
    )
    assert explained["x"].needed_by == ("y",)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (1, ["w", 0], ("1", "output 0 of node w")),
        (["w", 0], 1, ("output 0 of node w", "1")),
        (["w", 0], ["w", 1], ("output 0 of node w", "output 1 of node w")),
        (["w", 0], ["v", 0], ("output 0 of node w", "output 0 of node v")),
    ],
)
def test_a_changed_link_is_a_change(desk: Desk, before: Any, after: Any, change: tuple[str, str]) -> None:
    def linked(a: Any) -> Document:
        return document(w=("Divide", {"a": 7, "b": 2}), v=("Add", {"a": 9}), t=("Add", {"a": a}))

    desk.run(linked(before), "t")
    assert desk.explain(linked(after), "t")["t"].changes == (Change("the input 'a'", *change),)


def test_an_optional_input_that_was_not_given_is_nothing(desk: Desk) -> None:
    desk.run(document(t=("Add", {"a": 1})), "t")
    assert desk.explain(document(t=("Add", {"a": 1, "b": 2})), "t")["t"].changes == (
        Change("the input 'b'", "nothing", "2"),
    )


def test_changed_code_and_surroundings_are_named(lanes: Lanes, tmp_path: Path) -> None:
    notes = Notes()
    old = Desk(lanes, tmp_path, notes, code="1", environment=json.dumps({"torch": "1.0", "device": "cpu"}))
    old.run(chain(), "x")
    code = Desk(lanes, tmp_path, notes, code="2", environment=old.engine.environment)
    assert code.explain(chain(), "x")["x"].sentence == "runs: since it last ran, its code changed"
    torch = Desk(lanes, tmp_path, notes, code="1", environment=json.dumps({"torch": "2.0", "device": "cpu"}))
    assert torch.explain(chain(), "x")["x"].changes == (Change("torch", "1.0", "2.0"),)
    words = Desk(lanes, tmp_path, notes, code="1", environment="mine")
    [change] = words.explain(chain(), "x")["x"].changes
    assert change.after == "mine"


def test_a_changed_file_is_named(desk: Desk) -> None:
    file = desk.engine.paths.annotated("a.txt")
    file.parent.mkdir()
    file.write_text("one")
    prompt = document(t=("Length", {"name": "a.txt"}))
    desk.run(prompt, "t")
    file.write_text("three")
    assert "what it reads besides, such as a file that it names, changed" in desk.explain(prompt, "t")["t"].sentence


def test_what_is_not_kept_any_more_is_not_called_changed(lanes: Lanes, tmp_path: Path) -> None:
    desk = Desk(lanes, tmp_path, limit_bytes=0)
    desk.run(chain(), "x")
    assert reasons(desk.explain(chain(), "x")) == {"x": "forgotten"}


def test_output_nodes_run_and_say_so(desk: Desk) -> None:
    prompt = document(s=("Show", {"value": 1}))
    desk.run(prompt, "s")
    assert reasons(desk.explain(prompt, "s")) == {"s": "output"}


def test_what_is_never_reused_says_why(desk: Desk) -> None:
    prompt = document(
        c=("Chance", {}), t=("Add", {"a": ["c", 0]}),
        n=("Named", {}), f=("Length", {"name": ["n", 0]}), u=("Add", {"a": ["t", 0], "b": ["f", 0]}),
    )  # fmt: skip
    for _ in range(2):
        explained = desk.explain(prompt, "u")
        assert {name: explained[name].reason for name in "ctfu"} == {
            "c": "impure", "t": "impure source", "f": "unknown", "u": "impure source",
        }  # fmt: skip
        assert "no result of Chance (node c) is ever reused, and it takes 'a' from there" in explained["t"].sentence
        assert all(each.runs for each in explained.values())


def test_an_equal_node_gives_the_result(desk: Desk) -> None:
    prompt = document(x=("Add", {"a": 1}), y=("Add", {"a": 1}), t=("Add", {"a": ["x", 0], "b": ["y", 0]}))
    explained = desk.explain(prompt, "t")
    assert reasons(explained) == {"x": "new", "y": "equal", "t": "new"}
    assert explained["y"].sentence == "does not run: Add (node x) is equal and gives its result too"


def test_what_its_fingerprint_cannot_read_cannot_run(desk: Desk) -> None:
    explained = desk.explain(document(t=("Length", {"name": "gone.txt"})), "t")
    assert explained["t"].reason == "broken"
    assert "gone.txt" in explained["t"].sentence


def lazy(first: bool) -> Document:
    return document(
        x=("Add", {"a": 1}), y=("Add", {"a": 2}), z=("Add", {"a": ["y", 0]}),
        t=("Either", {"first": first, "a": ["x", 0], "b": ["z", 0]}),
    )  # fmt: skip


def test_lazy_sources_run_only_if_they_are_asked_for(desk: Desk) -> None:
    explained = desk.explain(lazy(True), "t")
    assert {name: explained[name].runs for name in "xyzt"} == {"x": None, "y": None, "z": None, "t": True}
    assert explained["x"].sentence == "runs only if it is asked for, by Either (node t)"
    assert explained["y"].sentence == "runs only if it is asked for, by Add (node z)"
    assert explained["t"].reason == "later"


def test_afterwards_it_is_said_what_was_asked_for(desk: Desk) -> None:
    explained = desk.run(lazy(True), "t")
    assert {name: (explained[name].runs, explained[name].reason) for name in "xyz"} == {
        "x": (True, "asked"), "y": (False, "not asked"), "z": (False, "not asked"),
    }  # fmt: skip


def test_afterwards_it_is_said_what_failed_and_what_could_not_run_then(desk: Desk) -> None:
    explained = desk.run(document(x=("Divide", {"a": 1, "b": 0}), t=("Add", {"a": ["x", 0]})), "t")
    assert explained["x"].sentence == "ran and failed; it runs: no result for these inputs is remembered"
    assert (explained["t"].runs, explained["t"].reason) == (False, "failed")
    assert [desk.notes.last("x", "Divide"), desk.notes.last("t", "Add")] == [None, None]


@PROPERTY
@given(prompt=prompts(), number=st.integers(-3, 3), data=st.data())
def test_what_is_said_to_run_is_what_runs(
    lanes: Lanes, tmp_path: Path, prompt: dict[str, Any], number: int, data: st.DataObject
) -> None:
    desk = Desk(lanes, tmp_path)
    changed = copy.deepcopy(prompt)
    inputs = changed[data.draw(st.sampled_from(list(prompt)))]["inputs"]
    inputs[data.draw(st.sampled_from(list(inputs)))] = number
    for each in (prompt, changed, prompt):
        planned = plan(graph(read_api(each), desk.engine.paths))
        told: list[Event] = []
        before = explain(planned, desk.engine, desk.notes)
        result = asyncio.run(desk.engine.run(planned, sink=told.append))
        after = conclude(before, result)
        desk.notes.take(after)
        started = {event.node_id for event in told if isinstance(event, NodeStarted)}
        will_run = {each.node_id for each in before if each.runs}
        assert started == will_run if not result.failures else started <= will_run
        assert {each.node_id for each in after if each.runs} == started
        assert {each.node_id for each in before} == {task.id for task in planned.tasks}


class Save(Node[None], output=True):
    """Writes a file."""

    def run(self, ctx: Context) -> None:
        with ctx.series("saved").claim(".txt") as claim:
            claim.part.write_text("content")


def test_an_output_node_whose_files_are_there_says_so(lanes: Lanes, tmp_path: Path) -> None:
    runner = Engine(lanes, MemoryCache(10**6, WeightlessValues()), Paths(tmp_path), effects=Effects())
    planned = plan(graph(document(s=("Save", {})), runner.paths, Registry(Save)))
    for expected in ("output", "saved"):
        [explained] = explain(planned, runner)
        assert explained.reason == expected
        asyncio.run(runner.run(planned))
    next((tmp_path / "output").iterdir()).unlink()
    assert explain(planned, runner)[0].reason == "output"


def test_notes_of_a_process_are_there_for_the_next(lanes: Lanes, tmp_path: Path) -> None:
    file = tmp_path / "notes" / "notes.json"
    Desk(lanes, tmp_path, Notes(file)).run(chain(a=1), "z")
    later = Desk(lanes, tmp_path, Notes(file))
    assert later.explain(chain(a=2), "z")["x"].changes == (Change("the input 'a'", "1", "2"),)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"format": 99, "nodes": []}', b'{"format": 1, "nodes": [1]}',
        b'{"format": 1, "nodes": [["Add x", 5]]}', b'{"format": 1, "nodes": [["Add x", {"inputs": {}}]]}',
    ],
)  # fmt: skip
def test_a_damaged_file_of_notes_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "notes.json"
    file.write_bytes(content)
    assert Notes(file).last("x", "Add") is None


def test_notes_are_bounded() -> None:
    notes = Notes()
    for number in range(MOST + 1):
        notes.take([Explanation(str(number), "Add", True, "new", "", note={"inputs": {}})])
    assert notes.last("0", "Add") is None
    assert notes.last("1", "Add") is not None


def test_long_values_are_cut_in_words_but_told_apart(desk: Desk) -> None:
    one, two = (document(t=("Say", {"text": "word " * 100 + end})) for end in ("one", "two"))
    desk.run(one, "t")
    [change] = desk.explain(two, "t")["t"].changes
    assert len(change.before) < 100
