"""Workflows of the editor that are changed: what a person placed stays, and they are sent as what was asked for."""

import copy
import gzip
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.problems import DocumentError
from graph.read.convert import to_prompt
from graph.read.facts import Described, Facts
from graph.write.editor import to_editor
from tests.graph import test_convert_groups, test_convert_random, test_convert_subgraphs
from tests.graph.editor_graphs import FACTS, NOON, Drawing, convert
from tests.graph.test_convert_corpus import PAIRS, PLACE, WHEN, differences

NAMED = {"widgets_values_named": {"seed": 5, "steps": 6, "cfg": 7.0, "sampler_name": "heun"}}
SAMPLER = [5, "fixed", 6, 7.0, "heun"]


def drawing() -> Drawing:
    """A small workflow with something of everything that only the editor knows."""
    return (
        Drawing()
        .node(1, "Load", ["b.ckpt"], pos=[10, 20], size={"0": 300, "1": 98}, color="#223", mine={"a": [1]})
        .node(2, "Text", ["a {red|green} {cat|dog} // what"], title="Wanted", pos=[400, 20])
        .node(3, "KSampler", list(SAMPLER), pos=[800, 20], properties={"Node name for S&R": "KSampler", "own": 1})
        .node(4, "Decode", pos=[1200, 20])
        .node(5, "SaveImage", ["%date:yyyy-MM-dd%/x"], pos=[1500, 20], flags={"collapsed": True})
        .node(6, "Note", ["think"], pos=[0, 500])
        .node(7, "Reroute", pos=[600, 0])
        .node(8, "PrimitiveNode", [9, "randomize"], pos=[600, 300])
        .node(9, "Lora", ["x", 0.5], mode=4, pos=[200, 20])
        .node(10, "Decode", mode=2, pos=[1200, 300])
        .node(11, "Gone", [1, "two"], pos=[1200, 500], inputs=[
            {"name": name, "type": kind, "widget": {"name": name}, "link": None}
            for name, kind in (("number", "INT"), ("words", "STRING"))
        ])
        .wire(1, 0, 9, "model").wire(9, 0, 7, "").wire(7, 0, 3, "model").wire(1, 1, 2, "clip").wire(2, 0, 3, "positive")
        .wire(8, 0, 3, "steps").wire(3, 0, 4, "samples").wire(1, 2, 4, "vae").wire(4, 0, 5, "images")
        .wire(3, 0, 10, "samples")
    )  # fmt: skip


def workflow(**more: Any) -> dict[str, Any]:
    """It as a file."""
    groups = [{"title": "Group", "bounding": [0, 0, 900, 400], "color": "#3f789e", "font_size": 24}]
    extra = {"ds": {"scale": 0.7, "offset": [1, 2]}, "other": [None]}
    return drawing().workflow(groups=groups, config={"links_ontop": True}, extra=extra, last_node_id=40, **more)


def paths(one: Any, other: Any, here: str = "") -> Iterator[str]:
    """Where two values of JSON differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key in one and key in other:
                yield from paths(one[key], other[key], f"{here}/{key}")
            else:
                yield f"{here}/{key}"
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (each, its) in enumerate(zip(one, other, strict=True)):
            yield from paths(each, its, f"{here}/{number}")
    elif type(one) is not type(other) or (one != other and not (one != one and other != other)):
        yield here


def changed(base: Mapping[str, Any], facts: Facts = FACTS, **changes: Any) -> dict[str, Any]:
    """The file with other inputs; each is named "node_input", with _ for what stands between ids."""
    prompt = to_prompt(base, facts, NOON).prompt
    for place, value in changes.items():
        node, key = place.removeprefix("n").split("__")
        prompt[node.replace("_", ":")]["inputs"][key] = value
    return edited(base, prompt, facts)


def edited(base: Mapping[str, Any], prompt: dict[str, Any], facts: Facts = FACTS) -> dict[str, Any]:
    """The file made to fit another prompt: which it then is sent as, while the old file is as it was."""
    before = copy.deepcopy(base)
    made = to_editor(prompt, facts, base)
    assert list(paths(before, base)) == []
    made = json.loads(json.dumps(made))
    found = to_prompt(made, facts, NOON)
    assert differences(found.prompt, prompt) == []
    assert found.notes == to_prompt(base, facts, NOON).notes
    return made  # type: ignore[no-any-return]


def places(base: Mapping[str, Any], **changes: Any) -> list[str]:
    """Where the file differs after such changes."""
    return sorted(paths(base, changed(base, **changes)))


SUBGRAPHS = {
    "a list": test_convert_subgraphs.using([5, 1.5]).workflow(test_convert_subgraphs.sampling()),
    "nothing": test_convert_subgraphs.using(None).workflow(test_convert_subgraphs.sampling()),
}  # fmt: skip


@pytest.mark.parametrize("base", [workflow(), drawing().workflow_1(), *SUBGRAPHS.values()])
def test_nothing_changes_where_nothing_is_asked_for(base: dict[str, Any]) -> None:
    prompt = convert(base).prompt
    assert list(paths(base, to_editor(prompt, FACTS, base))) == []


def test_a_text_that_is_an_outcome_of_its_alternatives_stays() -> None:
    base = workflow()
    prompt = convert(base).prompt
    for text in ("a red cat ", "a green dog "):
        prompt["2"]["inputs"]["text"] = text
        assert to_editor(prompt, FACTS, base) == base
    assert places(base, n2__text="a blue cat") == ["/nodes/1/widgets_values/0"]
    assert changed(base, n2__text="a {blue} // cat")["nodes"][1]["widgets_values"] == [r"a \{blue\} /{}/ cat"]


def test_a_file_name_of_another_day_stays() -> None:
    base = workflow()
    prompt = convert(base).prompt
    prompt["5"]["inputs"]["filename_prefix"] = "2024-12-24/x"
    assert to_editor(prompt, FACTS, base) == base
    assert places(base, n5__filename_prefix="2024-12-24/y") == ["/nodes/4/widgets_values/0"]


def test_one_value_changes_one_place() -> None:
    assert places(workflow(), n3__seed=2**64 - 1) == ["/nodes/2/widgets_values/0"]
    assert places(workflow(), n3__sampler_name="euler") == ["/nodes/2/widgets_values/4"]
    assert places(workflow(), n11__words="three") == ["/nodes/10/widgets_values/1"]


def test_a_value_that_comes_from_a_primitive_changes_there() -> None:
    assert places(workflow(), n3__steps=30) == ["/nodes/7/widgets_values/0"]


def test_a_value_that_another_node_takes_from_the_same_primitive_is_given_by_itself() -> None:
    base = drawing().node(12, "KSampler", list(SAMPLER)).wire(8, 0, 12, "steps").workflow()
    made = changed(base, n12__steps=30)
    assert made["nodes"][11]["widgets_values"] == [5, "fixed", 30, 7.0, "heun"]
    assert made["nodes"][7] == {**base["nodes"][7], "outputs": made["nodes"][7]["outputs"]}
    both = sorted(paths(base, changed(base, n3__steps=30, n12__steps=30)))
    assert both == ["/nodes/7/widgets_values/0"]


@pytest.mark.parametrize(
    ("saved", "places_"),
    [
        ({"widgets_values": {"seed": 1, "steps": 2}}, ["/nodes/0/widgets_values/steps"]),
        ({"widgets_values": {"seed": 1}}, ["/nodes/0/widgets_values/steps"]),
        ({"widgets_values": {"0": 1, "1": "fixed", "2": 4, "length": 3}}, ["/nodes/0/widgets_values/2"]),
        ({"widgets_values": None, **NAMED}, ["/nodes/0/widgets_values_named/steps"]),
        ({"widgets_values": SAMPLER, **NAMED}, ["/nodes/0/widgets_values/2", "/nodes/0/widgets_values_named/steps"]),
        ({"widgets_values": [1]}, ["/nodes/0/widgets_values"]),
        ({"widgets_values": None}, ["/nodes/0/widgets_values"]),
    ],
)
def test_values_are_changed_in_every_form_that_files_have(saved: dict[str, Any], places_: list[str]) -> None:
    base = Drawing().node(1, "KSampler").workflow()
    base["nodes"][0].update(saved)
    assert places(base, n1__steps=9) == places_


@pytest.mark.parametrize(
    "saved",
    [
        {"widgets_values": [1]},
        {"widgets_values": {"number": 1}},
        {"widgets_values": [], "widgets_values_named": {"number": 1}},
    ],
)
def test_values_of_unknown_classes_come_and_go(saved: dict[str, Any]) -> None:
    base = workflow()
    base["nodes"][10].update(saved)
    base["nodes"][10]["inputs"].pop()
    assert changed(base, n11__number=2) != base
    changed(base, n11__more="text")
    prompt = convert(base).prompt
    del prompt["11"]["inputs"]["number"]
    edited(base, prompt)


def test_a_title_changes_only_where_it_is_another() -> None:
    base = workflow()
    prompt = convert(base).prompt
    prompt["3"]["_meta"]["title"] = "Denoise"
    assert sorted(paths(base, edited(base, prompt))) == ["/nodes/2/title"]


# ── wires and nodes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wire_leads_elsewhere_and_all_others_keep_their_numbers() -> None:
    base = workflow()
    made = changed(base, n5__images=["11", 2])
    assert [link for link in made["links"] if link in base["links"]] == [link for link in base["links"] if link[0] != 9]
    assert [link for link in made["links"] if link not in base["links"]] == [[11, 11, 2, 5, 0, "IMAGE"]]
    assert made["nodes"][10]["outputs"][2]["links"] == [11]
    assert [node["pos"] for node in made["nodes"] if "pos" in node] == [node["pos"] for node in base["nodes"]]


def test_a_value_in_place_of_a_wire_cuts_it() -> None:
    base = drawing().node(12, "Int", [5]).wire(12, 0, 3, "seed").workflow()
    made = changed(base, n3__seed=6)
    assert len(made["links"]) == len(base["links"]) - 1
    assert made["nodes"][2]["widgets_values"][0] == 6
    back = changed(made, n3__seed=["12", 0])
    assert len(back["links"]) == len(base["links"])


def test_nodes_that_are_gone_are_taken_out_and_others_stay() -> None:
    base = workflow()
    prompt = convert(base).prompt
    del prompt["4"], prompt["5"]["inputs"]["images"]
    made = edited(base, prompt)
    kept = [node for node in base["nodes"] if node["id"] not in (4, 5)]
    assert [node for node in made["nodes"] if node["id"] not in (5,)] == kept
    assert [link[0] for link in base["links"] if link not in made["links"]] == [7, 8, 9]
    assert made["groups"] == base["groups"]
    assert made["extra"] == base["extra"]


def test_a_new_node_lies_left_of_what_it_feeds_and_over_no_other() -> None:
    base = workflow()
    prompt = convert(base).prompt
    for name in ("41", "apple", "6"):  # there is a note that has the last of these
        prompt[name] = {"class_type": "Decode", "inputs": {"samples": ["3", 0]}, "_meta": {"title": "New"}}
    prompt["5"]["inputs"]["images"] = ["41", 0]
    made = edited(base, prompt)
    found = {node["id"]: node for node in made["nodes"]}
    assert found[41]["pos"][0] + found[41]["size"][0] < found[5]["pos"][0]
    assert found[41]["title"] == "New"
    assert found["apple"]["pos"][0] > found[3]["pos"][0]
    assert made["last_node_id"] == 42
    assert [node["widgets_values"] for node in made["nodes"] if node["type"] == "Note"] == [["think"]]
    boxes = [(*node["pos"], *node["size"]) for node in (found[41], found["apple"], found[6])]
    for at, (x, y, width, height) in enumerate(boxes):
        for left, top, wide, high in boxes[:at]:
            assert x >= left + wide or left >= x + width or y >= top + high or top >= y + height


def test_a_muted_node_that_is_wanted_runs_again() -> None:
    base = workflow()
    prompt = convert(base).prompt
    prompt["10"] = {"class_type": "Decode", "inputs": {"samples": ["3", 0]}}
    assert sorted(paths(base, edited(base, prompt))) == ["/nodes/9/mode"]


def test_another_class_takes_the_place_of_a_node() -> None:
    base = workflow()
    prompt = convert(base).prompt
    prompt["4"] = {"class_type": "Other", "inputs": {"samples": ["3", 0], "tile": 512}}
    edited(base, prompt)


def test_links_of_the_newer_form_stay_objects() -> None:
    base = drawing().workflow_1() | {
        "state": {"lastLinkId": 70, "lastNodeId": 80},
        "reroutes": [{"id": 1, "linkIds": [7, 9]}],
    }
    prompt = convert(base).prompt
    prompt["5"]["inputs"]["images"] = ["new", 0]
    prompt["new"] = {"class_type": "Decode", "inputs": {"samples": ["3", 0]}}
    made = edited(base, prompt)
    assert [link["id"] for link in made["links"]] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 71, 72]
    assert made["state"]["lastLinkId"] == 72
    assert made["reroutes"] == [{"id": 1, "linkIds": [7]}]


# ── subgraphs and groups ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_on_the_outside_of_a_subgraph_changes_there() -> None:
    assert places(SUBGRAPHS["a list"], n10_3__seed=6) == ["/nodes/1/widgets_values/0"]
    assert places(SUBGRAPHS["nothing"], n10_3__seed=6) == ["/nodes/1/widgets_values"]


def test_a_value_inside_a_subgraph_changes_there() -> None:
    base = SUBGRAPHS["a list"]
    assert places(base, n10_3__steps=9) == ["/definitions/subgraphs/0/nodes/0/widgets_values/2"]


def test_one_of_several_uses_of_a_subgraph_gets_its_own() -> None:
    using = test_convert_subgraphs.using([5, 1.5]).node(11, "sampling", [7, 2])
    base = using.workflow(test_convert_subgraphs.sampling())
    assert places(base, n11_3__seed=6) == ["/nodes/3/widgets_values/0"]
    made = changed(base, n11_3__steps=9)
    assert sorted(paths(base, made)) == ["/definitions/subgraphs", "/nodes/3/type"]
    assert made["definitions"]["subgraphs"][0] == base["definitions"]["subgraphs"][0]
    assert made["definitions"]["subgraphs"][1]["id"] == made["nodes"][3]["type"]


def test_wires_outside_a_subgraph_lead_elsewhere_outside() -> None:
    base = SUBGRAPHS["a list"]
    prompt = convert(base).prompt
    prompt["5"] = {"class_type": "Load", "inputs": {"file": "b.ckpt"}}
    prompt["10:3"]["inputs"]["model"] = ["5", 0]
    made = edited(base, prompt)
    assert made["definitions"] == base["definitions"]
    assert made["nodes"][1]["inputs"][0]["link"] == 4


def test_nodes_are_added_inside_a_subgraph() -> None:
    base = SUBGRAPHS["a list"]
    prompt = convert(base).prompt
    prompt["10:50"] = {"class_type": "Mix", "inputs": {"one": ["10:3", 0], "two": ["10:3", 0]}}
    prompt["10:8"]["inputs"]["samples"] = ["10:50", 0]
    made = edited(base, prompt)
    assert len(made["nodes"]) == len(base["nodes"])
    assert made["definitions"]["subgraphs"][0]["nodes"][2]["id"] == 50


def test_where_wires_cross_the_edge_of_a_subgraph_its_nodes_come_out() -> None:
    base = SUBGRAPHS["a list"]
    prompt = convert(base).prompt
    prompt["20"] = {"class_type": "Other", "inputs": {"latent": ["10:3", 0]}}
    made = edited(base, prompt)
    assert sorted(str(node["id"]) for node in made["nodes"]) == ["10:3", "10:8", "20", "4", "9"]


def test_a_subgraph_of_which_nothing_is_left_is_taken_out() -> None:
    base = SUBGRAPHS["a list"]
    prompt = convert(base).prompt
    del prompt["10:3"], prompt["10:8"], prompt["9"]["inputs"]["images"]
    assert [node["id"] for node in edited(base, prompt)["nodes"]] == [4, 9]


def test_values_for_nodes_inside_a_group_change_at_the_node_that_stands_for_it() -> None:
    saved = [5, "randomize", 31, 1.5, "euler"]
    base = test_convert_groups.using(saved, test_convert_groups.sampling().group())
    assert places(base, n10_0__cfg=3.5) == ["/nodes/1/widgets_values/3"]


def test_where_else_a_group_changes_its_nodes_come_out() -> None:
    base = test_convert_groups.using([5], test_convert_groups.sampling().group())
    prompt = convert(base).prompt
    prompt["10:1"]["inputs"]["samples"] = ["4", 1]
    assert sorted(str(node["id"]) for node in edited(base, prompt)["nodes"]) == ["10:0", "10:1", "4", "9"]


# ── anything ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def some_change(prompt: dict[str, Any], chance: random.Random) -> None:
    """Change one thing in a prompt, such that a file of the editor can hold it."""
    name = chance.choice(list(prompt))
    inputs = prompt[name]["inputs"]
    links = [key for key, value in inputs.items() if isinstance(value, list)]
    fields = [key for key, value in inputs.items() if isinstance(value, str | int | float) and key not in ONLY_SHOWN]
    match chance.randrange(6):
        case 0 | 1 if fields:
            key = chance.choice(fields)
            texts = [f"{inputs[key]} {{x|y}} // z", "b", ""]
            inputs[key] = chance.choice(texts if isinstance(inputs[key], str) else [7, 0.5, True])
        case 2 if links:
            inputs[chance.choice(links)] = [chance.choice(list(prompt)), chance.randrange(3)]
        case 3 if len(prompt) > 1:
            del prompt[name]
            for node in prompt.values():
                node["inputs"] = {
                    key: value
                    for key, value in node["inputs"].items()
                    if not isinstance(value, list) or value[0] != name
                }
        case 4:
            prefix = f"{name.rpartition(':')[0]}:" if ":" in name and chance.random() < 0.7 else ""
            prompt[f"{prefix}{chance.randrange(900, 950)}"] = {
                "class_type": "Nobody has this",
                "inputs": {"a": [name, 0], "b": "c"},
            }
        case _:
            prompt[name].setdefault("_meta", {})["title"] = chance.choice(["Mine", "Yours"])


ONLY_SHOWN = frozenset({"preview", "audioUI"})


def lacking(prompt: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Where the inputs of a prompt are not those that were found; defaults may have come to them."""
    return [
        place for place in differences(found, prompt)
        if " " not in place or place.split(" ", 1)[1] in prompt[place.split()[0]]["inputs"]
    ]  # fmt: skip


BASES = (workflow(), drawing().workflow_1(), *SUBGRAPHS.values(), *test_convert_random.FIXTURES)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BASES), st.randoms(use_true_random=False), st.integers(1, 5))
def test_whatever_changes_the_file_is_sent_so(base: dict[str, Any], chance: random.Random, count: int) -> None:
    prompt = convert(base).prompt
    for _ in range(count):
        some_change(prompt, chance)
    made = to_editor(prompt, FACTS, base)
    assert lacking(prompt, convert(json.loads(json.dumps(made))).prompt) == []
    assert to_editor(prompt, FACTS, made) == made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(test_convert_random.WORKFLOWS, test_convert_random.WORKFLOWS, st.randoms(use_true_random=False))
def test_any_json_of_about_the_form_is_changed_or_drawn_anew(one: Any, other: Any, chance: random.Random) -> None:
    for base in (one, other):
        for workflow_ in (one, other):
            try:
                prompt = convert(workflow_).prompt
            except DocumentError:
                prompt = {}
            if prompt and workflow_ is base:
                some_change(prompt, chance)
            made = to_editor(prompt, FACTS, base)
            assert lacking(prompt, convert(json.loads(json.dumps(made))).prompt) == []


pairs = pytest.mark.skipif(not PAIRS.is_file(), reason=f"there are no pairs of workflows and prompts at {PLACE}")


def published() -> tuple[Facts, list[dict[str, Any]]]:
    with gzip.open(PAIRS, "rt") as lines:
        return Described(json.loads((PLACE / "object_info.json").read_text())), [
            json.loads(line)["workflow"] for line in lines
        ]


@pairs
def test_published_workflows_stay_where_nothing_changes() -> None:
    facts, workflows = published()
    assert [
        number for number, base in enumerate(workflows)
        if list(paths(base, to_editor(to_prompt(base, facts, WHEN).prompt, facts, base)))
    ] == []  # fmt: skip


@pairs
@pytest.mark.parametrize("seed", range(3))
def test_published_workflows_are_sent_as_they_are_changed(seed: int) -> None:
    facts, workflows = published()
    chance = random.Random(seed)
    differing: list[tuple[int, list[str]]] = []
    for number, base in enumerate(workflows):
        prompt = to_prompt(base, facts, WHEN).prompt
        for _ in range(chance.randrange(1, 4)) if prompt else ():
            some_change(prompt, chance)
        found = to_prompt(to_editor(prompt, facts, base), facts, WHEN).prompt
        differing.append((number, lacking(prompt, found)))
    # A text that has the value of another node's field in it cannot be kept from having the new one.
    assert [each for each in differing if any(not place.endswith(" filename_prefix") for place in each[1])] == []
