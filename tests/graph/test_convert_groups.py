"""Group nodes, the way of older editors to fold several nodes into one."""

from typing import Any

import pytest

from tests.graph.editor_graphs import Drawing, inputs, refusal, slot


def sampling() -> Drawing:
    """A sampler and a decoder, and what came from outside when they were made into a group."""
    return Drawing().node(0, "KSampler", [1, "fixed", 30, 2.5, "heun"]).node(1, "Decode").wire(0, 0, 1, "samples")


def using(saved: Any, group: dict[str, Any], kind: str = "workflow>draw") -> dict[str, Any]:
    """A group used once, as node 10."""
    made = Drawing().node(4, "Load").node(10, kind, saved).node(9, "SaveImage", ["x"])
    made.wire(4, 0, 10, "model", "MODEL").wire(4, 2, 10, "vae", "VAE").wire(10, 0, 9, "images")
    return made.workflow(extra={"groupNodes": {"draw": group}})


@pytest.mark.parametrize("kind", ["workflow>draw", "workflow/draw"])
def test_a_group_is_unfolded_and_the_ids_inside_are_positions(kind: str) -> None:
    assert inputs(using([5, "randomize", 31, 1.5, "euler"], sampling().group(), kind)) == {
        "4": {"file": "a.ckpt"},
        "10:0": {"model": ["4", 0], "seed": 5, "steps": 31, "cfg": 1.5, "sampler_name": "euler"},
        "10:1": {"samples": ["10:0", 0], "vae": ["4", 2]},
        "9": {"images": ["10:1", 0], "filename_prefix": "x"},
    }


def test_without_values_of_its_own_a_group_node_has_those_inside() -> None:
    assert inputs(using([5], sampling().group()))["10:0"] == {
        "model": ["4", 0], "seed": 5, "steps": 30, "cfg": 2.5, "sampler_name": "heun",
    }  # fmt: skip


def test_inputs_of_one_name_are_told_apart_by_the_titles_of_their_nodes() -> None:
    group = Drawing().node(0, "Text").node(1, "Text").node(2, "Text", title="Third").group()
    made = Drawing().node(4, "Load").node(5, "Load").node(6, "Load").node(10, "workflow>texts")
    made.wire(4, 1, 10, "clip").wire(5, 1, 10, "Text clip").wire(6, 1, 10, "Third clip")
    sent = inputs(made.workflow(extra={"groupNodes": {"texts": group}}))
    assert [sent[f"10:{number}"]["clip"] for number in range(3)] == [["4", 1], ["5", 1], ["6", 1]]


def test_inputs_may_be_renamed_or_hidden() -> None:
    config = {"0": {"input": {"model": {"name": "engine"}, "positive": {"visible": False}}}}
    made = Drawing().node(4, "Load").node(5, "Empty").node(10, "workflow>draw")
    made.wire(4, 0, 10, "engine").wire(5, 0, 10, "latent")
    sent = inputs(made.workflow(extra={"groupNodes": {"draw": sampling().group(config=config)}}))
    assert (sent["10:0"]["model"], sent["10:0"]["latent"]) == (["4", 0], ["5", 0])


def test_outputs_that_are_used_inside_are_hidden_unless_they_are_used_outside_too() -> None:
    for outputs, external in ((0, []), (1, [[0, 0, "LATENT"]]), (1, [[{"index": 0}, 0, "LATENT"]])):
        made = Drawing().node(10, "workflow>draw").node(9, "SaveImage").wire(10, outputs, 9, "images")
        sent = inputs(made.workflow(extra={"groupNodes": {"draw": sampling().group(external=external)}}))
        assert sent["9"]["images"] == ["10:1", 0]


def test_an_output_may_be_shown_or_hidden() -> None:
    config = {"0": {"output": {"0": {"visible": True}}}, "1": {"output": {"0": {"visible": False}}}}
    made = Drawing().node(10, "workflow>draw").node(9, "Decode").wire(10, 0, 9, "samples").wire(10, 1, 9, "vae")
    sent = inputs(made.workflow(extra={"groupNodes": {"draw": sampling().group(config=config)}}))
    assert sent["9"] == {"samples": ["10:0", 0]}


def test_wires_pass_through_reroutes_inside() -> None:
    """The editor loses these wires; older ones, which made such files, did not."""
    group = (
        Drawing().node(0, "Reroute").node(1, "Lora").node(2, "KSampler").wire(0, 0, 1, "model").wire(0, 0, 2, "model")
    )
    group.nodes[0]["inputs"] = [slot("")]
    made = Drawing().node(4, "Load").node(10, "workflow>draw").wire(4, 0, 10, "MODEL")
    sent = inputs(made.workflow(extra={"groupNodes": {"draw": group.group()}}))
    assert sent["10:1"]["model"] == sent["10:2"]["model"] == ["4", 0]


def test_a_primitive_inside_has_a_value_outside() -> None:
    group = Drawing().node(0, "PrimitiveNode", [1]).node(1, "Empty", [2, 3]).wire(0, 0, 1, "width").group()
    made = Drawing().node(10, "workflow>draw", [77, 8, 9])
    assert inputs(made.workflow(extra={"groupNodes": {"draw": group}})) == {"10:1": {"width": 77, "height": 9}}


def test_a_widget_that_became_an_input_of_the_group_takes_a_wire() -> None:
    made = Drawing().node(1, "Int").node(10, "workflow>draw", [5, "fixed", 31]).wire(1, 0, 10, "steps", "INT")
    sent = inputs(made.workflow(extra={"groupNodes": {"draw": sampling().group()}}))
    assert sent["10:0"]["steps"] == ["1", 0]


def test_widgets_that_were_inputs_when_the_group_was_made_have_no_value_or_theirs_last() -> None:
    group = Drawing().node(0, "Empty", [1, 2]).node(1, "KSampler", [3, "fixed", 4, 5, "heun"])
    group.nodes[0]["inputs"] = [slot("width", "INT", widget=True)]
    for saved, width in (([22, 33, "fixed", 44, 55, "euler"], 1), ([11, 22, 33, "fixed", 44, 55, "euler"], 11)):
        made = Drawing().node(10, "workflow>draw", saved)
        sent = inputs(made.workflow(extra={"groupNodes": {"draw": group.group()}}))
        assert sent["10:0"] == {"width": width, "height": 22}
        assert sent["10:1"]["seed"] == 33


def test_values_of_a_group_may_be_by_name() -> None:
    assert inputs(using({"steps": 3}, sampling().group()))["10:0"]["steps"] == 3


def test_nothing_runs_in_a_muted_group() -> None:
    made = using([], sampling().group())
    made["nodes"][1]["mode"] = 2
    assert inputs(made).keys() == {"4", "9"}


def test_groups_lie_inside_each_other_but_not_in_themselves() -> None:
    outer = Drawing().node(0, "workflow>draw", [9]).group()
    groups = {"draw": sampling().group(), "outer": outer}
    made = Drawing().node(10, "workflow>outer")
    assert inputs(made.workflow(extra={"groupNodes": groups}))["10:0:0"]["seed"] == 9
    groups["draw"] = Drawing().node(0, "workflow/outer").group()
    assert refusal(made.workflow(extra={"groupNodes": groups})) == [
        "Node 10: the subgraph 'outer' contains itself; open it in the editor and take that out of it."
    ]


def test_a_group_whose_inside_is_missing_is_of_an_unknown_class() -> None:
    assert inputs(Drawing().node(10, "workflow>gone", []).workflow()) == {"10": {}}


@pytest.mark.parametrize(
    "group", [{}, {"nodes": 5}, {"nodes": [5, {}]}, {"nodes": [{"type": "Load"}], "links": [5, [1]]}]
)
def test_a_group_of_another_shape_is_read_as_far_as_it_goes(group: Any) -> None:
    assert "4" in inputs(using([5], group))
