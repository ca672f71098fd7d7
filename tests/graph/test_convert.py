"""Workflows of the editor become prompts: which nodes, under which ids, from files of any age."""

import pytest

from graph.read.convert import is_editor_form, to_prompt
from graph.read.facts import ClassFacts
from tests.graph.editor_graphs import Drawing, convert, inputs, refusal, slot


def drawing() -> Drawing:
    """A model to a sampler to a picture."""
    made = Drawing().node(4, "Load", ["a.ckpt"]).node(3, "KSampler", [5, "fixed", 30, 2.5, "heun"]).node(8, "Decode")
    return made.wire(4, 0, 3, "model").wire(3, 0, 8, "samples").wire(4, 2, 8, "vae")


PROMPT_INPUTS = {
    "4": {"file": "a.ckpt"},
    "3": {"model": ["4", 0], "seed": 5, "steps": 30, "cfg": 2.5, "sampler_name": "heun"},
    "8": {"samples": ["3", 0], "vae": ["4", 2]},
}


def test_nodes_have_class_values_wires_and_title() -> None:
    made = drawing()
    made.nodes[3]["title"] = "Second pass"
    converted = convert(made.workflow())
    assert converted.prompt["3"] == {
        "class_type": "KSampler", "inputs": PROMPT_INPUTS["3"], "_meta": {"title": "Second pass"},
    }  # fmt: skip
    assert converted.prompt["4"]["_meta"] == {"title": "The Load"}
    assert (converted.notes, converted.unknown) == ((), ())


def test_links_may_be_lists_or_objects() -> None:
    assert inputs(drawing().workflow()) == PROMPT_INPUTS
    assert inputs(drawing().workflow_1()) == PROMPT_INPUTS
    mixed = drawing().workflow()
    mixed["links"][1:2] = drawing().workflow_1()["links"][1:2]
    assert inputs(mixed) == PROMPT_INPUTS


def test_slots_and_ids_may_be_text_or_whole_decimals() -> None:
    made = drawing().workflow()
    made["links"] = [
        [str(link), float(origin), str(slot), target, *more] for link, origin, slot, target, *more in made["links"]
    ]
    assert inputs(made) == PROMPT_INPUTS


def test_ids_are_any_number_or_text() -> None:
    made = Drawing().node("k1", "Load").node(1234567890123, "Lora").wire("k1", 0, 1234567890123, "model")
    assert inputs(made.workflow())["1234567890123"]["model"] == ["k1", 0]


def test_visual_reroutes_and_half_wires_change_nothing() -> None:
    made = drawing().workflow(
        reroutes=[{"id": 1, "pos": [0, 0], "linkIds": [1]}], floatingLinks=[[9, 4, 0, -1, -1, "MODEL"]]
    )
    made["extra"] = {"reroutes": [{"id": 1, "linkIds": [1]}], "linkExtensions": [{"id": 1, "parentId": 1}]}
    assert inputs(made) == PROMPT_INPUTS


@pytest.mark.parametrize("kind", ["Note", "MarkdownNote", "Label (rgthree)", "Fast Groups Bypasser (rgthree)"])
def test_notes_are_not_sent(kind: str) -> None:
    assert inputs(Drawing().node(1, kind, ["words"]).workflow()) == {}


def test_nodes_without_wires_are_sent() -> None:
    assert inputs(Drawing().node(1, "SaveImage", ["alone"]).workflow()) == {"1": {"filename_prefix": "alone"}}


def test_circles_of_nodes_are_sent_as_they_are() -> None:
    made = Drawing().node(1, "Mix").node(2, "Mix").wire(1, 0, 2, "one").wire(2, 0, 1, "one")
    assert inputs(made.workflow()) == {"1": {"one": ["2", 0]}, "2": {"one": ["1", 0]}}


def test_a_muted_node_and_the_wires_from_it_are_left_out() -> None:
    made = drawing()
    made.nodes[4]["mode"] = 2
    assert inputs(made.workflow()) == {
        "3": {"seed": 5, "steps": 30, "cfg": 2.5, "sampler_name": "heun"}, "8": {"samples": ["3", 0]},
    }  # fmt: skip


def test_a_widget_wired_to_a_muted_node_is_left_out() -> None:
    made = Drawing().node(1, "Int", [3], mode=2).node(2, "Empty", [10, 20]).wire(1, 0, 2, "width")
    assert inputs(made.workflow()) == {"2": {"height": 20}}


@pytest.mark.parametrize("mode", [0, 1, 3, 7, None, "0"])
def test_nodes_of_other_modes_run(mode: object) -> None:
    assert "1" in inputs(Drawing().node(1, "Load", mode=mode).workflow())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("T2IAdapterLoader", "ControlNetLoader"),
        ("ConditioningAverage ", "ConditioningAverage"),
        ("SDV_img2vid_Conditioning", "SVD_img2vid_Conditioning"),
    ],
)
def test_old_names_of_classes_are_put_right(old: str, new: str) -> None:
    assert convert(Drawing().node(1, old).workflow()).prompt["1"]["class_type"] == new


# -- classes that nobody knows


def test_an_unknown_class_keeps_its_name_and_is_listed() -> None:
    converted = convert(drawing().node(9, "Gone").workflow())
    assert converted.prompt["9"] == {"class_type": "Gone", "inputs": {}, "_meta": {"title": "Gone"}}
    assert converted.unknown == ("9",)


def test_an_unknown_class_keeps_its_wires() -> None:
    made = Drawing().node(1, "Load").node(2, "Gone", outputs=[{"type": "MODEL"}]).node(3, "Lora")
    made.wire(1, 0, 2, "model", "MODEL").wire(2, 0, 3, "model")
    assert inputs(made.workflow())["2"] == {"model": ["1", 0]}
    assert inputs(made.workflow())["3"]["model"] == ["2", 0]


def test_values_of_an_unknown_class_are_found_by_the_widgets_in_the_file() -> None:
    fields = [slot("model", "MODEL"), slot("seed", "INT", widget=True), slot("name", "STRING", widget=True)]
    for saved in ([5, "randomize", "fixed"], [5, "fixed"]):
        made = Drawing().node(1, "Gone", saved, inputs=fields)
        assert inputs(made.workflow()) == {"1": {"seed": 5, "name": "fixed"}}


def test_values_of_an_unknown_class_may_be_an_object() -> None:
    saved = {
        "video": "a.mp4",
        "rate": 8,
        "control_after_generate": "fixed",
        "preview": {"hidden": False},
        "list": [1, 2],
    }
    made = Drawing().node(1, "Gone", saved)
    assert inputs(made.workflow()) == {"1": {"video": "a.mp4", "rate": 8, "list": {"__value__": [1, 2]}}}


def test_values_of_an_unknown_class_that_belong_to_no_names_are_left_out_and_it_is_said() -> None:
    fields = [slot("seed", "INT", widget=True)]
    converted = convert(Drawing().node(1, "Gone", [1, 2, 3], inputs=fields).workflow())
    assert converted.prompt["1"]["inputs"] == {}
    assert converted.notes == (
        "Node 1 is of the unknown class Gone, and the file does not say which of its 3 values belong to which inputs; "
        "they were left out.",
    )


def test_values_by_name_of_newer_files_help_where_the_class_is_unknown() -> None:
    made = Drawing().node(1, "Gone", [1, 2], widgets_values_named={"a": 1, "b": 2})
    assert inputs(made.workflow()) == {"1": {"a": 1, "b": 2}}


def test_a_class_that_fails_to_say_what_it_takes_counts_as_unknown() -> None:
    class Failing:
        def of(self, class_type: str) -> ClassFacts | None:
            raise RuntimeError("not today")

    assert to_prompt(drawing().workflow(), Failing()).unknown == ("4", "3", "8")


# -- files with faults


def test_what_is_an_editor_form() -> None:
    assert is_editor_form({"nodes": []})
    assert not any(map(is_editor_form, ({}, [], None, {"nodes": {}}, {"1": {"class_type": "Load"}})))


def test_an_empty_workflow_is_an_empty_prompt() -> None:
    assert inputs({"nodes": []}) == {}


def test_what_is_no_workflow_is_refused() -> None:
    sentence = (
        "This JSON is no workflow of the editor: that is an object with a list of nodes; save the workflow again."
    )
    assert refusal({}) == refusal([]) == refusal({"nodes": 5}) == [sentence]


def test_every_node_that_is_none_is_named() -> None:
    inner = {"id": "sub", "name": "Inner", "nodes": [{"id": 1}]}
    nodes = [{"type": "Load"}, 5, {"id": 7}, {"id": 8, "type": "Load"}, {"id": True, "type": "Load"}]
    assert refusal({"nodes": nodes, "definitions": {"subgraphs": [inner]}}) == [
        "Node number 1 in the list of nodes has no id; give it one that no other has.",
        "Node number 2 in the list of nodes has no id; give it one that no other has.",
        "Node 7 has no type; write the name of its node class there.",
        "Node number 5 in the list of nodes has no id; give it one that no other has.",
        "Node 1 of subgraph 'Inner' has no type; write the name of its node class there.",
    ]


def test_of_very_many_faults_the_first_are_named() -> None:
    sentences = refusal({"nodes": [{}] * 1000})
    assert len(sentences) == 101
    assert sentences[-1] == "900 more nodes are wrong in such ways; put those named here right first."


def test_of_two_nodes_with_one_id_the_first_counts_and_it_is_said() -> None:
    made = Drawing().node(1, "Load", ["a.ckpt"]).workflow()
    made["nodes"].append({"id": 1, "type": "Load", "widgets_values": ["b.ckpt"]})
    assert inputs(made) == {"1": {"file": "a.ckpt"}}
    assert convert(made).notes == ("Two nodes have the id 1; the second one was left out.",)


def test_links_that_are_none_are_left_out_and_it_is_said() -> None:
    made = drawing().workflow()
    made["links"] += [None, [1, 2], {"id": 5}]
    assert inputs(made) == PROMPT_INPUTS
    assert convert(made).notes == ("An entry in the list of links is no link; it was left out.",)


def test_inputs_whose_link_or_node_is_missing_are_left_out() -> None:
    made = Drawing().node(1, "Decode", inputs=[slot("samples", "LATENT", 77), slot("vae", "VAE", 78)]).workflow()
    made["links"] = [[78, 555, 0, 1, 1, "VAE"]]
    assert inputs(made) == {"1": {}}


def test_a_link_that_its_input_does_not_name_does_not_count() -> None:
    made = Drawing().node(1, "Load").node(2, "Decode", inputs=[slot("vae", "VAE")]).workflow()
    made["links"] = [[1, 1, 2, 2, 0, "VAE"]]
    assert inputs(made)["2"] == {}


def test_lists_that_are_missing_are_empty() -> None:
    assert inputs({"nodes": [{"id": 1, "type": "Load"}, {"id": 2, "type": "Gone"}]}) == {
        "1": {"file": "a.ckpt"},
        "2": {},
    }
