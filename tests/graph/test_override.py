"""NODE.INPUT=VALUE changes a workflow, or says in a sentence why it cannot."""

from pathlib import Path
from typing import Annotated, Any

import pytest

from graph.context import Context
from graph.node import Node
from graph.override import OverrideError, override
from graph.paths import Paths
from graph.registry import Registry
from graph.widgets import Choice, Float, Int, Text, Toggle
from graph.wire import Socket

Thing = Annotated[str, Socket("THING")]


class Maker(Node[Thing]):
    count: int = Int(default=1)
    share: float = Float(default=0.5)
    words: str = Text(default="")
    loud: bool = Toggle(default=False)
    kind: int = Choice((1, 2, 3))

    def run(self, ctx: Context) -> Thing:
        return self.words


class Taker(Node[None], output=True):
    thing: Thing

    def run(self, ctx: Context) -> None: ...


REGISTRY = Registry(Maker, Taker)
PROMPT: dict[str, Any] = {
    "1": {"class_type": "Maker", "inputs": {"count": 1}, "_meta": {"title": "The first."}},
    "a.b": {"class_type": "Maker", "inputs": {}},
    "end": {"class_type": "Taker", "inputs": {"thing": ["1", 0]}},
    "odd": {"class_type": "Unheard"},
}


@pytest.fixture
def change(tmp_path: Path):
    return lambda *changes: override(PROMPT, changes, REGISTRY, Paths(tmp_path))


@pytest.mark.parametrize(
    ("text", "node", "name", "value"),
    [
        ("1.count=7", "1", "count", 7),
        ("1.count=-3", "1", "count", -3),
        ("1.share=1e-3", "1", "share", 0.001),
        ("1.words=a = b.c", "1", "words", "a = b.c"),
        ("1.words=", "1", "words", ""),
        ("1.loud=Yes", "1", "loud", True),
        ("1.loud=false", "1", "loud", False),
        ("1.kind=2", "1", "kind", 2),
        ("The first..count=2", "1", "count", 2),
        ("a.b.count=2", "a.b", "count", 2),
        ("Unheard.anything=x", "odd", "anything", "x"),
    ],
)
def test_a_value_takes_the_type_of_its_input(change, text: str, node: str, name: str, value: object) -> None:
    changed = change(text)[node]["inputs"][name]
    assert changed == value
    assert type(changed) is type(value)


def test_the_workflow_itself_stays_as_it_was(change) -> None:
    assert change("1.count=7", "1.share=0") is not PROMPT
    assert PROMPT["1"]["inputs"] == {"count": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("count", "is no change: write NODE.INPUT=VALUE"),
        ("count=3", "is no change: write NODE.INPUT=VALUE"),
        ("2.count=3", r"no node here is called '2'; there are: 1 \(Maker\), a.b \(Maker\)"),
        ("Maker.count=3", r"'Maker' names 2 nodes here; use one of their ids: 1, a.b"),
        ("1.cuont=3", "Maker has no input 'cuont'; did you mean count?"),
        ("1.zzz=3", "Maker has no input 'zzz'; it has: count, share"),
        ("1.count=3.5", "Maker.count takes a whole number, not '3.5'"),
        ("1.share=much", "Maker.share takes a number, not 'much'"),
        ("1.loud=7", "Maker.loud takes true or false, not '7'"),
        ("Taker.thing=x", r"Taker.thing takes what another node gives \(THING\), not a value"),
    ],
)
def test_a_change_that_does_not_fit_is_a_sentence(change, text: str, sentence: str) -> None:
    with pytest.raises(OverrideError, match=sentence):
        change(text)
