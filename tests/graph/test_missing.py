"""What a workflow needs and is not here is said all at once, with what may stand in for it."""

from pathlib import Path
from typing import Any

import pytest

import nodes
from graph.paths import Paths
from graph.read.api import read_api
from graph.read.missing import MOST_NOTES, UNKNOWN_CLASS, match_models, missing, surplus
from graph.registry import Registry

REGISTRY = Registry.scan(nodes)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for name in ("sd/one.safetensors", "other_model_v2.safetensors"):
        file = tmp_path / "models" / "checkpoints" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return Paths(tmp_path)


def loading(name: str) -> dict[str, Any]:
    return {"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("one.safetensors", "sd/one.safetensors"),
        ("xl\\ONE.safetensors", "sd/one.safetensors"),
        ("other_model_v1.safetensors", "other_model_v2.safetensors"),
    ],
)
def test_a_model_of_the_same_or_a_similar_name_is_taken(name: str, near: str, paths: Paths) -> None:
    prompt = loading(name)
    matched, notes = match_models(prompt, REGISTRY, paths)
    assert matched == loading(near)
    assert len(notes) == 1
    assert prompt == loading(name)
    assert near in missing(read_api(prompt), REGISTRY, paths)[0].sentence


def test_what_is_here_is_not_missing(paths: Paths) -> None:
    prompt = loading("sd/one.safetensors")
    assert missing(read_api(prompt), REGISTRY, paths) == []
    assert match_models(prompt, REGISTRY, paths) == (prompt, [])


def test_a_model_unlike_any_is_left_and_its_address_shown(paths: Paths) -> None:
    prompt = loading("qqqq.ckpt")
    model = {"name": "qqqq.ckpt", "url": "https://example.org/qqqq.ckpt"}
    assert match_models(prompt, REGISTRY, paths) == (prompt, [])
    for workflow in ({"models": [model]}, {"nodes": [{"type": "x", "properties": {"models": [model]}}]}):
        (problem,) = missing(read_api(prompt), REGISTRY, paths, workflow)
        assert model["url"] in problem.sentence
        assert "models/checkpoints" in problem.sentence
        assert (problem.node_id, problem.input, problem.extra["url"]) == ("4", "ckpt_name", model["url"])


def test_an_unknown_class_is_named_once_with_its_pack(paths: Paths) -> None:
    prompt = {name: {"class_type": "Qqqqq", "inputs": {}} for name in ("1", "2")}
    raw = {"type": "Qqqqq", "properties": {"cnr_id": "the-pack"}}
    for workflow in ({"nodes": [raw]}, {"definitions": {"subgraphs": [{"nodes": [raw]}]}}):
        (problem,) = missing(read_api(prompt), REGISTRY, paths, workflow)
        assert "node 1, 2" in problem.sentence
        assert "the-pack" in problem.sentence
        assert (problem.kind, problem.class_type, problem.extra["nodes"]) == (UNKNOWN_CLASS, "Qqqqq", ["1", "2"])


def test_a_choice_that_is_gone_is_said_and_not_replaced(paths: Paths) -> None:
    prompt = {"1": {"class_type": "KSampler", "inputs": {"sampler_name": "eulerr"}}}
    (problem,) = missing(read_api(prompt), REGISTRY, paths)
    sentence = problem.sentence
    assert "euler'" in sentence or "euler?" in sentence or '"euler"' in sentence
    assert match_models(prompt, REGISTRY, paths) == (prompt, [])


def test_an_ending_makes_no_name_similar(paths: Paths) -> None:
    assert match_models(loading("cardos.safetensors"), REGISTRY, paths)[1] == []


def test_thousands_of_models_that_are_not_here_are_compared_with_a_few_files_only(paths: Paths) -> None:
    prompt = {str(number): loading(f"other_model_v{number}.safetensors")["4"] for number in range(100, 5100)}
    found = [each.extra.get("nearest") for each in missing(read_api(prompt), REGISTRY, paths)]
    assert len(found) == 5000
    assert found.count("other_model_v2.safetensors") == 50


def test_values_of_inputs_that_are_no_longer_there_are_told(paths: Paths) -> None:
    prompt = loading("sd/one.safetensors")
    prompt["4"]["inputs"] |= {"config_name": "v1.yaml", "control_after_generate": "fixed"}
    (note,) = surplus(read_api(prompt), REGISTRY)
    assert "config_name" in note
    prompt["4"]["inputs"] |= {f"x{number}": number for number in range(1000)}
    assert len(surplus(read_api(prompt), REGISTRY)) == MOST_NOTES + 1
