"""Node classes: what is derived from a declaration."""

import dataclasses
import doctest
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pytest

import graph
from graph import Choice, Context, Int, LinkedInput, Node, Paths, Registry, Text, Toggle, Wire
from graph.call import NodeContext
from graph.context import LiveGraph
from graph.registry import describe_class
from graph.schema import Input, Output, Schema
from tests.graph.toys import Add, Count, Divide, Image, Log, Mask, Pick, Show


class Host:
    """The least that a node's context needs."""

    def __init__(self, paths: Paths, *resources: object) -> None:
        self.paths = paths
        self.prompt: Mapping[str, Any] = {}
        self.extra_pnginfo: Mapping[str, Any] = {}
        self.known = {type(each): each for each in resources}
        self.is_cancelled = False
        self.progress: list[tuple[Any, ...]] = []

    @property
    def live(self) -> LiveGraph:
        raise NotImplementedError

    def resources(self, lane: str) -> Mapping[type, Any]:
        return self.known

    def ledger(self, node_id: str) -> None:
        return None

    def report(self, *what: Any) -> None:
        self.progress.append(what)


def test_the_example_in_the_package_docstring_runs() -> None:
    assert doctest.testmod(graph).failed == 0
    assert doctest.testmod(graph).attempted > 5


def test_object_info_has_the_form_that_clients_know(paths: Paths) -> None:
    checkpoints = paths.roots("checkpoints")[0]
    checkpoints.mkdir(parents=True)
    (checkpoints / "one.safetensors").touch()
    assert describe_class(Pick.schema(), paths) == {
        "input": {
            "required": {
                "model": [["one.safetensors"], {}],
                "way": [["bilinear", "nearest", "area"], {}],
                "strength": ["FLOAT", {"default": 0.5}],
                "on": ["BOOLEAN", {"default": True}],
            },
            "optional": {
                "text": ["STRING", {"default": "", "multiline": True}],
                "image": ["IMAGE", {}],
                "either": ["IMAGE,MASK", {"tooltip": "A picture or a mask."}],
            },
        },
        "input_order": {"required": ["model", "way", "strength", "on"], "optional": ["text", "image", "either"]},
        "output": ["IMAGE"],
        "output_is_list": [False],
        "output_name": ["IMAGE"],
        "name": "Pick",
        "display_name": "Pick",
        "description": "Takes inputs of every kind.",
        "python_module": "tests.graph.toys",
        "category": "toys",
        "output_node": False,
    }


def test_class_keywords_and_options_reach_object_info(paths: Paths) -> None:
    class Sharpen(
        Node[None], name="Sharpen It", display="Sharpen", output=True, hidden=("prompt", "unique_id"), deprecated=True,
        experimental=True,
    ):  # fmt: skip
        seed: int = Int(default=1, min=0, max=2**64 - 1, control_after_generate=True, extra={"custom": [1]})
        words: str = Text(dynamic_prompts=True, placeholder="say", force_input=True)
        keep: bool = Toggle(default=False, label_on="yes", label_off="no")
        file: str = Choice(lambda paths: paths.files("input"), image_upload=True)

        def run(self, ctx: Context) -> None: ...

    info = describe_class(Sharpen.schema(), paths)
    assert info["input"]["required"] == {
        "seed": ["INT", {"default": 1, "min": 0, "max": 2**64 - 1, "control_after_generate": True, "custom": [1]}],
        "words": ["STRING", {"dynamicPrompts": True, "placeholder": "say", "forceInput": True}],
        "keep": ["BOOLEAN", {"default": False, "label_on": "yes", "label_off": "no"}],
        "file": [[], {"image_upload": True}],
    }
    assert info["input"]["hidden"] == {"prompt": "PROMPT", "unique_id": "UNIQUE_ID"}
    assert (info["name"], info["display_name"], info["description"]) == ("Sharpen It", "Sharpen", "")
    assert (info["output_node"], info["deprecated"], info["experimental"]) == (True, True, True)
    assert info["output"] == []


def test_outputs_come_from_the_result_type() -> None:
    assert Divide.schema().outputs == (Output("quotient", "INT", kind=int), Output("rest", "INT", kind=int))
    assert Add.schema().outputs == (Output("INT", "INT", kind=int),)
    assert Show.schema().outputs == ()


def test_a_node_is_a_frozen_value_that_takes_keywords() -> None:
    node = Add(a=1)
    assert (node.a, node.b) == (1, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.a = 2  # type: ignore[misc]
    assert Add(a=1) != Add(a=1)  # compared by identity: values may be tensors
    with pytest.raises(TypeError):
        Add(1)  # type: ignore[misc]


def test_a_type_that_no_wire_carries_is_named() -> None:
    class Odd(Node[int]):
        thing: complex

        def run(self, ctx: Context) -> int:
            return 0

    with pytest.raises(TypeError, match=r"Odd\.thing has type .*complex"):
        Odd.schema()


def test_an_optional_widget_needs_a_default() -> None:
    with pytest.raises(TypeError, match="default="):
        Int(optional=True)


def test_schema_is_derived_once_and_not_shared_with_subclasses() -> None:
    class Bigger(Add):
        c: int = Int(default=0)

    assert Add.schema() is Add.schema()
    assert list(Bigger.schema().inputs) == ["a", "b", "c"]
    assert list(Add.schema().inputs) == ["a", "b"]


def test_what_hooks_see_has_literals_and_defaults_but_no_linked_inputs() -> None:
    seen = Pick.peek({"model": "x"}, {"strength"})
    assert (seen.model, seen.text, seen.image) == ("x", "", None)
    with pytest.raises(LinkedInput, match="strength is linked"):
        _ = seen.strength
    with pytest.raises(AttributeError, match="no attribute 'other'") as caught:
        _ = seen.other  # type: ignore[attr-defined]
    assert not isinstance(caught.value, LinkedInput)


def test_a_stepper_node_runs_without_an_engine(paths: Paths) -> None:
    host, log = Host(paths), Log()
    host.known[Log] = log
    assert Count(to=2).run(NodeContext(host, "7")) == 2
    assert log.ran == ["7 start", "7 step", "7 step", "7 close"]
    assert host.progress == [("7", "7", 1, 2, "picture 1"), ("7", "7", 2, 2, "picture 2")]


def test_context_finds_resources_by_type_and_says_what_is_missing(paths: Paths) -> None:
    class Better(Log):
        pass

    better = Better()
    assert NodeContext(Host(paths, better), "1").resource(Log) is better
    with pytest.raises(LookupError, match="no Log"):
        NodeContext(Host(paths), "1").resource(Log)


def test_context_collects_what_is_shown(paths: Paths) -> None:
    context = NodeContext(Host(paths), "1")
    context.show("text", ["a"])
    context.show("text", ["b"])
    assert context.shown == {"text": ["a", "b"]}


class Blend(Node[float], category="toys"):
    """Takes as many numbers as there are, under names that are no identifiers: a schema built by hand."""

    parts: Mapping[str, float]

    @classmethod
    def schema(cls) -> Schema:
        names = [f"input_blocks.{number}." for number in range(3)]
        inputs = {name: Input(name, "FLOAT", options={"default": 1.0}, literal=True) for name in names}
        return Schema("Blend", inputs, (Output("FLOAT", "FLOAT"),), display="Blend", category="toys", variadic=True)

    @classmethod
    def build(cls, values: Mapping[str, Any]) -> Self:
        return cls(parts=values)

    def run(self, ctx: Context) -> float:
        return sum(self.parts.values())


def test_a_schema_built_by_hand_works_like_a_derived_one(paths: Paths) -> None:
    assert next(iter(Blend.schema().inputs)) == "input_blocks.0."
    assert Blend.build({"input_blocks.0.": 1.0, "more": 2.0}).run(NodeContext(Host(paths), "1")) == 3.0
    assert Registry(Blend)["Blend"] is Blend


def test_scan_takes_the_classes_that_each_module_defines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "scanned_nodes"
    (package / "deeper").mkdir(parents=True)
    head = "from graph import Context, Node\nfrom tests.graph.toys import Add\n"
    body = "class {}(Node[int]):\n    def run(self, ctx: Context) -> int:\n        return 1\n"
    (package / "__init__.py").write_text(head + body.format("Top"))
    (package / "one.py").write_text(
        head + body.format("One") + body.format("_Private") + "class Base(Node[int]): ...\n"
    )
    (package / "deeper" / "__init__.py").write_text("")
    (package / "deeper" / "two.py").write_text(head + body.format("Two"))
    monkeypatch.syspath_prepend(tmp_path)
    import scanned_nodes  # type: ignore[import-not-found]

    assert sorted(Registry.scan(scanned_nodes)) == ["One", "Top", "Two"]
    for name in [name for name in sys.modules if name.startswith("scanned_nodes")]:
        del sys.modules[name]


def test_two_classes_of_one_name_are_refused() -> None:
    class Other(Node[int], name="Add"):
        def run(self, ctx: Context) -> int:
            return 0

    with pytest.raises(ValueError, match=r"two node classes are called 'Add': tests\.graph\.toys\.Add and .*Other"):
        Registry(Add, Other)


def test_nearest_names_whatever_their_case() -> None:
    assert Registry(Add, Divide, Show, Pick).nearest("SHWO") == ["Show"]
    assert Registry(Add).nearest("KSampler") == []


def test_union_and_optional_sockets() -> None:
    class Join(Node[Image]):
        one: Image | Mask
        two: Image | None = Wire(default=None)
        anything: Any

        def run(self, ctx: Context) -> Image:
            return b""

    inputs = Join.schema().inputs
    assert [(each.type, each.required, each.literal) for each in inputs.values()] == [
        ("IMAGE,MASK", True, False), ("IMAGE", False, False), ("*", True, True),
    ]  # fmt: skip
