"""Subgraphs unfolded: ids, wires in and out, widgets on the outside, modes, and how large they may be."""

from typing import Any

import pytest

from tests.graph.editor_graphs import Drawing, convert, inputs, refusal, slot


def sampling() -> dict[str, Any]:
    """A subgraph of a sampler and a decoder, with seed and cfg on the outside."""
    inside = Drawing().node(3, "KSampler", [1, "fixed", 30, 2.5, "heun"]).node(8, "Decode").wire(3, 0, 8, "samples")
    inside.enter("model", "MODEL", (3, "model")).enter("seed", "INT", (3, "seed")).enter("vae", "VAE", (8, "vae"))
    inside.enter("strictness", "FLOAT", (3, "cfg"))
    return inside.leave("IMAGE", "IMAGE", 8, 0).subgraph("sampling")


def using(saved: Any, **more: Any) -> Drawing:
    """That subgraph used once, as node 10."""
    made = Drawing().node(4, "Load").node(10, "sampling", saved, **more).node(9, "SaveImage", ["x"])
    made.wire(4, 0, 10, "model", "MODEL").wire(4, 2, 10, "vae", "VAE")
    return made.wire(10, 0, 9, "images")


def sampler(made: Drawing, *subgraphs: dict[str, Any], node: str = "10:3") -> dict[str, Any]:
    """What the sampler in it is sent with."""
    return inputs(made.workflow(*(subgraphs or (sampling(),))))[node]


def test_a_subgraph_is_unfolded_and_its_nodes_have_paths_as_ids() -> None:
    assert inputs(using([5, 1.5]).workflow(sampling())) == {
        "4": {"file": "a.ckpt"},
        "10:3": {"model": ["4", 0], "seed": 5, "steps": 30, "cfg": 1.5, "sampler_name": "heun"},
        "10:8": {"samples": ["10:3", 0], "vae": ["4", 2]},
        "9": {"images": ["10:8", 0], "filename_prefix": "x"},
    }


def test_each_use_has_its_own_values() -> None:
    made = using([5, 1.5]).node(11, "sampling", [6, 2.5])
    assert sampler(made)["seed"] == 5
    assert sampler(made, node="11:3") == {"seed": 6, "steps": 30, "cfg": 2.5, "sampler_name": "heun"}


@pytest.mark.parametrize("saved", [None, [], {}])
def test_without_a_value_outside_that_inside_counts(saved: Any) -> None:
    assert sampler(using(saved))["seed"] == 1
    assert sampler(using(saved))["cfg"] == 2.5


def test_values_outside_may_be_by_name() -> None:
    assert sampler(using({"strictness": 9, "other": 1}))["cfg"] == 9
    assert sampler(using(None, widgets_values_named={"strictness": 9}))["cfg"] == 9


def test_a_wire_to_the_widget_outside_wins() -> None:
    made = using([5, 1.5]).node(1, "Int").wire(1, 0, 10, "seed", "INT")
    assert sampler(made)["seed"] == ["1", 0]


def test_a_primitive_writes_into_the_widget_outside() -> None:
    made = using([5, 1.5]).node(1, "PrimitiveNode", [77]).wire(1, 0, 10, "seed", "INT")
    assert sampler(made)["seed"] == 77


def test_a_primitive_inside_writes_too() -> None:
    inside = Drawing().node(1, "PrimitiveNode", [77]).node(2, "Empty").wire(1, 0, 2, "width")
    assert inputs(Drawing().node(5, "sub").workflow(inside.subgraph("sub"))) == {"5:2": {"width": 77, "height": 64}}


def test_a_wire_to_the_widget_outside_that_comes_to_nothing_leaves_its_value() -> None:
    made = using([5, 1.5]).node(1, "Reroute").wire(1, 0, 10, "seed", "INT")
    assert sampler(made)["seed"] == 5


def test_inputs_of_a_use_are_found_by_name_or_else_by_position() -> None:
    made = using([5, 1.5])
    made.nodes[10]["inputs"] = [slot("model", "MODEL", 1), slot("seed", "INT", widget=True), slot("renamed", "VAE", 2)]
    assert inputs(made.workflow(sampling()))["10:8"]["vae"] == ["4", 2]


def test_an_input_that_leads_nowhere_has_no_value_outside() -> None:
    subgraph = sampling()
    subgraph["inputs"].insert(0, {"id": "x", "name": "gone", "type": "INT", "linkIds": []})
    for link in subgraph["links"]:
        link["origin_slot"] += link["origin_id"] == -10
    assert sampler(using([5, 1.5]), subgraph)["seed"] == 5


def test_links_of_an_input_may_be_missing_from_its_list() -> None:
    subgraph = sampling()
    for port in subgraph["inputs"] + subgraph["outputs"]:
        del port["linkIds"]
    assert sampler(using([5, 1.5]), subgraph)["seed"] == 5
    assert inputs(using([5, 1.5]).workflow(subgraph))["9"]["images"] == ["10:8", 0]


def test_a_text_on_the_outside_is_sent_as_it_is_but_for_its_line_ends() -> None:
    inside = Drawing().node(1, "Text", ["inner"]).enter("text", "STRING", (1, "text")).subgraph("sub")
    made = Drawing().node(5, "sub", ["{a|b} // c\r\nd"]).node(6, "sub")
    assert inputs(made.workflow(inside)) == {"5:1": {"text": "{a|b} // c\nd"}, "6:1": {"text": "inner"}}


def test_subgraphs_lie_inside_each_other() -> None:
    outer = Drawing().node(10, "sampling", [7, 1.5]).enter("start", "INT", (10, "seed"))
    outer.enter("model", "MODEL", (10, "model")).leave("IMAGE", "IMAGE", 10, 0)
    definitions = sampling(), outer.subgraph("outer")
    made = Drawing().node(4, "Load").node(2, "outer", [99]).node(3, "outer").node(9, "SaveImage")
    made.wire(4, 0, 2, "model", "MODEL").wire(2, 0, 9, "images")
    sent = inputs(made.workflow(*definitions))
    assert sent["2:10:3"] == {"model": ["4", 0], "seed": 99, "steps": 30, "cfg": 1.5, "sampler_name": "heun"}
    assert sent["3:10:3"]["seed"] == 7
    assert sent["9"]["images"] == ["2:10:8", 0]


def test_definitions_may_lie_inside_definitions() -> None:
    outer = Drawing().node(10, "sampling").subgraph("outer")
    outer["definitions"] = {"subgraphs": [sampling()]}
    assert "2:10:3" in inputs(Drawing().node(2, "outer").workflow(outer))


def test_an_input_may_lead_straight_to_an_output() -> None:
    subgraph = Drawing().enter("in", "MODEL").subgraph("sub")
    subgraph["links"] = [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": -20, "target_slot": 0}]
    subgraph["outputs"] = [{"name": "out", "type": "MODEL", "linkIds": [1]}]
    made = (
        Drawing().node(1, "Load").node(2, "sub").node(3, "KSampler").wire(1, 0, 2, "in", "MODEL").wire(2, 0, 3, "model")
    )
    assert inputs(made.workflow(subgraph))["3"]["model"] == ["1", 0]


def test_an_output_that_nothing_leads_to_brings_nothing() -> None:
    subgraph = sampling()
    subgraph["outputs"].append({"name": "more", "type": "IMAGE", "linkIds": []})
    for output in (1, 2, -1):
        made = using([]).node(12, "SaveImage").wire(10, output, 12, "images")
        assert inputs(made.workflow(subgraph))["12"] == {"filename_prefix": "out"}


# -- modes


def test_nothing_runs_in_a_muted_subgraph_and_wires_from_it_are_left_out() -> None:
    assert inputs(using([5, 1.5], mode=2).workflow(sampling())) == {
        "4": {"file": "a.ckpt"},
        "9": {"filename_prefix": "x"},
    }


def test_wires_lead_around_a_bypassed_subgraph() -> None:
    inside = Drawing().node(1, "Lora").enter("model", "MODEL", (1, "model")).leave("MODEL", "MODEL", 1, 0)
    made = Drawing().node(1, "Load").node(2, "sub", mode=4).node(3, "KSampler")
    made.wire(1, 0, 2, "model", "MODEL").wire(2, 0, 3, "model")
    sent = inputs(made.workflow(inside.subgraph("sub")))
    assert sent.keys() == {"1", "3"}
    assert sent["3"]["model"] == ["1", 0]


def test_a_node_inside_may_be_muted() -> None:
    subgraph = sampling()
    subgraph["nodes"][1]["mode"] = 2
    assert inputs(using([5, 1.5]).workflow(subgraph)).keys() == {"4", "10:3", "9"}
    assert inputs(using([5, 1.5]).workflow(subgraph))["9"] == {"filename_prefix": "x"}


def test_a_mode_reaches_subgraphs_inside() -> None:
    outer = Drawing().node(10, "sampling").subgraph("outer")
    assert inputs(Drawing().node(2, "outer", mode=2).workflow(sampling(), outer)) == {}


# -- proxyWidgets, by which some editors show inner widgets outside


def test_proxied_widgets_without_values_have_those_inside() -> None:
    proxies = {"proxyWidgets": [["3", "steps"], ["3", "sampler_name"]]}
    assert sampler(using([], properties=proxies))["steps"] == 30


def test_values_of_proxied_widgets_are_in_their_order() -> None:
    proxies = {"proxyWidgets": [["3", "steps"], ["-1", "strictness"], ["-1", "seed"], ["3", "sampler_name"]]}
    sent = sampler(using([11, 0.5, 12, None], properties=proxies))
    assert (sent["steps"], sent["cfg"], sent["seed"], sent["sampler_name"]) == (11, 0.5, 12, "heun")


def test_a_value_for_a_proxied_widget_is_for_this_use_alone() -> None:
    proxies = {"proxyWidgets": [["3", "steps"]]}
    made = using([11], properties=proxies).node(11, "sampling")
    assert [sampler(made, node=node)["steps"] for node in ("10:3", "11:3")] == [11, 30]


def test_values_that_fit_no_proxied_widgets_are_those_of_the_inputs_or_are_left_out_and_it_is_said() -> None:
    proxies = {"proxyWidgets": [["3", "steps"]]}
    assert sampler(using([5, 1.5], properties=proxies))["seed"] == 5
    converted = convert(using([5, 1.5, 7], properties=proxies).workflow(sampling()))
    assert converted.prompt["10:3"]["inputs"]["seed"] == 1
    assert converted.notes == (
        "Node 10 has 3 values for the widgets of its subgraph, which shows 1; "
        "they were left out, and the values inside it are used.",
    )


# -- size


def test_a_subgraph_that_contains_itself_is_refused() -> None:
    one, two = Drawing().node(1, "two").subgraph("one"), Drawing().node(1, "one").subgraph("two")
    sentence = "Node {}: the subgraph 'The {}' contains itself; open it in the editor and take that out of it."
    assert refusal(Drawing().node(7, "one").node(8, "two").workflow(one, two)) == [
        sentence.format(7, "one"), sentence.format(8, "two"),
    ]  # fmt: skip


def test_what_grows_beyond_all_bounds_is_refused() -> None:
    levels = [Drawing().node(1, f"level {n + 1}").node(2, f"level {n + 1}").subgraph(f"level {n}") for n in range(30)]
    assert refusal(Drawing().node(7, "level 0").workflow(*levels, Drawing().node(1, "Load").subgraph("level 30"))) == [
        "With its subgraphs unfolded this workflow has more nodes than can be run; split it into several."
    ]


@pytest.mark.parametrize(
    "node",
    [
        {"type": "Gone", "inputs": [slot("x")] * 100_000},
        {"type": "Gone", "widgets_values": [0] * 100_000},
        {"type": "Text", "widgets_values": ["{a|b}" * 200_000]},
    ],
)
def test_a_few_heavy_nodes_count_as_many_if_they_are_inside(node: dict[str, Any]) -> None:
    subgraph = {"id": "sub", "nodes": [{"id": 1, **node}]}
    once, often = ({"nodes": [{"id": n, "type": "sub"} for n in range(count)]} for count in (1, 1000))
    assert len(inputs({**once, "definitions": {"subgraphs": [subgraph]}})) == 1
    assert len(refusal({**often, "definitions": {"subgraphs": [subgraph]}})) == 1


@pytest.mark.parametrize("depth", [51, 2000])
def test_what_is_too_deep_is_refused(depth: int) -> None:
    levels = [Drawing().node(1, f"level {n + 1}").subgraph(f"level {n}") for n in range(depth)]
    for each in (levels, levels[::-1]):
        assert refusal(Drawing().node(7, "level 0").workflow(*each)) == [
            "Node 7: more than 50 subgraphs lie inside each other; unpack some of them."
        ]


def test_fifty_deep_is_fine() -> None:
    levels = [Drawing().node(1, f"level {n + 1}" if n < 49 else "Load").subgraph(f"level {n}") for n in range(50)]
    assert list(inputs(Drawing().node(7, "level 0").workflow(*levels))) == ["7" + ":1" * 50]
