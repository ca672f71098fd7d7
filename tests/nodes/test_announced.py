"""Loaders that are listed and cannot run yet: a workflow that needs one is refused, whatever its inputs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nodes
import nodes.announced
from graph.document import Document
from graph.node import Node
from graph.paths import Paths
from graph.problems import Problem
from graph.read.api import read_api
from graph.registry import Registry
from graph.validate import validate
from nodes.announced import Announced, AnnouncedError
from tests.nodes.conftest import RecordingContext

HOUSE = Path(__file__).resolve().parents[2]
CLASSES = dict(Registry.scan_module(nodes.announced))
LINKS = {"MODEL": ["checkpoint", 0], "CLIP": ["checkpoint", 1]}


def workflow(cls: type[Node[Any]], file: str) -> Document:
    """The sample with a node of that class, and another that needs its first output."""
    prompt: dict[str, Any] = json.loads((HOUSE / "workflows" / "text_to_image.json").read_text())
    inputs: dict[str, Any] = {}
    for name, item in cls.schema().inputs.items():
        offered = item.choices if isinstance(item.choices, tuple) and item.choices else (file,)
        inputs[name] = LINKS.get(item.type) or (offered[0] if item.type == "COMBO" else item.options["default"])
    prompt["loader"] = {"class_type": cls.schema().name, "inputs": inputs}
    prompt["taker"] = {"class_type": "Taker", "inputs": {"value": ["loader", 0]}}
    return read_api(prompt)


class Taker(Node[None], category="test", output=True):
    """Needs whatever it is given."""

    value: Any

    def run(self, ctx: object) -> None:
        raise AssertionError("it was validated, although what it needs cannot run")


def problems(document: Document, base: Path) -> list[Problem]:
    (base / "models").mkdir(exist_ok=True)
    checkpoints = base / "models" / "checkpoints"
    if not checkpoints.exists():
        checkpoints.symlink_to(HOUSE / "models" / "checkpoints")
    found = validate(document, Registry(*Registry.scan(nodes).values(), Taker), Paths(base))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("is_there", [True, False])
def test_a_workflow_that_needs_one_is_refused_in_one_sentence(name: str, is_there: bool, tmp_path: Path) -> None:
    [(kind, file)] = [
        (item.choices.kind, f"some {item.choices.kind}.safetensors")
        for item in CLASSES[name].schema().inputs.values()
        if hasattr(item.choices, "kind")
    ]
    if is_there and kind != "checkpoints":
        (tmp_path / "models" / kind).mkdir(parents=True)
        (tmp_path / "models" / kind / file).touch()
    [problem] = problems(workflow(CLASSES[name], file), tmp_path)
    assert (problem.node_id, problem.class_type) == ("loader", name)
    assert problem.sentence.startswith(f"{name} (node loader): will not do: Darkroom lists this node but cannot run it")
    assert problem.sentence.count(".") == 1


def test_one_that_nothing_needs_does_not_matter(tmp_path: Path) -> None:
    document = workflow(CLASSES["LoraLoader"], "x.safetensors")
    without = read_api({node_id: node for node_id, node in document.prompt.items() if node_id != "taker"})
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "checkpoints").symlink_to(HOUSE / "models" / "checkpoints")
    assert not isinstance(validate(without, Registry.scan(nodes), Paths(tmp_path)), list)


@pytest.mark.parametrize("name", CLASSES)
def test_one_that_another_node_makes_fails_with_the_same_sentence(name: str, ctx: RecordingContext) -> None:
    node: Any = CLASSES[name].peek({}, CLASSES[name].schema().inputs)
    [(_, sentence)] = node.check(ctx.paths)
    with pytest.raises(AnnouncedError) as caught:
        node.run(ctx)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", CLASSES)
def test_each_says_that_it_cannot_run(name: str) -> None:
    assert issubclass(CLASSES[name], Announced)
    assert CLASSES[name].schema().description.startswith("Cannot run yet. ")
