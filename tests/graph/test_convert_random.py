"""Whatever a file holds, it is converted or refused in sentences: no other error, no end that does not come."""

import copy
import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.document import BadLink, Link
from graph.problems import DocumentError, Problem
from graph.read.api import parse_json, read_api
from graph.read.convert import Converted, is_editor_form, to_prompt
from graph.read.facts import Described, Facts
from tests.graph import test_convert_groups, test_convert_subgraphs
from tests.graph.editor_graphs import CLASSES, FACTS, NOON, Drawing
from tests.graph.test_convert_corpus import PAIRS, PLACE

KEYS = (
    "nodes", "links", "id", "type", "mode", "inputs", "outputs", "widgets_values", "widgets_values_named", "properties",
    "title", "link", "widget", "name", "definitions", "subgraphs", "linkIds", "extra", "groupNodes", "external",
    "config", "proxyWidgets", "origin_id", "origin_slot", "target_id", "target_slot", "Node name for S&R", "length",
    "0", "index", "visible", "input", "output", "Run widget replace on values",
)  # fmt: skip
TYPES = (*CLASSES, "Reroute", "PrimitiveNode", "Note", "sub", "workflow>sub", "workflow/sub", "Gone")
ATOMS = (
    st.none() | st.booleans() | st.integers(-21, 12) | st.floats()
    | st.sampled_from(("", "*", "-10", "-20", "%a.b%", "{a|b")) | st.sampled_from(TYPES) | st.text(max_size=4)
)  # fmt: skip
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
)
LINKS = st.lists(st.integers(-20, 6) | ATOMS, min_size=4, max_size=7) | VALUES
SLOTS = st.fixed_dictionaries(
    {}, optional={key: VALUES | st.integers(0, 6) for key in ("name", "type", "link", "widget", "linkIds")}
)
NODES = st.fixed_dictionaries(
    {"id": st.integers(0, 6), "type": st.sampled_from(TYPES)},
    optional={
        "inputs": st.lists(SLOTS, max_size=4) | VALUES, "outputs": VALUES, "mode": st.sampled_from((0, 2, 4)),
        "widgets_values": VALUES, "widgets_values_named": VALUES, "properties": VALUES, "title": VALUES,
    },
)  # fmt: skip
SHEETS = {"nodes": st.lists(NODES | VALUES, max_size=5), "links": st.lists(LINKS, max_size=8) | VALUES}
SUBGRAPHS = st.fixed_dictionaries(
    {"id": st.just("sub"), **SHEETS, "inputs": st.lists(SLOTS, max_size=3), "outputs": st.lists(SLOTS, max_size=3)}
)
GROUPS = st.fixed_dictionaries({**SHEETS, "external": VALUES, "config": VALUES})
WORKFLOWS = st.fixed_dictionaries(
    SHEETS,
    optional={
        "definitions": st.fixed_dictionaries({"subgraphs": st.lists(SUBGRAPHS | VALUES, max_size=2)}) | VALUES,
        "extra": st.fixed_dictionaries({"groupNodes": st.dictionaries(st.just("sub"), GROUPS | VALUES)}) | VALUES,
    },
)


def outcome(workflow: Any, facts: Facts = FACTS) -> str:
    """Convert; what comes out can be read, and what is refused is refused in sentences."""
    if not is_editor_form(workflow):
        return "other"
    problems: tuple[Problem, ...] = ()
    try:
        converted = to_prompt(workflow, facts, NOON)
    except DocumentError as error:
        converted, problems = Converted({}), error.problems
    assert all(str(said).endswith(".") for said in (*problems, *converted.notes))
    assert set(converted.unknown) <= converted.prompt.keys()
    json.dumps(converted.prompt)
    document = read_api(converted.prompt)
    wires = [value for node in document.nodes.values() for value in node.inputs.values() if isinstance(value, Link)]
    assert all(wire.node in document.nodes for wire in wires)
    assert not any(isinstance(value, BadLink) for node in document.nodes.values() for value in node.inputs.values())
    return "refused" if problems else "converted"


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(WORKFLOWS)
def test_any_json_of_about_the_form_is_converted_or_refused(workflow: Any) -> None:
    outcome(workflow)


FIXTURES = (
    test_convert_subgraphs.using([5, 1.5], properties={"proxyWidgets": [["3", "steps"], ["-1", "seed"]]}).workflow(
        test_convert_subgraphs.sampling()
    ),
    test_convert_groups.using([5, "fixed", 31], test_convert_groups.sampling().group(config={"0": {"input": {}}})),
    Drawing().node(1, "PrimitiveNode", [3]).node(2, "Reroute").node(3, "Lora", mode=4).node(4, "KSampler", {"seed": 1})
    .wire(1, 0, 4, "seed").wire(3, 0, 2, "").wire(2, 0, 4, "model").workflow_1(),
)  # fmt: skip


def changed(value: Any, chance: random.Random, other: Any) -> Any:
    """A copy with one thing in it replaced, doubled or left out."""
    made = copy.deepcopy(value)
    at = made
    while True:
        places = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not places:
            return made
        place = chance.choice(places)
        if isinstance(at[place], dict | list) and at[place] and chance.random() < 0.8:
            at = at[place]
            continue
        match chance.randrange(3):
            case 0:
                at[place] = other
            case 1 if isinstance(at, list):
                at.append(copy.deepcopy(at[place]))
            case _:
                del at[place]
        return made


@settings(max_examples=100)
@given(st.sampled_from(FIXTURES), st.randoms(use_true_random=False), st.lists(VALUES, min_size=1, max_size=4))
def test_a_workflow_with_some_things_changed_is_converted_or_refused(
    workflow: Any, chance: random.Random, others: list[Any]
) -> None:
    assert outcome(workflow) == "converted"
    for other in others:
        workflow = changed(workflow, chance, other)
    outcome(workflow)


@pytest.mark.skipif(
    not PAIRS.is_file(), reason=f"there are no pairs of workflows and prompts at {PLACE}; set DARKROOM_CORPUS"
)
@pytest.mark.parametrize("seed", range(4))
def test_files_with_bytes_flipped_and_parts_changed_are_converted_or_refused(seed: int) -> None:
    facts = Described(json.loads((PLACE / "object_info.json").read_text()))
    chance = random.Random(seed)
    with gzip.open(PAIRS, "rt") as lines:
        workflows = [json.loads(line)["workflow"] for line in lines][seed::4]
    converted = 0
    for workflow in workflows:
        data = bytearray(json.dumps(workflow).encode())
        for _ in range(4):
            flipped = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(7)
            try:
                converted += outcome(parse_json(bytes(flipped)), facts) == "converted"
            except DocumentError:
                continue  # no JSON any more
            converted += (
                outcome(changed(workflow, chance, chance.choice([None, -1, [], {}, "x", 1.5])), facts) == "converted"
            )
    assert converted > len(workflows)
