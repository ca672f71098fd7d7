"""What clients are told over the WebSocket while their jobs run: which messages, and in which order."""

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.graph.scheduler_toys import World
from tests.web.server import Client, resource, serving

PATIENCE_S = 60
Said = dict[str, Any] | bytes


async def connect(client: Client, name: str, **features: object) -> ClientWebSocketResponse:
    socket = await client.ws_connect(f"/ws?clientId={name}")
    first = json.loads((await socket.receive(PATIENCE_S)).data)
    assert first["type"] == "status"
    assert first["data"]["sid"] == name
    if features:
        await socket.send_json({"type": "feature_flags", "data": features})
        assert (await told(socket))["type"] == "feature_flags"
    return socket


async def told(socket: ClientWebSocketResponse) -> Any:
    message = await socket.receive(PATIENCE_S)
    assert message.type in {WSMsgType.TEXT, WSMsgType.BINARY}, message
    return json.loads(message.data) if message.type is WSMsgType.TEXT else message.data


async def picture(socket: ClientWebSocketResponse) -> bytes:
    """The next binary message."""
    while not isinstance(message := await told(socket), bytes):
        pass
    return message


async def until_end(socket: ClientWebSocketResponse, job_id: str) -> list[Said]:
    """All that is said up to the end of a job."""
    said: list[Said] = []
    while True:
        said.append(message := await told(socket))
        if isinstance(message, dict) and message["type"] == "executing":
            data = message["data"]
            if data["node"] is None and data["prompt_id"] == job_id:
                return said


async def send(
    client: Client, name: str, extra_data: dict[str, Any] | None = None, **nodes: tuple[str, dict[str, Any]]
) -> str:
    prompt = {each: {"class_type": class_type, "inputs": inputs} for each, (class_type, inputs) in nodes.items()}
    answer = await client.post("/prompt", json={"prompt": prompt, "client_id": name, "extra_data": extra_data})
    assert answer.status == 200, await answer.text()
    return str((await answer.json())["prompt_id"])


def short(said: list[Said]) -> list[str]:
    """Messages in a word or two each; states of the queue are left out, since how many come depends on the moment."""
    return [line for each in said if (line := one(each)) is not None]


def one(message: Said) -> str | None:
    if isinstance(message, bytes):
        return "binary"
    data = message["data"]
    match message["type"]:
        case "status":
            return None
        case "progress_state":
            return "progress_state " + ",".join(f"{each} {of['state']}" for each, of in data["nodes"].items())
        case "executing" | "executed" as kind:
            return f"{kind} {data['node']}"
        case "execution_cached":
            return f"execution_cached {','.join(data['nodes'])}"
        case kind:
            return str(kind)


SUM = {"1": ("Toy", {"name": "one", "value": 3}), "2": ("Show", {"value": ["1", 0]})}


def test_the_messages_of_a_job_come_in_the_order_of_the_protocol(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            socket = await connect(client, "me")
            job_id = await send(client, "me", **SUM)
            said = await until_end(socket, job_id)
            assert short(said) == [
                "execution_start", "execution_cached ",
                "progress_state 1 running", "executing 1", "progress_state 1 finished",
                "progress_state 2 running", "executing 2", "executed 2", "progress_state 2 finished",
                "execution_success", "executing None",
            ]  # fmt: skip
            statuses = [each["data"]["status"]["exec_info"] for each in said if one(each) is None]
            assert statuses[0] == {"queue_remaining": 1}
            assert statuses[-1] == {"queue_remaining": 0}
            assert one(said[-2]) is None  # the queue's state, directly before the end
            executed = next(each["data"] for each in said if each["type"] == "executed")
            assert executed == {"node": "2", "display_node": "2", "output": {"text": [3]}, "prompt_id": job_id}
            state = next(each["data"] for each in said if each["type"] == "progress_state")
            assert state == {
                "prompt_id": job_id,
                "nodes": {
                    "1": {
                        "value": 0, "max": 1, "state": "running", "node_id": "1", "prompt_id": job_id,
                        "display_node_id": "1", "parent_node_id": None, "real_node_id": "1",
                    }
                },
            }  # fmt: skip

    asyncio.run(check())


def test_what_is_remembered_is_told_as_cached_and_does_not_execute(tmp_path: Path) -> None:
    async def check() -> None:
        nodes = {"1": ("Divide", {"a": 7, "b": 2}), "2": ("Keep", {"value": ["1", 0]})}
        async with serving(tmp_path) as (client, _):
            socket = await connect(client, "me")
            await until_end(socket, await send(client, "me", **nodes))
            said = await until_end(socket, await send(client, "me", **nodes))
            assert short(said) == [
                "execution_start", "execution_cached 1,2", "executed 2", "progress_state 2 finished",
                "execution_success", "executing None",
            ]  # fmt: skip

    asyncio.run(check())


def test_an_error_is_told_with_its_node_and_ends_the_job(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            socket = await connect(client, "me")
            job_id = await send(client, "me", **{"1": ("Divide", {"a": 1, "b": 0}), "2": ("Show", {"value": ["1", 0]})})
            said = await until_end(socket, job_id)
            assert short(said)[-3:] == ["executing 1", "execution_error", "executing None"]
            error = next(each["data"] for each in said if each["type"] == "execution_error")
            assert (error["node_id"], error["node_type"], error["prompt_id"]) == ("1", "Divide", job_id)
            assert error["exception_type"] == "ZeroDivisionError"
            assert error["executed"] == []
            assert any("ZeroDivisionError" in line for line in error["traceback"])
            entry = (await (await client.get(f"/history/{job_id}")).json())[job_id]
            assert entry["status"]["status_str"] == "error"
            assert entry["status"]["messages"][-1][0] == "execution_error"
            assert entry["status"]["messages"][-1][1]["exception_type"] == "ZeroDivisionError"

    asyncio.run(check())


def test_an_interrupted_job_is_told_to_everybody_and_ends(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            mine, other = await connect(client, "me"), await connect(client, "you")
            job_id = await send(client, "me", **{"1": ("Held", {"name": "gate"}), "2": ("Show", {"value": ["1", 0]})})
            await resource(services, World).reached("gate")
            assert (await client.post("/interrupt")).status == 200
            said = await until_end(mine, job_id)
            assert short(said)[-2:] == ["execution_interrupted", "executing None"]
            data = next(each["data"] for each in said if each["type"] == "execution_interrupted")
            assert (data["node_id"], data["node_type"], data["executed"]) == ("1", "Held", [])
            while (message := await told(other))["type"] == "status":
                pass
            assert message["type"] == "execution_interrupted"
            entry = (await (await client.get(f"/history/{job_id}")).json())[job_id]
            assert entry["status"]["completed"] is False
            assert entry["status"]["messages"][-1][0] == "execution_interrupted"
            assert entry["status"]["messages"][-1][1]["node_type"] == "Held"

    asyncio.run(check())


def test_an_interrupt_without_id_stops_what_the_named_client_runs_and_nothing_else(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            ids = {}
            for name in ("me", "you"):
                ids[name] = await send(client, name, a=("Held", {"name": name}), b=("Show", {"value": ["a", 0]}))
                await world.reached(name)
            assert (await client.post("/interrupt", json={"client_id": "you"})).status == 200
            assert services.scheduler.running == [ids["me"]]
            world.open("me")
            assert (await services.scheduler.wait(ids["me"])).state == "succeeded"

    asyncio.run(check())


def test_jobs_of_one_client_are_told_one_after_another_though_they_run_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            socket = await connect(client, "me")
            first = await send(client, "me", a=("Held", {"name": "first"}), b=("Show", {"value": ["a", 0]}))
            await world.reached("first")
            second = await send(client, "me", a=("Held", {"name": "second"}), b=("Show", {"value": ["a", 0]}))
            await world.reached("second")
            world.open("second")
            assert (await services.scheduler.wait(second)).state == "succeeded"
            world.open("first")
            said = [*await until_end(socket, first), *await until_end(socket, second)]
            ids = [each["data"].get("prompt_id") for each in said if each["type"] != "status"]
            assert ids == sorted(ids, key=[first, second].index)
            assert short(said).count("execution_success") == 2

    asyncio.run(check())


def test_a_job_that_is_tried_again_while_another_runs_is_told_twice_and_holds_up_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            socket, world = await connect(client, "me"), resource(services, World)
            first = await send(client, "me", **{"1": ("Held", {"name": "a"}), "2": ("Keep", {"value": ["1", 0]})})
            await world.reached("a")
            toy = {"1": ("Toy", {"name": "b"}), "2": ("Keep", {"value": ["1", 0]})}
            world.failing.add("b")
            again = await send(client, "me", **toy)
            assert (await services.scheduler.wait(again)).state == "failed"
            world.failing.clear()
            assert (await client.post(f"/jobs/{again}/retry")).status == 200
            await services.scheduler.wait(again)
            third = await send(client, "me", **toy)
            await services.scheduler.wait(third)
            world.open("a")
            assert short(await until_end(socket, first))[-2:] == ["execution_success", "executing None"]
            assert short(await until_end(socket, again))[-2:] == ["execution_error", "executing None"]
            assert short(await until_end(socket, again))[-2:] == ["execution_success", "executing None"]
            assert short(await until_end(socket, third))[-2:] == ["execution_success", "executing None"]

    asyncio.run(check())


def test_previews_come_with_metadata_to_clients_that_know_it_and_plain_to_others(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, preview_px=99, previews="all") as (client, services):
            knowing = await connect(client, "me", supports_preview_metadata=True)
            plain = await connect(client, "me")
            painted = {"7": ("Paint", {"steps": 3, "gate": "last"}), "8": ("Show", {"value": ["7", 0]})}
            job_id = await send(client, "me", **painted)
            frame, plain_frame = await picture(knowing), await picture(plain)
            resource(services, World).open("last")
            await until_end(knowing, job_id)
            kind, length = struct.unpack(">II", frame[:8])
            facts = json.loads(frame[8 : 8 + length])
            assert kind == 4
            assert facts == {
                "node_id": "7", "prompt_id": job_id, "display_node_id": "7", "parent_node_id": None,
                "real_node_id": "7", "image_type": "image/jpeg",
            }  # fmt: skip
            assert frame[8 + length :].endswith(b" of 99")
            assert plain_frame[:8] == struct.pack(">II", 1, 1)
            assert plain_frame[8:].startswith(b"picture ")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("setting", "of_prompt", "knowing", "plain"),
    [
        ("known", None, True, False),
        ("none", None, False, False),
        ("known", "none", False, False),
        ("known", "auto", True, True),
        ("none", "latent2rgb", True, True),
        ("all", "none", False, False),
        ("all", "other", True, True),
    ],
)
def test_who_sees_previews_is_set_for_all_and_by_a_prompt_for_itself(
    tmp_path: Path, setting: str, of_prompt: str | None, knowing: bool, plain: bool
) -> None:
    async def check() -> None:
        async with serving(tmp_path, previews=setting) as (client, services):
            sockets = [await connect(client, "me", supports_preview_metadata=True), await connect(client, "me")]
            extra = {} if of_prompt is None else {"preview_method": of_prompt}
            painted = {"7": ("Paint", {"steps": 3, "gate": "last"}), "8": ("Show", {"value": ["7", 0]})}
            job_id = await send(client, "me", extra, **painted)
            for socket, sees in zip(sockets, (knowing, plain), strict=True):
                if sees:
                    await picture(socket)
            resource(services, World).open("last")
            said = [await until_end(socket, job_id) for socket in sockets]
            for each, sees in zip(said, (knowing, plain), strict=True):
                assert sees or "binary" not in short(each)

    asyncio.run(check())


def test_progress_of_a_node_is_told_with_its_value(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            socket = await connect(client, "me")
            job_id = await send(client, "me", p=("Paint", {"steps": 3}), s=("Show", {"value": ["p", 0]}))
            said = [each for each in await until_end(socket, job_id) if isinstance(each, dict)]
            values = [each["data"] for each in said if each["type"] == "progress"]
            assert values == [{"value": n, "max": 3, "prompt_id": job_id, "node": "p"} for n in (1, 2, 3)]
            states = [each["data"]["nodes"]["p"] for each in said if one(each) == "progress_state p finished"]
            assert [(state["value"], state["max"]) for state in states] == [(3, 3)]

    asyncio.run(check())


def test_a_client_that_comes_back_hears_what_runs_and_how_it_ends(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            socket = await connect(client, "me")
            job_id = await send(client, "me", a=("Held", {"name": "gate"}), b=("Show", {"value": ["a", 0]}))
            while one(await told(socket)) != "executing a":
                pass
            await socket.close()
            again = await connect(client, "me")
            assert await told(again) == {"type": "executing", "data": {"node": "a"}}
            world.open("gate")
            assert short(await until_end(again, job_id))[-2:] == ["execution_success", "executing None"]

    asyncio.run(check())


def test_two_connections_of_one_client_both_hear_and_the_end_of_one_leaves_the_other(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            old = await connect(client, "me")
            new = await connect(client, "me")
            await old.close()
            job_id = await send(client, "me", **SUM)
            assert short(await until_end(new, job_id))[-1] == "executing None"

    asyncio.run(check())


def test_others_hear_of_the_queue_only(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            other = await connect(client, "you")
            job_id = await send(client, "me", **SUM)
            await services.scheduler.wait(job_id)
            assert (await told(other))["type"] == "status"
            await other.close()

    asyncio.run(check())


def test_a_thousand_nodes_make_messages_of_their_number_not_of_its_square(tmp_path: Path) -> None:
    async def check() -> None:
        count = 1000
        nodes = {str(n): ("Toy", {"name": "x", "value": n}) for n in range(count)}
        nodes |= {f"s{n}": ("Show", {"value": [str(n), 0]}) for n in range(0, count, 100)}
        async with serving(tmp_path) as (client, _):
            socket = await connect(client, "me")
            said = await until_end(socket, await send(client, "me", **nodes))
            wide = max(len(each["data"]["nodes"]) for each in said if each["type"] == "progress_state")
            assert wide <= 64  # those that run at once, not those that ever ran

    asyncio.run(check())
