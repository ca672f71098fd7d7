"""Workflows of the editor over HTTP: queued by /prompt, converted and read for editors without being queued."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from graph.read.editor import is_editor_form
from tests.graph.pictures import png
from tests.web.server import Client, serving

PROMPT = {
    "1": {"class_type": "Toy", "inputs": {"name": "one", "value": 3}, "_meta": {"title": "Toy"}},
    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}, "_meta": {"title": "Show"}},
}


def drawing(value: int = 3, **toy: Any) -> dict[str, Any]:
    """The same as the editor saves it."""
    inputs = [{"name": "value", "type": "INT", "link": 1, "widget": {"name": "value"}}]
    outputs = [{"name": "INT", "type": "INT", "links": [1]}]
    return {
        "nodes": [
            {"id": 1, "type": "Toy", "inputs": [], "outputs": outputs, "widgets_values": ["one", value], **toy},
            {"id": 2, "type": "Show", "inputs": inputs, "outputs": [], "widgets_values": [0], "color": "#fff"},
        ],
        "links": [[1, 1, 0, 2, 0, "INT"]],
        "version": 0.4,
    }


async def post(client: Client, path: str, body: object) -> tuple[int, Any]:
    answer = await client.post(path, json=body)
    return answer.status, await answer.json()


def plain(prompt: dict[str, Any]) -> dict[str, Any]:
    return {name: {"class_type": node["class_type"], "inputs": node["inputs"]} for name, node in prompt.items()}


# ── /prompt ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_workflow_of_the_editor_is_queued_and_what_is_saved_carries_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            status, answer = await post(client, "/prompt", {"prompt": drawing()})
            assert status == 200
            assert "notes" not in answer
            job = await services.scheduler.wait(answer["prompt_id"])
            assert job.state == "succeeded"
            assert job.outputs[0].ui == {"text": [3]}
            assert plain(dict(job.request.prompt)) == plain(PROMPT)
            assert dict(job.request.extra_pnginfo) == {"workflow": drawing()}

    asyncio.run(check())


def test_a_workflow_that_came_beside_is_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            extra = {"extra_pnginfo": {"workflow": {"mine": 1}}}
            _, answer = await post(client, "/prompt", {"prompt": drawing(), "extra_data": extra})
            job = await services.scheduler.wait(answer["prompt_id"])
            assert dict(job.request.extra_pnginfo) == {"workflow": {"mine": 1}}

    asyncio.run(check())


def test_what_was_odd_is_in_the_answer(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            workflow = drawing()
            workflow["nodes"].append(workflow["nodes"][0])
            status, answer = await post(client, "/prompt", {"prompt": workflow})
            assert status == 200
            assert answer["notes"] == ["Two nodes have the id 1; the second one was left out."]

    asyncio.run(check())


def test_the_same_id_with_the_same_workflow_is_the_same_job_and_with_another_it_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            body = {"prompt": drawing(), "prompt_id": "one"}
            first = await post(client, "/prompt", body)
            assert await post(client, "/prompt", body) == first
            status, answer = await post(client, "/prompt", body | {"prompt": drawing(4)})
            assert (status, answer["error"]["type"]) == (409, "conflict")
            await services.scheduler.wait("one")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("workflow", "sentence"),
    [
        ({"nodes": [{"type": "Toy"}], "links": []}, "has no id"),
        ({"nodes": [{"id": 7}], "links": []}, "Node 7 has no type"),
        ({"nodes": [5, {"id": 7}], "links": 3}, "has no id"),
    ],
)
def test_a_workflow_that_cannot_be_read_is_refused_with_sentences(
    tmp_path: Path, workflow: object, sentence: str
) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            for path, body in (("/prompt", {"prompt": workflow}), ("/workflow/convert", {"workflow": workflow})):
                status, answer = await post(client, path, body)
                assert (status, answer["error"]["type"]) == (400, "invalid_prompt")
                assert sentence in answer["error"]["message"]
                assert services.scheduler.remaining == 0

    asyncio.run(check())


def test_faults_of_nodes_in_subgraphs_are_told_by_their_ids_in_the_prompt(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            inside = {"id": 12, "type": "Show", "inputs": [], "outputs": [], "widgets_values": ["many"]}
            workflow = {
                "nodes": [{"id": 5, "type": "sub", "inputs": [], "outputs": []}], "links": [],
                "definitions": {"subgraphs": [{"id": "sub", "name": "S", "nodes": [inside], "links": []}]},
            }  # fmt: skip
            status, answer = await post(client, "/prompt", {"prompt": workflow})
            assert status == 400
            assert [each["type"] for each in answer["node_errors"]["5:12"]["errors"]] == ["invalid_input_type"]

    asyncio.run(check())


def test_a_job_of_the_editors_form_outlives_the_server(tmp_path: Path) -> None:
    async def send() -> None:
        async with serving(tmp_path) as (client, _):
            await post(client, "/jobs/pause", {})
            status, _ = await post(client, "/prompt", {"prompt": drawing(), "prompt_id": "late"})
            assert status == 200

    async def finish() -> None:
        async with serving(tmp_path) as (_, services):
            job = await services.scheduler.wait("late")
            assert (job.state, job.outputs[0].ui) == ("succeeded", {"text": [3]})
            assert dict(job.request.extra_pnginfo) == {"workflow": drawing()}

    asyncio.run(send())
    asyncio.run(finish())


# ── /workflow/convert ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workflow", [PROMPT, drawing()], ids=["api", "editor"])
@pytest.mark.parametrize("path", ["/workflow/convert", "/api/workflow/convert"])
def test_a_workflow_is_converted_to_each_form_and_nothing_is_queued(
    tmp_path: Path, workflow: dict[str, Any], path: str
) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            status, answer = await post(client, path, {"workflow": workflow})
            assert status == 200
            assert plain(answer.pop("workflow")) == plain(PROMPT)
            assert answer == {"notes": [], "missing": [], "can_run": True, "error": None, "node_errors": {}}
            _, answer = await post(client, path, {"workflow": workflow, "to": "editor"})
            _, again = await post(client, path, {"workflow": answer["workflow"]})
            assert plain(again["workflow"]) == plain(PROMPT)
            _, answer = await post(client, path, {"workflow": workflow, "to": "python"})
            assert "build(" in answer["source"]
            assert "workflow" not in answer
            assert services.store.count() == 0

    asyncio.run(check())


def test_values_of_inputs_that_are_gone_are_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            prompt = PROMPT | {"1": {"class_type": "Toy", "inputs": {"name": "one", "gone": 1}}}
            _, answer = await post(client, "/workflow/convert", {"workflow": prompt})
            read = await (await client.post("/workflow/read", data=json.dumps(prompt).encode())).json()
            assert len(answer["notes"]) == len(read["notes"]) == 1
            assert "'gone'" in answer["notes"][0]
            assert answer["can_run"]

    asyncio.run(check())


def test_everything_that_is_wrong_is_told_beside_the_conversion(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            workflow = drawing()
            workflow["nodes"].append(
                {"id": 3, "type": "Nowhere", "inputs": [], "outputs": [], "properties": {"cnr_id": "the-pack"}}
            )
            status, answer = await post(client, "/workflow/convert", {"workflow": workflow})
            assert status == 200
            assert set(answer["workflow"]) == {"1", "2", "3"}
            [missing] = answer["missing"]
            assert (missing["type"], missing["class_type"]) == ("missing_node_type", "Nowhere")
            assert (missing["nodes"], missing["pack"]) == (["3"], "the-pack")
            assert "the-pack" in missing["sentence"]
            assert answer["can_run"] is False
            assert answer["error"]["type"] == "invalid_prompt"
            assert set(answer["node_errors"]) == {"3"}
            _, answer = await post(client, "/workflow/convert", {"workflow": drawing("many")})  # type: ignore[arg-type]
            assert [each["type"] for each in answer["node_errors"]["1"]["errors"]] == ["invalid_input_type"]
            _, answer = await post(client, "/workflow/convert", {"workflow": {"nodes": [], "links": []}})
            assert (answer["workflow"], answer["error"]["type"]) == ({}, "prompt_no_outputs")

    asyncio.run(check())


# ── /workflow/read ────────────────────────────────────────────────────────────────────────────────────────────────────

FILES = {
    "the editor's JSON": (json.dumps(drawing()).encode(), False),
    "API form": (json.dumps(PROMPT).encode(), True),
    "a picture with the editor's form": (png(workflow=json.dumps(drawing()), prompt=json.dumps(PROMPT)), False),
    "a picture with API form": (png(prompt=json.dumps(PROMPT)), True),
    "a picture with parameters": (png(parameters="a cat\nSteps: 2, Sampler: Euler a, Seed: 1, Size: 64x64"), True),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_kind_is_read_for_the_editor(tmp_path: Path, name: str) -> None:
    data, is_drawn = FILES[name]

    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            form = aiohttp.FormData()
            form.add_field("other", "field")
            form.add_field("file", data, filename="anything.bin")
            bodies: list[Any] = [data, form]
            for body in bodies:
                answer = await client.post("/workflow/read", data=body)
                found = await answer.json()
                assert answer.status == 200, found
                assert found["is_drawn"] is is_drawn
                assert is_editor_form(found["workflow"])
                assert len(found["workflow"]["nodes"]) >= 2
                if not is_drawn:
                    assert found["workflow"] == drawing()
                kinds = {each["type"] for each in found["missing"]}
                assert kinds == ({"missing_node_type"} if "parameters" in name else set())
            assert list(services.paths.folders["temp"].iterdir()) == []

    asyncio.run(check())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"a": 1}', b"PK\3\4", png(), png(workflow="{"), b"\x89PNG\r\n\x1a\n", b"[" * 100_000,
     b'{"nodes": [{}]}', b"\xff\xd8\xff\xe1", b'{"nodes": [' + b"1," * 2_000_000 + b"1]}"],
)  # fmt: skip
def test_what_has_no_workflow_is_refused_with_a_sentence(tmp_path: Path, data: bytes) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            answer = await client.post("/workflow/read", data=data)
            found = await answer.json()
            assert answer.status == 400
            assert found["error"]["message"].endswith(".")
            assert len(found["error"]["message"]) > 20
            assert list(services.paths.folders["temp"].iterdir()) == []

    asyncio.run(check())


def test_a_workflow_that_is_too_large_to_be_drawn_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            many = {str(number): PROMPT["1"] for number in range(10_001)}
            status, answer = await post(client, "/workflow/convert", {"workflow": many, "to": "editor"})
            assert (status, answer["error"]["type"]) == (413, "too_large")
            answer = await client.post("/workflow/read", data=json.dumps(many).encode())
            assert answer.status == 413

    asyncio.run(check())


def test_a_file_over_the_limit_and_a_form_without_one_are_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, upload_most_bytes=1000) as (client, services):
            form = aiohttp.FormData()
            form.add_field("file", b"x" * 2000, filename="a.png")
            for body in (b"x" * 3_000_000, form):
                answer = await client.post("/workflow/read", data=body)
                assert (answer.status, (await answer.json())["error"]["type"]) == (413, "too_large")
            none = aiohttp.FormData(default_to_multipart=True)
            none.add_field("text", "x")
            broken = {"Content-Type": "multipart/form-data; boundary=x"}
            for answer in (
                await client.post("/workflow/read", data=none),
                await client.post("/workflow/read", data=b"no form", headers=broken),
                await client.post("/workflow/read", data=b"", headers={"Content-Type": "multipart/form-data"}),
            ):
                assert answer.status == 400
                assert (await answer.json())["error"]["type"] in {"no_file", "invalid_body"}
            assert list(services.paths.folders["temp"].iterdir()) == []

    asyncio.run(check())
