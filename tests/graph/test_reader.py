"""Requests read with the classes and files there are: what is to be done, and what will be loaded."""

from pathlib import Path

import pytest

from graph import DocumentError, Link, Paths
from graph.jobs import JobRequest
from graph.queue.reader import JobReader
from tests.graph.scheduler_toys import REGISTRY, loading, node, toy


@pytest.fixture
def reader(tmp_path: Path) -> JobReader:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "x.safetensors").touch()
    return JobReader(REGISTRY, Paths(tmp_path))


def test_a_request_becomes_a_plan_for_its_targets(reader: JobReader) -> None:
    two = toy("a", 1) | {"other": node("Keep", value=2)}
    assert [task.id for task in reader.plan(JobRequest("1", two)).tasks] == ["toy", "keep", "other"]
    plan = reader.plan(JobRequest("1", two, {"workflow": {"nodes": []}}, targets=("keep",)))
    assert [task.id for task in plan.tasks] == ["toy", "keep"]
    assert plan.tasks[1].spec.inputs["value"] == Link("toy", 0)
    assert plan.graph.extra_pnginfo == {"workflow": {"nodes": []}}


def test_what_has_gone_is_said(reader: JobReader, tmp_path: Path) -> None:
    request = JobRequest("1", loading("x.safetensors"))
    assert reader.plan(request).targets == ("keep",)
    (tmp_path / "models" / "checkpoints" / "x.safetensors").unlink()
    with pytest.raises(DocumentError, match="'model'"):
        JobReader(REGISTRY, Paths(tmp_path)).plan(request)


def test_models_are_named_by_kind_whether_they_are_there_or_not(reader: JobReader) -> None:
    prompt = {
        "1": node("Loader", model="x.safetensors"), "2": node("Loader", model="y.safetensors"),
        "3": node("Loader", model=["1", 0]), "4": node("Gone", model="z.safetensors"), "5": node("Toy", name="x"),
        "6": "no node", "7": {"class_type": "Loader"}, "8": {"class_type": "Loader", "inputs": [1]},
    }  # fmt: skip
    assert reader.models(JobRequest("1", prompt)) == {"checkpoints/x.safetensors", "checkpoints/y.safetensors"}


def test_a_request_in_the_editors_form_is_read_alike_each_time(reader: JobReader) -> None:
    workflow = {
        "nodes": [
            {"id": 1, "type": "Loader", "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
             "widgets_values": ["x.safetensors"]},
            {"id": 2, "type": "Keep", "inputs": [{"name": "value", "type": "INT", "link": 1}]},
        ],
        "links": [[1, 1, 0, 2, 0, "INT"]],
    }  # fmt: skip
    request = JobRequest("1", workflow)
    assert [task.id for task in reader.plan(request).tasks] == ["1", "2"]
    assert reader.models(request) == {"checkpoints/x.safetensors"}
    broken = JobRequest("1", {"nodes": [{"id": 7}]})
    assert reader.models(broken) == frozenset()
    with pytest.raises(DocumentError, match="Node 7 has no type"):
        reader.plan(broken)
