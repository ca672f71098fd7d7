"""Where wires really come from: through reroutes and around bypassed nodes."""

import pytest

from graph.read.editor import Slot
from graph.read.wires import fit, way_around
from tests.graph.editor_graphs import Drawing, convert, inputs


def test_reroutes_are_seen_through() -> None:
    made = Drawing().node(1, "Load").node(2, "Reroute").node(3, "Reroute").node(4, "Decode").node(5, "Decode")
    made.wire(1, 2, 2, "").wire(2, 0, 3, "").wire(3, 0, 4, "vae").wire(2, 0, 5, "vae")
    assert inputs(made.workflow()) == {"1": {"file": "a.ckpt"}, "4": {"vae": ["1", 2]}, "5": {"vae": ["1", 2]}}


def test_a_reroute_from_nowhere_brings_nothing() -> None:
    made = Drawing().node(1, "Reroute").node(2, "Decode").wire(1, 0, 2, "vae")
    assert inputs(made.workflow()) == {"2": {}}


@pytest.mark.parametrize("mode", [2, 4])
def test_a_reroute_that_is_muted_or_bypassed_still_passes(mode: int) -> None:
    made = Drawing().node(1, "Load").node(2, "Reroute", mode=mode, outputs=[{"type": "*"}]).node(3, "Decode")
    assert inputs(made.wire(1, 2, 2, "").wire(2, 0, 3, "vae").workflow())["3"] == {"vae": ["1", 2]}


def test_a_circle_of_reroutes_brings_nothing_and_it_is_said() -> None:
    made = Drawing().node(1, "Reroute").node(2, "Reroute").node(3, "Decode")
    made.wire(1, 0, 2, "").wire(2, 0, 1, "").wire(2, 0, 3, "vae")
    assert inputs(made.workflow()) == {"3": {}}
    assert convert(made.workflow()).notes == (
        "Wires to 3 lead round in a circle of reroutes or bypassed nodes; they were left out.",
    )


def test_a_long_chain_of_reroutes_is_followed_once() -> None:
    made = Drawing().node(0, "Load")
    for number in range(1, 5000):
        made.node(number, "Reroute").wire(number - 1, 0, number, "")
        made.node(f"out {number}", "PreviewAny").wire(number, 0, f"out {number}", "source")
    assert inputs(made.workflow())["out 4999"]["source"] == ["0", 0]


@pytest.mark.parametrize("kind", ["SetNode", "Reroute (rgthree)"])
def test_reroutes_of_packs_pass_too(kind: str) -> None:
    made = (
        Drawing()
        .node(1, "Load")
        .node(2, kind, ["x"])
        .node(3, "Decode")
        .wire(1, 2, 2, "VAE", "VAE")
        .wire(2, 0, 3, "vae")
    )
    converted = convert(made.workflow())
    assert converted.prompt["3"]["inputs"] == {"vae": ["1", 2]}
    assert converted.unknown == ()


def test_a_name_may_stand_for_a_wire_also_from_inside_a_subgraph() -> None:
    inside = Drawing().node(1, "GetNode", ["vae"]).node(2, "Decode").wire(1, 0, 2, "vae").subgraph("sub")
    made = (
        Drawing()
        .node(1, "Load")
        .node(2, "SetNode", ["vae"])
        .node(3, "GetNode", ["vae"])
        .node(4, "Decode")
        .node(5, "sub")
    )
    made.wire(1, 2, 2, "VAE", "VAE").wire(3, 0, 4, "vae")
    assert inputs(made.workflow(inside)) == {"1": {"file": "a.ckpt"}, "4": {"vae": ["1", 2]}, "5:2": {"vae": ["1", 2]}}


def test_a_name_that_nothing_was_called_brings_nothing() -> None:
    made = Drawing().node(1, "GetNode", ["vae"]).node(2, "Decode").wire(1, 0, 2, "vae")
    assert inputs(made.workflow()) == {"2": {}}


def test_two_names_for_each_other_bring_nothing() -> None:
    made = (
        Drawing()
        .node(1, "GetNode", ["a"])
        .node(2, "SetNode", ["a"])
        .node(3, "Decode")
        .wire(1, 0, 2, "VAE")
        .wire(1, 0, 3, "vae")
    )
    assert inputs(made.workflow()) == {"3": {}}


# -- bypassed nodes


def test_a_bypassed_node_passes_on_what_comes_in_at_the_same_number() -> None:
    made = Drawing().node(1, "Load").node(2, "Lora", mode=4).node(3, "Lora", mode=4).node(4, "KSampler").node(5, "Text")
    made.wire(1, 0, 2, "model").wire(1, 1, 2, "clip").wire(2, 0, 3, "model").wire(2, 1, 3, "clip")
    made.wire(3, 0, 4, "model").wire(3, 1, 5, "clip")
    sent = inputs(made.workflow())
    assert sent.keys() == {"1", "4", "5"}
    assert sent["4"]["model"] == ["1", 0]
    assert sent["5"]["clip"] == ["1", 1]


def test_a_bypassed_node_passes_on_another_input_of_the_type() -> None:
    made = Drawing().node(1, "Empty").node(2, "KSampler", mode=4).node(3, "Decode")
    assert inputs(made.wire(1, 0, 2, "latent").wire(2, 0, 3, "samples").workflow())["3"] == {"samples": ["1", 0]}


def test_a_bypassed_node_takes_the_same_number_even_if_nothing_comes_in_there() -> None:
    made = Drawing().node(1, "Empty").node(2, "Mix", mode=4).node(3, "Decode")
    assert inputs(made.wire(1, 0, 2, "two").wire(2, 0, 3, "samples").workflow())["3"] == {}


def test_a_bypassed_node_without_a_fitting_input_brings_nothing() -> None:
    made = Drawing().node(1, "Empty").node(2, "Decode", mode=4).node(3, "SaveImage", ["x"])
    made.wire(1, 0, 2, "samples").wire(2, 0, 3, "images")
    assert inputs(made.workflow())["3"] == {"filename_prefix": "x"}


def test_a_widget_whose_wire_comes_to_nothing_keeps_its_value() -> None:
    made = Drawing().node(1, "Int", [3], mode=4).node(2, "Empty", [10, 20]).wire(1, 0, 2, "width")
    # The input of a bypassed Int that stands in is that of its own widget.
    assert inputs(made.workflow()) == {"2": {"width": 10, "height": 20}}


def test_a_circle_of_bypassed_nodes_brings_nothing() -> None:
    made = Drawing().node(1, "Mix", mode=4).node(2, "Mix", mode=4).node(3, "Decode")
    made.wire(1, 0, 2, "one").wire(2, 0, 1, "one").wire(2, 0, 3, "samples")
    assert inputs(made.workflow()) == {"3": {}}


INPUTS = [Slot("a", "MODEL"), Slot("b", "LATENT"), Slot("c", "*"), Slot("d", "LATENT,IMAGE")]


@pytest.mark.parametrize(
    ("number", "output", "wanted", "found"),
    [
        (0, "MODEL", "MODEL", 0),  # the same number, if it fits
        (1, "LATENT", "LATENT", 1),
        (0, "LATENT", "LATENT", 1),  # else the first of exactly the type
        (0, "IMAGE", "IMAGE", 2),  # else the first that fits
        (3, "IMAGE", "IMAGE", 3),
        (2, "IMAGE", "*", 2),  # whatever is wanted: the same number,
        (9, "IMAGE", "*", 0),  # else the first
        (0, "*", "MODEL", 0),
    ],
)
def test_which_input_stands_in_for_an_output(number: int, output: str, wanted: str, found: int) -> None:
    outputs = ["MASK"] * 10
    outputs[number] = output
    assert way_around(INPUTS, outputs, number, wanted) == found


def test_nothing_stands_in_where_nothing_fits() -> None:
    assert way_around(INPUTS[:2], ["IMAGE"], 0, "IMAGE") is None
    assert way_around([], ["IMAGE"], 0, "*") is None
    assert way_around(INPUTS[:1], [], -1, "MODEL") == 0


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("MODEL", "MODEL", True), ("MODEL", "CLIP", False), ("*", "CLIP", True), ("CLIP", "*", True),
        ("FLOAT,INT", "int", True), ("FLOAT,INT", "STRING,int", True), ("FLOAT,INT", "STRING", False),
    ],
)  # fmt: skip
def test_which_types_fit(one: str, other: str, do: bool) -> None:
    assert fit(one, other) is do
