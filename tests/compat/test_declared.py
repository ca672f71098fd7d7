"""What V1 classes declare, as clients see it and as the engine does."""

import json
from typing import Any

import pytest

from compat.declared import DeclarationError
from compat.from_v1 import adapt
from graph import Paths
from graph.registry import describe_class
from tests.compat.house import House


def v1(types: Any = None, **members: Any) -> Any:
    """A V1 class."""
    members = {"RETURN_TYPES": ("INT",), "FUNCTION": "run", "run": lambda self, **values: (1,), **members}
    return type("Own", (), {"INPUT_TYPES": classmethod(lambda cls: types or {"required": {}}), **members})


def schema(cls: Any) -> Any:
    return adapt("Own", cls, module="custom_nodes.own").schema()


def info(cls: Any, paths: Paths, **names: Any) -> dict[str, Any]:
    found = describe_class(adapt("Own", cls, module="custom_nodes.own", **names).schema(), paths)
    json.dumps(found)
    return found


def test_object_info_is_what_the_class_says(house: House) -> None:
    assert house.registry.object_info(house.paths)["ToyAdd"] == {
        "input": {
            "required": {"a": ["INT", {"default": 1, "min": 0, "max": 100, "knob": {"own": True}}]},
            "optional": {"b": ["INT", {"forceInput": True}]},
            "hidden": {"id": "UNIQUE_ID"},
        },
        "input_order": {"required": ["a"], "optional": ["b"], "hidden": ["id"]},
        "output": ["INT"],
        "output_is_list": [False],
        "output_name": ["INT"],
        "name": "ToyAdd",
        "display_name": "Add (toy)",
        "description": "Adds.",
        "python_module": "custom_nodes.toys",
        "category": "toys",
        "output_node": False,
    }


def test_optional_fields_are_there_only_if_the_class_has_them(house: House) -> None:
    traits = {
        "DEPRECATED": True,
        "EXPERIMENTAL": True,
        "API_NODE": False,
        "OUTPUT_TOOLTIPS": ("One.",),
        "OUTPUT_NODE": 1,
    }
    found = info(v1(**traits), house.paths)
    expected = {"deprecated": True, "experimental": True, "api_node": False, "output_tooltips": ["One."]}
    assert {key: found[key] for key in expected} == expected
    assert found["output_node"] is False, "it has to be True itself"
    assert (found["category"], found["display_name"], found["input"]) == ("sd", "Own", {"required": {}})
    assert not {"deprecated", "experimental", "api_node", "output_tooltips"} & info(v1(), house.paths).keys()


def test_choices_of_both_forms_pass_through(house: House) -> None:
    types = {
        "required": {
            "old": (["a", 2], {"image_upload": True}),
            "new": ("COMBO", {"options": ["c"], "multi_select": {"chip": True}}),
            "far": ("COMBO", {"remote": {"route": "/x"}}),
        }
    }
    cls = v1(types, RETURN_TYPES=("INT", ["a", 2]), RETURN_NAMES=("n", "c"), OUTPUT_IS_LIST=(True,))
    found = info(cls, house.paths)
    assert found["input"]["required"] == {name: list(spec) for name, spec in types["required"].items()}
    assert (found["output"], found["output_name"]) == (["INT", ["a", 2]], ["n", "c"])
    assert found["output_is_list"] == [True, False]
    inputs = schema(cls).inputs
    assert [list(inputs[name].choices_now(house.paths)) for name in types["required"]] == [["a", 2], ["c"], []]
    assert [inputs[name].open for name in types["required"]] == [False, True, True]


def test_the_list_of_choices_is_asked_for_anew(house: House) -> None:
    files = ["a"]
    node = adapt("Own", v1({"required": {"file": (files,)}}), module="m")
    item = node.schema().inputs["file"]
    files.append("b")
    assert item.choices_now(house.paths) == ["a", "b"]
    assert describe_class(node.schema(), house.paths)["input"]["required"]["file"] == [["a", "b"]]


def test_what_a_class_declares_is_kept_for_a_moment_only() -> None:
    types: dict[str, Any] = {"required": {}}
    slow, quick = (adapt("Own", v1(types), module="m", fresh_s=fresh_s) for fresh_s in (3600.0, 0.0))
    assert slow.schema().inputs == quick.schema().inputs == {}
    types["required"]["more"] = ("INT",)
    assert slow.schema().inputs == {}
    assert quick.schema().inputs.keys() == {"more"}


def test_a_class_that_fails_to_describe_itself_is_left_out(house: House) -> None:
    assert "ToyBroken" in house.registry
    assert "ToyBroken" not in house.registry.object_info(house.paths)


@pytest.mark.parametrize(
    ("types", "lane"),
    [(("INT",), "cpu"), (("IMAGE", "MASK"), "cpu"), (("INT", "MODEL"), "device"), (("IMAGE, VAE",), "device")],
)
def test_what_takes_or_gives_networks_runs_on_the_device(types: tuple[str, ...], lane: str) -> None:
    assert schema(v1(RETURN_TYPES=types)).lane == lane
    assert schema(v1({"required": {str(number): (each,) for number, each in enumerate(types)}})).lane == lane


def test_a_coroutine_runs_in_the_lane_where_many_wait(house: House) -> None:
    assert house.registry["ToyBarrier"].schema().lane == "async"


def test_mistakes_that_authors_make_are_understood() -> None:
    found = schema(
        v1({"required": {"a": "INT", "b": ("INT", None), "c": (), "d": ("INT", {"min": "x"})}}, RETURN_TYPES="INT")
    )
    assert [item.type for item in found.inputs.values()] == ["INT", "INT", "*", "INT"]
    assert found.inputs["d"].options == {}
    assert [output.type for output in found.outputs] == ["INT"]


@pytest.mark.parametrize("lacking", ["INPUT_TYPES", "RETURN_TYPES", "FUNCTION", "run"])
def test_a_class_that_lacks_what_it_needs_is_refused(lacking: str) -> None:
    cls = v1()
    delattr(cls, lacking)
    with pytest.raises(DeclarationError, match=lacking):
        adapt("Own", cls, module="m")


def test_options_in_types_that_json_does_not_have(house: House) -> None:
    found = info(v1({"required": {"a": ("INT", {"set": {1}, "call": len, "inner": ({"x": (1,)},)})}}), house.paths)
    options = found["input"]["required"]["a"][1]
    assert options == {"set": [1], "call": "<built-in function len>", "inner": [{"x": [1]}]}
