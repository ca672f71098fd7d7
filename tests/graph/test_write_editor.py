"""Documents drawn for the editor: read again they are the same, and the drawing can be read by people."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nodes
from graph.build import build
from graph.paths import Paths
from graph.read.api import read_api
from graph.read.convert import to_prompt
from graph.read.facts import Described, Registered
from graph.registry import Registry
from graph.write import write
from graph.write.editor import to_editor
from graph.write.layout import place
from graph.write.texts import guarded
from tests.graph.editor_graphs import FACTS, NOON, convert
from tests.graph.test_convert_corpus import PAIRS, PLACE, differences
from tests.graph.toys import Add

HOUSE = Path(__file__).resolve().parents[2]
TITLE = 30  # pixels above a node
TEXTS = st.text("ab {|}/*\n.:", max_size=12)
FIELDS: dict[str, dict[str, Any]] = {  # class: its fields, with values for them
    "Load": {"file": st.sampled_from(("a.ckpt", "gone.ckpt"))},
    "Lora": {"file": st.just("x"), "strength": st.floats(-2, 2)},
    "Text": {"text": TEXTS},
    "Empty": {"width": st.integers(), "height": st.integers(0, 99)},
    "KSampler": {
        "seed": st.integers(0, 2**64 - 1), "steps": st.integers(1, 9), "cfg": st.floats(0, 9),
        "sampler_name": st.just("heun"),
    },
    "Decode": {},
    "LoadImage": {"image": TEXTS},
    "SaveImage": {"filename_prefix": TEXTS},
    "Int": {"value": st.integers()},
    "Pick": {"choice": st.just("two"), "flag": st.booleans(), "empty": st.none()},
    "Stamp": {"label": TEXTS},
    "Gone": {"words": TEXTS, "list": st.lists(st.integers(), max_size=3), "state": st.sampled_from(("fixed", None))},
}  # fmt: skip


@st.composite
def prompts(draw: st.DrawFn) -> dict[str, Any]:
    """Prompts whose fields all have a value or a wire, and whose nodes may be of a class that nobody knows."""
    names = draw(st.lists(st.sampled_from(("1", "2", "30", "04", "a", "5:1", "-10", "9" * 20)), unique=True))
    prompt: dict[str, Any] = {}
    for name in names:
        class_type = draw(st.sampled_from(sorted(FIELDS)))
        known = FACTS.of(class_type)
        sockets = [each.name for each in known.inputs if each.name not in FIELDS[class_type]] if known else ["in"]
        inputs: dict[str, Any] = {}
        for field, values in FIELDS[class_type].items():
            value = draw(values)
            inputs[field] = {"__value__": value} if isinstance(value, list) else value
        for field in draw(st.lists(st.sampled_from((*sockets, *inputs, "more")), unique=True)) if names else ():
            inputs[field] = [draw(st.sampled_from(names)), draw(st.integers(0, 4))]
        title = draw(st.sampled_from((f"The {class_type}" if known else class_type, "My own")))
        prompt[name] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
    return prompt


@settings(max_examples=200, deadline=None)
@given(prompts())
def test_a_drawing_read_again_is_the_same_prompt(prompt: dict[str, Any]) -> None:
    workflow = json.loads(json.dumps(to_editor(prompt, FACTS)))
    converted = convert(workflow)
    assert converted.prompt == prompt
    assert converted.notes == ()


@settings(max_examples=100, deadline=None)
@given(prompts())
def test_wires_are_listed_the_same_at_both_ends(prompt: dict[str, Any]) -> None:
    workflow = to_editor(prompt, FACTS)
    found = {node["id"]: node for node in workflow["nodes"]}
    ends = [each["link"] for node in found.values() for each in node["inputs"] if each["link"] is not None]
    starts = [link for node in found.values() for each in node["outputs"] for link in each["links"]]
    assert sorted(ends) == sorted(starts) == [link[0] for link in workflow["links"]]
    for link, origin, output, target, number, _ in workflow["links"]:
        assert link in found[origin]["outputs"][output]["links"]
        assert found[target]["inputs"][number]["link"] == link
    assert workflow["last_link_id"] == len(ends)
    assert workflow["last_node_id"] == max((each for each in found if isinstance(each, int)), default=0)
    assert sorted(node["order"] for node in found.values()) == list(range(len(found)))


@pytest.mark.parametrize("file", sorted((HOUSE / "workflows").glob("*.json")), ids=lambda file: file.stem)
def test_a_workflow_of_the_project_drawn_and_read_again_is_the_same(file: Path, tmp_path: Path) -> None:
    facts = Registered(Registry.scan(nodes), Paths(tmp_path))
    prompt = json.loads(file.read_text())
    workflow = to_editor(prompt, facts)
    found = to_prompt(workflow, facts).prompt
    for name, node in prompt.items():
        known = facts.of(node["class_type"])
        assert known is not None
        defaults = {each.name: each.options["default"] for each in known.inputs if "default" in each.options}
        assert found.pop(name) == {**node, "inputs": {**defaults, **node["inputs"]}}
    assert found == {}


def published() -> list[dict[str, Any]]:
    """Prompts that were published, and prompts that cover every rule; no fixture, whose values pytest would print."""
    if not PAIRS.is_file():
        pytest.skip(f"there are no pairs of workflows and prompts at {PLACE}; set DARKROOM_CORPUS")
    with gzip.open(PAIRS, "rt") as lines:
        return [json.loads(line)["prompt"] for line in lines]


def test_published_prompts_drawn_and_read_again_are_the_same() -> None:
    """But for fields that they give no value for."""
    facts = Described(json.loads((PLACE / "object_info.json").read_text()))
    differing = []
    for prompt in published():
        places = differences(to_prompt(to_editor(prompt, facts), facts, NOON).prompt, prompt)
        differing += [place for place in places if place.split()[-1] in prompt[place.split()[0]]["inputs"]]
    assert differing == ["9 filename_prefix"]  # a text that names the widget of a node


def test_published_prompts_of_classes_that_nobody_knows_are_the_same() -> None:
    facts = Described({})
    for prompt in published():
        assert differences(to_prompt(to_editor(prompt, facts), facts, NOON).prompt, prompt) == []


def test_published_prompts_are_drawn_from_left_to_right_with_room_for_titles() -> None:
    facts = Described(json.loads((PLACE / "object_info.json").read_text()))
    backwards = 0
    for prompt in published():
        workflow = to_editor(prompt, facts)
        boxes = {node["id"]: (*node["pos"], *node["size"]) for node in workflow["nodes"]}
        found = list(boxes.values())
        for at, (x, y, width, height) in enumerate(found):
            for left, top, wide, high in found[:at]:
                assert x >= left + wide or left >= x + width or y - TITLE >= top + high or top - TITLE >= y + height
        backwards += sum(boxes[link[1]][0] + boxes[link[1]][2] >= boxes[link[3]][0] for link in workflow["links"])
    assert backwards < 5  # those of nodes that lead round in a circle


def test_a_node_has_room_for_its_slots_and_fields() -> None:
    sampler = {"model": ["2", 0], "positive": ["3", 0]}
    prompt = {
        "1": {"class_type": "KSampler", "inputs": sampler}, "2": {"class_type": "Load", "inputs": {}},
        "3": {"class_type": "Text", "inputs": {"text": "a"}}, "4": {"class_type": "Gone", "inputs": {"a": 1, "b": 2}},
    }  # fmt: skip
    heights = [node["size"][1] for node in to_editor(prompt, FACTS)["nodes"]]
    assert heights[0] >= 3 * 20 + 5 * 24  # wires, and fields with what says how the seed changes
    assert heights[2] >= 20 + 100
    assert heights[3] >= 2 * 24


def test_ids_stay_whatever_they_are_but_an_empty_one() -> None:
    names = ["7", "07", "apple", "5:12", "-1", "9" * 20, ""]
    prompt = {name: {"class_type": "Int", "inputs": {"value": 1}} for name in names}
    workflow = to_editor(prompt, FACTS)
    assert [node["id"] for node in workflow["nodes"]] == [7, "07", "apple", "5:12", "-1", "9" * 20, 1]
    assert list(convert(workflow).prompt) == [*names[:-1], "1"]


def test_a_document_is_written_in_the_form_that_is_asked_for(tmp_path: Path) -> None:
    registry, paths = Registry.scan(nodes), Paths(tmp_path)
    prompt = {"7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blå"}}}
    base = {**to_editor(prompt, Registered(registry, paths)), "mine": 1}
    document = read_api(prompt, {"workflow": base})
    assert write(document, "api", registry, paths) == json.dumps(prompt, indent=2, ensure_ascii=False) + "\n"
    assert "use(CLIPTextEncode" in write(document, "python", registry, paths)
    assert json.loads(write(document, "editor", registry, paths)) == base
    drawn = json.loads(write(read_api(prompt, {"workflow": ["odd"]}), "editor", registry, paths))
    assert (drawn["version"], "mine" in drawn) == (0.4, False)


def test_a_document_with_classes_of_its_own_is_drawn_with_their_fields(tmp_path: Path) -> None:
    registry = Registry.scan(nodes)
    document = build(Add(a=1, b=2))
    (node,) = json.loads(write(document, "editor", registry, Paths(tmp_path)))["nodes"]
    assert [each["name"] for each in node["inputs"]] == ["a", "b"]
    assert node["widgets_values"] == [1, 2]


def test_values_stand_in_the_order_of_the_fields_with_those_that_only_the_editor_has() -> None:
    sampler = {"cfg": 7.0, "seed": 5, "steps": 4, "sampler_name": "heun"}
    workflow = to_editor(
        {
            "1": {"class_type": "KSampler", "inputs": sampler},
            "2": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
            "3": {"class_type": "Pick", "inputs": {"choice": "two", "flag": True}},
        },
        FACTS,
    )
    assert [node["widgets_values"] for node in workflow["nodes"]] == [
        [5, "fixed", 4, 7.0, "heun"], ["cat.png", "image"], ["two", "fixed", "", True],
    ]  # fmt: skip


def test_only_a_title_that_the_class_does_not_have_is_written() -> None:
    own, other = ({"class_type": "Int", "inputs": {}, "_meta": {"title": title}} for title in ("The Int", "Seed"))
    first, second = to_editor({"1": own, "2": other}, FACTS)["nodes"]
    assert "title" not in first
    assert second["title"] == "Seed"


@given(TEXTS.filter(lambda text: "\\" not in text))
def test_a_guarded_text_is_sent_as_it_is(text: str) -> None:
    workflow = to_editor({"1": {"class_type": "Text", "inputs": {"text": text}}}, FACTS)
    assert workflow["nodes"][0]["widgets_values"] == [guarded(text)]
    assert convert(workflow).prompt["1"]["inputs"]["text"] == text


NAMES = st.sampled_from("abcdefgh")


@given(
    st.dictionaries(NAMES, st.tuples(st.integers(1, 400), st.integers(1, 400))), st.lists(st.tuples(NAMES, NAMES))
)  # fmt: skip
def test_no_node_lies_over_another(sizes: dict[str, tuple[int, int]], wires: list[tuple[str, str]]) -> None:
    places = place(sizes, wires, (10, 20))
    boxes = [(*places[name], *sizes[name]) for name in sizes]
    for at, (x, y, width, height) in enumerate(boxes):
        assert x >= 10
        assert y >= 20
        for left, top, wide, high in boxes[:at]:
            assert x >= left + wide or left >= x + width or y >= top + high or top >= y + height


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda wire: wire[0] < wire[1])))
def test_wires_lead_from_left_to_right(wires: list[tuple[int, int]]) -> None:
    places = place({str(each): (200, 100) for each in range(10)}, [(str(one), str(two)) for one, two in wires])
    assert all(places[str(one)][0] + 200 < places[str(two)][0] for one, two in wires)


def test_wires_do_not_cross_where_they_need_not() -> None:
    sizes = dict.fromkeys(("a", "b", "c", "x", "y", "z"), (200, 100))
    places = place(sizes, [("a", "z"), ("b", "y"), ("c", "x")])
    left = sorted("abc", key=lambda name: places[name][1])
    right = sorted("zyx", key=lambda name: places[name][1])
    assert [dict(zip("abc", "zyx", strict=True))[name] for name in left] == right
