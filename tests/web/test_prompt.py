"""POST /prompt: what is accepted, what is refused and how; and the queue, the history and /free around it."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from graph import Context, Node
from graph.queue.scheduler import NoSuchJob, QueueClosed
from tests.graph.scheduler_toys import World, node
from tests.web.server import Client, resource, serving, toy_classes
from web.errors import answer_errors

GOOD = {
    "1": {"class_type": "Toy", "inputs": {"name": "one", "value": 3}},
    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
}
Body = dict[str, Any]


async def post(client: Client, body: object, path: str = "/prompt") -> tuple[int, Any]:
    answer = await client.post(path, json=body)
    text = await answer.text()
    return answer.status, json.loads(text) if text else None


def held(gate: str) -> Body:
    """A prompt that waits at a gate."""
    return {
        "1": {"class_type": "Held", "inputs": {"name": gate}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }


@pytest.mark.parametrize("path", ["/prompt", "/api/prompt"])
def test_a_prompt_is_accepted_and_its_job_can_be_read(tmp_path: Path, path: str) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            extra = {"extra_pnginfo": {"workflow": {"nodes": []}}, "note": "kept", "api_key_comfy_org": "hidden"}
            status, answer = await post(client, {"prompt": GOOD, "client_id": "me", "extra_data": extra}, path)
            assert status == 200
            assert answer["node_errors"] == {}
            await services.scheduler.wait(answer["prompt_id"])
            history = await (await client.get(f"/history/{answer['prompt_id']}")).json()
            entry = history[answer["prompt_id"]]
            number, job_id, prompt, extra_data, targets = entry["prompt"]
            assert (number, job_id, prompt, targets) == (answer["number"], answer["prompt_id"], GOOD, ["2"])
            assert extra_data == {"note": "kept", "extra_pnginfo": {"workflow": {"nodes": []}}, "client_id": "me"}
            assert entry["outputs"] == {"2": {"text": [3]}}
            assert entry["status"]["status_str"] == "success"
            assert entry["status"]["completed"] is True
            kinds = [kind for kind, _ in entry["status"]["messages"]]
            assert kinds == ["execution_start", "execution_cached", "execution_success"]
            meta = {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}
            assert entry["meta"] == {"2": meta}

    asyncio.run(check())


def test_outputs_that_cannot_run_are_left_out_and_told(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            bad = {
                "3": {"class_type": "Divide", "inputs": {"a": 1000}},
                "4": {"class_type": "Show", "inputs": {"value": ["3", 0]}},
            }
            status, answer = await post(client, {"prompt": GOOD | bad})
            assert status == 200
            assert list(answer["node_errors"]) == ["3"]
            errors = answer["node_errors"]["3"]
            assert (errors["class_type"], errors["dependent_outputs"]) == ("Divide", ["4"])
            assert {each["type"] for each in errors["errors"]} == {"value_bigger_than_max", "required_input_missing"}
            assert {each["extra_info"]["input_name"] for each in errors["errors"]} == {"a", "b"}
            job = await services.scheduler.wait(answer["prompt_id"])
            assert job.state == "succeeded"
            assert [each.node_id for each in job.outputs] == ["2"]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "no_prompt"),
        ({"prompt": {}}, "prompt_no_outputs"),
        ({"prompt": {"1": GOOD["1"]}}, "prompt_no_outputs"),
        ({"prompt": GOOD, "partial_execution_targets": []}, "prompt_no_outputs"),
        ({"prompt": {"1": {"inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {"1": 5}}, "invalid_prompt"),
        ({"prompt": {**GOOD, "9": {"class_type": "Nothing", "inputs": {}}}}, "invalid_prompt"),
        ({"prompt": {**GOOD, "9": {"inputs": {"UNKNOWN": 1}}}}, "invalid_prompt"),
        ({"prompt": {"2": {"class_type": "Show", "inputs": {"value": ["7", 0]}}}}, "prompt_outputs_failed_validation"),
        ({"prompt": {"2": {"class_type": "Show", "inputs": {"value": ["2", 0]}}}}, "prompt_outputs_failed_validation"),
        ({"prompt": [1]}, "invalid_value"),
        ({"prompt": GOOD, "number": "1"}, "invalid_value"),
        ({"prompt": GOOD, "number": 1e300}, "invalid_value"),
        ({"prompt": GOOD, "number": 10**400}, "invalid_value"),
        ({"prompt": GOOD, "client_id": "\ud800"}, "invalid_value"),
        ({"prompt": GOOD, "client_id": "x" * 300}, "invalid_value"),
        ({"prompt": GOOD, "prompt_id": "x" * 300}, "invalid_value"),
        ({"prompt": GOOD, "prompt_id": ""}, "invalid_value"),
        ({"prompt": GOOD, "extra_data": {"extra_pnginfo": 3}}, "invalid_value"),
        ({"prompt": GOOD, "priority": 10**6}, "invalid_value"),
        ("text", "invalid_value"),
    ],
)
def test_what_cannot_run_is_refused_with_a_sentence(tmp_path: Path, body: object, kind: str) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            status, answer = await post(client, body)
            assert (status, answer["error"]["type"]) == (400, kind)
            assert len(answer["error"]["message"]) > 10
            assert services.scheduler.remaining == 0

    asyncio.run(check())


def test_a_node_without_class_is_named_in_node_errors(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            _, answer = await post(client, {"prompt": {**GOOD, "9": {"inputs": {"UNKNOWN": 1}}}})
            assert [each["type"] for each in answer["node_errors"]["9"]["errors"]] == ["invalid_prompt"]
            assert "class_type" in answer["node_errors"]["9"]["errors"][0]["details"]

    asyncio.run(check())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"prompt":' * 150 + b"1" + b"}" * 150])
def test_what_is_no_json_is_refused(tmp_path: Path, data: bytes) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            answer = await client.post("/prompt", data=data, headers={"Content-Type": "application/json"})
            assert answer.status == 400
            assert (await answer.json())["error"]["type"] in {"invalid_json", "invalid_value"}

    asyncio.run(check())


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, json_most_bytes=1000) as (client, _):
            status, answer = await post(client, {"prompt": GOOD, "extra_data": {"x": "y" * 2000}})
            assert (status, answer["error"]["type"]) == (413, "too_large")

    asyncio.run(check())


def test_a_preview_method_of_any_form_is_borne(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            for method in ([1], {"a": 1}, None, 3):
                status, answer = await post(client, {"prompt": GOOD, "extra_data": {"preview_method": method}})
                assert status == 200, answer

    asyncio.run(check())


def test_what_is_told_of_thousands_of_bad_nodes_is_bounded(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            bad = {f"b{number}": node("Toy", value=[f"b{number + 1}", 0], name=[3]) for number in range(2000)}
            bad["b2000"] = node("Toy", value="x")
            outputs = {f"k{number}": node("Keep", value=["b0", 0]) for number in range(2000)}
            status, answer = await post(client, {"prompt": bad | outputs})
            assert status == 400
            assert len(answer["node_errors"]) == 1000
            assert {len(each["dependent_outputs"]) for each in answer["node_errors"].values()} == {100}
            assert answer["node_errors"]["b7"]["dependent_outputs"][:2] == ["k0", "k1"]

    asyncio.run(check())


def test_an_interrupt_does_not_wait_for_a_node_that_does_not_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.routes.interrupt.CANCEL_S", 0.05)

    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            prompt = {"1": node("Stuck", name="gate"), "2": node("Show", value=["1", 0])}
            await post(client, {"prompt": prompt, "prompt_id": "mine"})
            await world.reached("gate")
            assert (await client.post("/interrupt", json={"prompt_id": ""})).status == 200
            assert services.scheduler.running == ["mine"]
            world.open("gate")
            assert (await services.scheduler.wait("mine")).state == "cancelled"

    asyncio.run(check())


@pytest.mark.parametrize(("error", "status"), [(QueueClosed("mine"), 503), (NoSuchJob("mine"), 404)])
def test_what_becomes_of_a_job_that_is_waited_for_is_a_sentence(error: Exception, status: int) -> None:
    async def fails(request: web.Request) -> web.StreamResponse:
        raise error

    async def check() -> None:
        answer = await answer_errors(make_mocked_request("POST", "/jobs/mine/cancel"), fails)
        assert isinstance(answer, web.Response)
        assert answer.status == status
        assert json.loads(answer.text or "")["error"]["message"] == str(error)

    asyncio.run(check())


def test_what_is_named_by_half_a_character_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            answers = [
                await client.post("/history", json={"delete": ["\ud800"]}),
                await client.post("/jobs/cancel", json={"job_ids": ["\ud800"]}),
            ]
            assert [each.status for each in answers] == [400, 400]

    asyncio.run(check())


def test_the_same_prompt_under_the_same_id_is_one_job_and_another_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            body = {"prompt": GOOD, "prompt_id": "mine"}
            first, again = await post(client, body), await post(client, body)
            assert first == again
            await services.scheduler.wait("mine")
            status, answer = await post(client, {"prompt": held("x"), "prompt_id": "mine"})
            assert (status, answer["error"]["type"]) == (409, "conflict")

    asyncio.run(check())


def test_number_and_front_decide_the_order(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            services.scheduler.pause()
            for name, more in {
                "usual": {}, "front": {"front": True}, "half": {"number": 0.5}, "before": {"number": -7},
                "urgent": {"priority": 5},
            }.items():  # fmt: skip
                status, _ = await post(client, {"prompt": GOOD, "prompt_id": name, "client_id": "me", **more})
                assert status == 200
            queue = await (await client.get("/queue")).json()
            assert [item[1] for item in queue["queue_pending"]] == ["urgent", "before", "front", "half", "usual"]
            assert (await (await client.get("/prompt")).json()) == {"exec_info": {"queue_remaining": 5}}
            services.scheduler.resume()

    asyncio.run(check())


def test_only_the_wanted_outputs_run(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            both = GOOD | {"5": {"class_type": "Show", "inputs": {"value": 1}}}
            _, answer = await post(client, {"prompt": both, "partial_execution_targets": [5]})
            job = await services.scheduler.wait(answer["prompt_id"])
            assert [each.node_id for each in job.outputs] == ["5"]

    asyncio.run(check())


def test_the_queue_shows_what_runs_and_waits_and_can_be_emptied(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            _, running = await post(client, {"prompt": held("gate"), "client_id": "me"})
            await world.reached("gate")
            services.scheduler.pause()
            waiting = [(await post(client, {"prompt": GOOD}))[1]["prompt_id"] for _ in range(3)]
            queue = await (await client.get("/queue")).json()
            assert [item[1] for item in queue["queue_running"]] == [running["prompt_id"]]
            assert [item[1] for item in queue["queue_pending"]] == waiting
            assert await post(client, {"delete": [waiting[1], "unknown", running["prompt_id"]]}, "/queue") == (
                200,
                None,
            )
            assert services.scheduler.waiting == [waiting[0], waiting[2]]
            assert await post(client, {"clear": True}, "/queue") == (200, None)
            assert services.scheduler.waiting == []
            assert services.scheduler.running == [running["prompt_id"]]
            world.open("gate")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("value", "means"), [(1, True), ("yes", True), ([0], True), (0, False), ("", False), (None, False)]
)
def test_flags_are_true_or_not_as_other_values_are(tmp_path: Path, value: object, means: bool) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            services.scheduler.pause()
            bodies: list[Body] = [{"prompt_id": "first"}, {"prompt_id": "second", "front": value}]
            for body in bodies:
                assert (await post(client, {"prompt": GOOD} | body))[0] == 200
            assert services.scheduler.waiting == (["second", "first"] if means else ["first", "second"])
            assert await post(client, {"clear": value}, "/queue") == (200, None)
            assert bool(services.scheduler.waiting) is not means
            assert await post(client, {"clear": value}, "/history") == (200, None)
            assert bool(services.store.list().jobs) is not means
            assert await post(client, {"unload_models": value, "free_memory": value}, "/free") == (200, None)

    asyncio.run(check())


def test_a_number_that_a_client_chose_stays_a_float_and_one_of_the_server_is_whole(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            for more, number in (({}, 1), ({"number": 5}, 5.0), ({"number": 0.5}, 0.5)):
                _, answer = await post(client, {"prompt": GOOD} | more)
                await services.scheduler.wait(answer["prompt_id"])
                history = await (await client.get(f"/history/{answer['prompt_id']}")).json()
                for found in (answer["number"], history[answer["prompt_id"]]["prompt"][0]):
                    assert (found, type(found)) == (number, type(number))

    asyncio.run(check())


def test_history_is_a_window_in_the_order_of_ends_and_can_be_forgotten(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            ids = []
            for _ in range(5):
                ids.append((await post(client, {"prompt": GOOD}))[1]["prompt_id"])
                await services.scheduler.wait(ids[-1])

            async def history(query: str) -> list[str]:
                return list(await (await client.get(f"/history{query}")).json())

            assert await history("") == ids
            assert await history("?max_items=2") == ids[3:]
            assert await history("?offset=1") == ids[1:]
            assert await history("?offset=1&max_items=2") == ids[1:3]
            assert await history("?offset=9") == []
            assert await history("/unknown") == []
            assert (await client.get("/history?max_items=many")).status == 400
            await post(client, {"delete": [ids[0], "unknown"]}, "/history")
            assert await history("") == ids[1:]
            await post(client, {"clear": True}, "/history")
            assert await history("") == []

    asyncio.run(check())


def test_object_info_describes_the_classes(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            found = await (await client.get("/object_info")).json()
            assert found == json.loads(json.dumps(services.registry.object_info(services.paths)))
            assert await (await client.get("/api/object_info/Show")).json() == {"Show": found["Show"]}
            assert await (await client.get("/object_info/Nothing")).json() == {}

    asyncio.run(check())


class Odd(Node[int], category="toys"):
    """Stands for a class of others whose own code fails when it is asked what it takes."""

    def run(self, ctx: Context) -> int:
        return 1


def test_a_class_that_fails_to_describe_itself_is_none(tmp_path: Path) -> None:
    def fails() -> dict[str, Any]:
        raise RuntimeError("this class is odd")

    registry = toy_classes()
    registry.add(Odd)
    Odd._schema = dataclasses.replace(Odd.schema(), foreign=True, describe=fails)  # type: ignore[attr-defined]

    async def check() -> None:
        async with serving(tmp_path, registry=registry) as (client, _):
            for path in ("/object_info", "/object_info/Odd"):
                answer = await client.get(path)
                assert answer.status == 200
                assert "Odd" not in await answer.json()

    asyncio.run(check())


def test_free_lets_go_of_results(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            slow = {
                "1": {"class_type": "Divide", "inputs": {"a": 7, "b": 2}},
                "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
            }
            cached = []
            for free in (None, {}, {"free_memory": True}):
                if free is not None:
                    assert await post(client, free, "/free") == (200, None)
                _, answer = await post(client, {"prompt": slow})
                await services.scheduler.wait(answer["prompt_id"])
                history = await (await client.get(f"/history/{answer['prompt_id']}")).json()
                cached.append(dict(history[answer["prompt_id"]]["status"]["messages"])["execution_cached"]["nodes"])
            assert cached == [[], ["1"], []]

    asyncio.run(check())


def test_a_full_queue_takes_no_more_and_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, waiting_most=2) as (client, services):
            services.scheduler.pause()
            found = [await post(client, {"prompt": GOOD, "prompt_id": name}) for name in ("a", "b", "c", "a")]
            assert [status for status, _ in found] == [200, 200, 429, 200]
            assert found[2][1]["error"]["type"] == "queue_full"

    asyncio.run(check())


def test_what_was_saved_is_saved_again_once_memory_was_freed(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            files = []
            for free in (False, False, True):
                if free:
                    assert await post(client, {"free_memory": True}, "/free") == (200, None)
                _, answer = await post(client, {"prompt": {"1": {"class_type": "Keep", "inputs": {"value": 4}}}})
                files += [each.ui for each in (await services.scheduler.wait(answer["prompt_id"])).outputs]
            assert files[0] == files[1] != files[2]

    asyncio.run(check())
