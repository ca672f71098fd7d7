"""Classes say of themselves what ComfyUI's say: names, inputs, order, types, defaults, ranges."""

import json
from pathlib import Path
from typing import Any

import pytest

import nodes
from graph.paths import Paths
from graph.registry import Registry

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FACTS: dict[str, Any] = {
    name: facts
    for file in ("object_info_first.json", "object_info_loaders.json")
    for name, facts in json.loads((GOLDEN / file).read_text())["classes"].items()
}
LOADERS = {"CheckpointLoaderSimple", "ImageOnlyCheckpointLoader", "LoraLoader", "LoraLoaderModelOnly", "VAELoader",
           "ControlNetLoader", "UNETLoader", "UpscaleModelLoader", "StyleModelLoader", "GLIGENLoader"}  # fmt: skip
OWN_INPUTS = {"CLIPTextEncode": {"clip_skip"}}  # what Darkroom adds: optional and last, see docs/adr/0002
INCOMPLETE = {"sampler_name", "scheduler"}  # lists that grow; what is there stands in the same order
NOT_WIRED = {"n", "t", "o", "opts", "tooltip"}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.scan(nodes)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for name in ("models/checkpoints/b.safetensors", "models/checkpoints/sub/a.ckpt", "input/x.png", "input/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return Paths(tmp_path)


def test_every_class_is_there(registry: Registry) -> None:
    assert FACTS.keys() <= registry.keys()
    assert FACTS.keys() >= LOADERS  # ComfyUI's front-end 1.27 draws nothing without each of them


@pytest.mark.parametrize("name", FACTS)
def test_a_class_is_described_as_in_comfyui(name: str, registry: Registry, paths: Paths) -> None:
    facts, info = FACTS[name], registry.object_info(paths)[name]
    assert (info["name"], info["display_name"], info["category"]) == (name, facts["d"], facts["c"])
    assert info["output"] == info["output_name"] == [output["t"] for output in facts["out"]]
    assert info["output_node"] is bool(facts.get("output_node"))
    assert info["input"].get("hidden") == facts.get("hidden")

    specs = {**info["input"]["required"], **info["input"].get("optional", {})}
    own = OWN_INPUTS.get(name, set())
    assert own <= info["input"].get("optional", {}).keys()
    assert [each for each in specs if each not in own] == [fact["n"] for fact in facts["in"]]
    assert list(specs)[len(facts["in"]) :] == sorted(own)
    for fact in facts["in"]:
        kind, options = specs[fact["n"]]
        assert ("COMBO" if isinstance(kind, list) else kind) == fact["t"], fact["n"]
        assert (fact["n"] in info["input"].get("optional", {})) is bool(fact.get("o"))
        wanted = {key: value for key, value in fact.items() if key not in NOT_WIRED}
        given = {key: value for key, value in options.items() if key != "tooltip"}
        assert given == wanted, fact["n"]
        if isinstance(fact.get("opts"), list):
            expected = (
                [choice for choice in fact["opts"] if choice in kind] if fact["n"] in INCOMPLETE else fact["opts"]
            )
            assert kind == expected


def test_lists_of_files_show_what_is_there(registry: Registry, paths: Paths) -> None:
    info = registry.object_info(paths)
    assert info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0] == ["b.safetensors", "sub/a.ckpt"]
    assert info["LoadImage"]["input"]["required"]["image"][0] == ["x.png"]


def test_every_class_and_every_setting_says_what_it_is_for(registry: Registry, paths: Paths) -> None:
    for name, info in registry.object_info(paths).items():
        assert info["description"], name
        specs = {**info["input"]["required"], **info["input"].get("optional", {})}
        settings = [
            key for key, (kind, _) in specs.items() if isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING")
        ]
        assert [key for key in settings if not specs[key][1].get("tooltip")] == [], name


def test_the_samplers_that_can_be_chosen_are_those_that_exist(registry: Registry, paths: Paths) -> None:
    first = {"euler", "euler_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "uni_pc"}
    for name in ("KSampler", "KSamplerAdvanced"):
        assert first <= set(registry.object_info(paths)[name]["input"]["required"]["sampler_name"][0])
