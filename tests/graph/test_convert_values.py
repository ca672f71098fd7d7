"""Values of widgets: laid over a class by position or by name, and sent as the editor sends them."""

from typing import Any

import pytest

from tests.graph.editor_graphs import Drawing, convert, inputs, slot, values

DEFAULTS = {"seed": 0, "steps": 20, "cfg": 8.0, "sampler_name": "euler"}


@pytest.mark.parametrize("saved", [None, [], {}, "text", 5])
def test_without_values_a_node_has_the_defaults(saved: Any) -> None:
    assert values("KSampler", saved) == DEFAULTS


def test_the_value_that_says_how_a_seed_changes_is_not_sent() -> None:
    assert values("KSampler", [5, "randomize", 30, 2, "heun"]) == {
        "seed": 5,
        "steps": 30,
        "cfg": 2,
        "sampler_name": "heun",
    }
    assert values("Int", [3, "increment"]) == {"value": 3}


def test_where_that_value_is_missing_what_follows_moves_up() -> None:
    assert values("KSampler", [5, 30, 2, "heun"]) == {"seed": 5, "steps": 2, "cfg": "heun", "sampler_name": "euler"}


def test_choices_that_change_have_two_values_more() -> None:
    assert values("Pick", ["two", "fixed", "", True]) == {"choice": "two", "flag": True}


def test_too_few_values_leave_defaults_and_too_many_are_left_out() -> None:
    assert values("Empty", [512]) == {"width": 512, "height": 64}
    assert values("Empty", [512, 768, 3, "more"]) == {"width": 512, "height": 768}


def test_null_is_sent_and_is_empty_in_a_text_of_several_lines() -> None:
    assert values("Empty", [None, 5]) == {"width": None, "height": 5}
    assert values("Text", [None]) == {"text": ""}


def test_a_choice_without_a_value_is_the_first_one_and_without_choices_nothing() -> None:
    assert values("Pick", None) == {"choice": "one", "flag": False}


def test_values_are_not_checked() -> None:
    saved = ["123", "fixed", 20.7, "7.5", 17]
    assert values("KSampler", saved) == {"seed": "123", "steps": 20.7, "cfg": "7.5", "sampler_name": 17}


def test_large_seeds_stay_exact() -> None:
    assert values("KSampler", [2**64 - 1])["seed"] == 2**64 - 1


def test_a_list_is_wrapped_so_that_it_is_no_link() -> None:
    assert values("Empty", [["4", 0]])["width"] == {"__value__": ["4", 0]}


def test_the_button_to_upload_has_a_value_that_is_not_sent() -> None:
    assert values("LoadImage", ["x.png", "image"]) == {"image": "x.png"}


def test_what_only_shows_something_is_sent_empty_but_not_by_newer_editors() -> None:
    assert values("PreviewAny", []) == {"preview": ""}
    assert values("PreviewAny", ["shown"]) == {"preview": ""}
    assert values("PreviewAny", [], widgets_values_named={}) == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"), (8.0, "8"), (7.5, "7.5"), (True, "true"), (["a", ["b", None], 2], "a,b,,2"),
        ({}, "[object Object]"), ("a\r\nb\rc\n", "a\nb\nc\n"),
    ],
)  # fmt: skip
def test_a_text_of_several_lines_is_a_text_whatever_it_was(value: Any, text: str) -> None:
    assert values("Text", [value]) == {"text": text}


def test_other_texts_stay_as_they_are() -> None:
    assert values("Words", ["a\r\nb {c|d} // e"]) == {"text": "a\r\nb {c|d} // e"}
    assert values("Words", [42]) == {"text": 42}


@pytest.mark.parametrize(("saved", "sent"), [("sample_heun", "heun"), ("heun", "heun"), (3, 3)])
def test_old_names_of_samplers_lose_their_prefix(saved: Any, sent: Any) -> None:
    assert values("KSampler", [0, "fixed", 1, 1, saved])["sampler_name"] == sent


# -- by name


def test_values_may_be_an_object_by_name() -> None:
    saved = {"steps": 31, "seed": 5, "control_after_generate": "fixed", "unheard_of": 1}
    assert values("KSampler", saved) == {**DEFAULTS, "seed": 5, "steps": 31}


def test_an_object_that_is_really_a_list_is_read_by_position() -> None:
    assert values("Empty", {"0": 640, "1": 832, "length": 2}) == {"width": 640, "height": 832}
    assert values("Empty", {"0": 640, "length": 10**12}) == {"width": 640, "height": 64}


def test_values_by_name_are_read_where_there_are_no_others() -> None:
    named = {"width": 3, "height": 4}
    assert values("Empty", None, widgets_values_named=named) == {"width": 3, "height": 4}
    assert values("Empty", [1, 2], widgets_values_named=named) == {"width": 1, "height": 2}


# -- widgets that are inputs too


def test_a_wire_to_a_widget_wins_over_its_value() -> None:
    made = Drawing().node(1, "Int", [3]).node(2, "Empty", [10, 20]).wire(1, 0, 2, "height")
    assert inputs(made.workflow())["2"] == {"width": 10, "height": ["1", 0]}


def test_the_value_of_a_widget_that_became_an_input_still_takes_its_place() -> None:
    fields = [slot("model", "MODEL"), slot("steps", "INT", widget=True), slot("seed", "INT", widget=True)]
    assert values("KSampler", [5, "fixed", 30, 2, "heun"], inputs=fields) == values(
        "KSampler", [5, "fixed", 30, 2, "heun"]
    )


def test_inputs_are_found_by_name_whatever_their_order_in_the_file() -> None:
    backwards = [slot("vae", "VAE", 2), slot("samples", "LATENT", 1)]
    made = Drawing().node(1, "Load").node(2, "Empty").node(3, "Decode", inputs=backwards).workflow()
    made["links"] = [[1, 2, 0, 3, 1, "LATENT"], [2, 1, 2, 3, 0, "VAE"]]
    assert inputs(made)["3"] == {"samples": ["2", 0], "vae": ["1", 2]}


def test_inputs_that_the_class_lacks_are_sent_if_wired() -> None:
    made = Drawing().node(1, "Load").node(2, "Empty", inputs=[slot("other")]).wire(1, 0, 2, "extra", "MODEL")
    assert inputs(made.workflow())["2"] == {"width": 64, "height": 64, "extra": ["1", 0]}


def test_old_values_of_inputs_that_now_only_take_wires_are_skipped() -> None:
    assert values("Stamp", ["a label"]) == {"label": "a label"}
    assert values("Stamp", ["a label", 20]) == {"label": "a label"}


# -- PrimitiveNode


def test_a_primitive_writes_its_value_into_all_its_widgets() -> None:
    made = Drawing().node(1, "PrimitiveNode", [896, "fixed"]).node(2, "Empty", [1, 2]).node(3, "KSampler", [5])
    made.wire(1, 0, 2, "width").wire(1, 0, 2, "height").wire(1, 0, 3, "seed")
    assert inputs(made.workflow()) == {"2": {"width": 896, "height": 896}, "3": {**DEFAULTS, "seed": 896}}


def test_a_primitive_number_is_not_rounded() -> None:
    made = Drawing().node(1, "PrimitiveNode", [4.25]).node(2, "KSampler").node(3, "KSampler")
    made.wire(1, 0, 2, "cfg").wire(1, 0, 3, "cfg")
    assert [node["cfg"] for node in inputs(made.workflow()).values()] == [4.25, 4.25]


@pytest.mark.parametrize("mode", [2, 4])
def test_a_primitive_that_is_muted_or_bypassed_writes_too(mode: int) -> None:
    made = Drawing().node(1, "PrimitiveNode", [3], mode=mode).node(2, "Empty").wire(1, 0, 2, "width")
    assert inputs(made.workflow()) == {"2": {"width": 3, "height": 64}}


def test_a_primitive_has_no_effect_through_a_reroute() -> None:
    made = Drawing().node(1, "PrimitiveNode", [3]).node(2, "Reroute").node(3, "Empty", [1, 2])
    made.wire(1, 0, 2, "").wire(2, 0, 3, "width")
    assert inputs(made.workflow()) == {"3": {"width": 1, "height": 2}}


@pytest.mark.parametrize("saved", [None, [], {}])
def test_a_primitive_without_a_value_leaves_the_widget_its_own(saved: Any) -> None:
    made = Drawing().node(1, "PrimitiveNode", saved).node(2, "Empty", [1, 2]).wire(1, 0, 2, "width")
    assert inputs(made.workflow()) == {"2": {"width": 1, "height": 2}}


def test_a_primitive_text_is_treated_as_its_target_treats_texts() -> None:
    made = Drawing().node(1, "PrimitiveNode", ["{a|b} // c"]).node(2, "Text").node(3, "Words")
    made.wire(1, 0, 2, "text").wire(1, 0, 3, "text")
    assert inputs(made.workflow()) == {"2": {"text": "a "}, "3": {"text": "{a|b} // c"}}


def test_a_primitive_fills_in_its_text_if_it_is_told_to() -> None:
    replaces = {"Run widget replace on values": True}
    made = (
        Drawing()
        .node(1, "PrimitiveNode", ["%Empty.width%"], properties=replaces)
        .node(2, "Words")
        .node(3, "Empty", [9])
    )
    assert inputs(made.wire(1, 0, 2, "text").workflow())["2"] == {"text": "9"}


def test_the_notes_do_not_speak_of_what_is_usual() -> None:
    made = Drawing().node(1, "PrimitiveNode", [3]).node(2, "Empty").node(3, "Reroute").wire(1, 0, 2, "width")
    assert convert(made.workflow()).notes == ()
