"""/jobs/{job_id}/events: by cursor and as a stream, while a job runs, when it is over, and across a restart."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse

from graph.queue.events import CLASSES
from graph.queue.journal import LAST
from tests.graph.scheduler_toys import World, held, node, toy
from tests.web.server import Client
from tests.web.test_jobs import ask, get, live, submit
from web.listening import LISTENERS
from web.routes import job_events
from web.routes.job_events import NAMES, EventsAnswer
from web.services import Services

STREAM = {"Accept": "text/event-stream"}
Event = dict[str, Any]


async def events_of(answer: ClientResponse, until: str = "") -> list[Event]:
    """The events of a stream, up to the first of that kind, or to its end. Checks what stands around the JSON."""
    found: list[Event] = []
    fields: dict[str, str] = {}
    async for line in answer.content:
        text = line.decode().rstrip("\n")
        if text.startswith(":"):
            continue
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
            continue
        if not fields:
            continue
        event = json.loads(fields["data"])
        assert (fields["id"], fields["event"]) == (str(event["sequence"]), event["event"])
        found.append(event)
        fields = {}
        if event["event"] == until:
            break
    return found


async def stream(client: Client, job_id: str, after: int = 0, **headers: str) -> list[Event]:
    async with client.get(f"/jobs/{job_id}/events?after={after}", headers=STREAM | headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        return await events_of(answer)


def test_every_kind_of_event_has_a_name() -> None:
    assert NAMES.keys() == CLASSES.keys()


def test_events_come_by_cursor_in_parts_until_the_job_is_over(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, toy("one"))
        await services.scheduler.wait(job_id)
        whole = await get(client, f"/api/jobs/{job_id}/events")
        msgspec.convert(whole, EventsAnswer)
        assert [each["event"] for each in whole["events"] if each["event"] != "nodes_cached"] == [
            "job_queued", "job_started", "run_started", "node_started", "node_finished", "node_started",
            "node_finished", "run_finished", "job_finished",
        ]  # fmt: skip
        assert whole["is_over"] is True
        assert whole["next"] == whole["events"][-1]["sequence"]
        parts: list[Event] = []
        answer = {"next": 0, "is_over": False}
        while not answer["is_over"]:
            answer = await get(client, f"/jobs/{job_id}/events?after={answer['next']}&limit=3")
            assert 0 < len(answer["events"]) <= 3
            parts += answer["events"]
        assert parts == whole["events"]
        [saved] = [each for each in whole["events"] if each.get("files")]
        assert saved["files"] == [{"filename": "kept_00001_.txt", "subfolder": "", "type": "output"}]
        assert (saved["event"], saved["node_id"]) == ("node_finished", "keep")
        assert str(tmp_path) not in json.dumps(whole)
        assert whole["events"][-1]["status"] == "completed"

    live(tmp_path, check)


def test_progress_says_that_there_is_a_preview_and_a_failure_says_why(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        world.failing.add("bad")
        job_id = await submit(client, {"1": node("Paint", steps=2, gate="gate"), "2": node("Show", value=["1", 0])})
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            progress = (await events_of(answer, "node_progress"))[-1]
        assert (progress["value"], progress["total"], progress["preview"]) == (1, 2, True)
        world.open("gate")
        bad = await submit(client, toy("bad"))
        await services.scheduler.wait(bad)
        [failed] = [each for each in await stream(client, bad) if each["event"] == "node_failed"]
        assert (failed["node_id"], failed["class_type"], failed["exception_type"]) == ("toy", "Toy", "RuntimeError")
        assert failed["exception_message"] == "this is bad luck"
        assert failed["message"].startswith("Toy (node toy) failed")
        assert failed["traceback"]

    live(tmp_path, check)


def test_a_stream_tells_what_happens_and_ends_with_the_job(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, held("gate"))
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            begin = await events_of(answer, "job_queued")
            await ask(client, "PATCH", f"/jobs/{job_id}", json={"priority": 2})
            begin += await events_of(answer, "job_moved")
            await ask(client, "POST", "/jobs/resume")
            begin += await events_of(answer, "node_started")
            world.open("gate")
            rest = await events_of(answer)
        assert rest[-1]["event"] == "job_finished"
        numbers = [each["sequence"] for each in begin + rest]
        assert numbers == sorted(set(numbers))
        assert begin + rest == await stream(client, job_id) == (await get(client, f"/jobs/{job_id}/events"))["events"]

    live(tmp_path, check)


def test_who_comes_back_gets_what_was_missed_and_nothing_after_the_end(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, held("gate"))
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            seen = await events_of(answer, "node_started")
        world.open("gate")
        await services.scheduler.wait(job_id)
        missed = await stream(client, job_id, **{"Last-Event-ID": str(seen[-1]["sequence"])})
        assert seen + missed == await stream(client, job_id)
        assert await stream(client, job_id, after=seen[-1]["sequence"]) == missed
        last = str(missed[-1]["sequence"])
        async with asyncio.timeout(job_events.COMMENT_S):
            while True:  # for a second it might be that more is to be told
                async with client.get(f"/jobs/{job_id}/events", headers=STREAM | {"Last-Event-ID": last}) as answer:
                    assert await answer.read() in (b"", b": still here\n\n")
                    if answer.status == 204:
                        break
        again = await get(client, f"/jobs/{job_id}/events?after={last}")
        assert again == {"events": [], "next": int(last), "is_over": True}

    live(tmp_path, check)


def test_a_job_that_is_retried_goes_on_in_the_same_line(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        world.failing.add("bad")
        job_id = await submit(client, toy("bad"))
        await services.scheduler.wait(job_id)
        first = await stream(client, job_id)
        world.failing.clear()
        await ask(client, "POST", f"/jobs/{job_id}/retry")
        whole = await stream(client, job_id)
        assert whole[: len(first)] == first
        assert whole[len(first)]["event"] == "job_queued"
        assert [each["status"] for each in whole if each["event"] == "job_finished"] == ["failed", "completed"]

    live(tmp_path, check)


def test_a_stream_ends_when_its_job_is_deleted(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, toy("w"))
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            await events_of(answer, "job_queued")
            await ask(client, "DELETE", f"/jobs/{job_id}")
            rest = await events_of(answer)
        assert rest[-1]["event"] in ("job_deleted", "job_finished")
        if rest[-1]["event"] == "job_deleted":
            assert rest[-1]["sequence"] == LAST
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            assert answer.status == 404

    live(tmp_path, check)


def test_after_a_restart_events_are_there_and_go_on(tmp_path: Path) -> None:
    before: list[Event] = []

    async def first(client: Client, services: Services, world: World) -> None:
        before.append({"id": await submit(client, held("gate"))})
        await world.reached("gate")

    async def second(client: Client, services: Services, world: World) -> None:
        world.open("gate")
        job_id = before[0]["id"]
        await services.scheduler.wait(job_id)
        events = await stream(client, job_id)
        kinds = [each["event"] for each in events]
        assert kinds.count("job_started") == 2
        assert "job_requeued" in kinds
        assert kinds[-1] == "job_finished"

    live(tmp_path, first)
    live(tmp_path, second)


def test_a_long_silence_is_broken_by_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        monkeypatch.setattr(job_events, "COMMENT_S", 0.01)
        job_id = await submit(client, held("gate"))
        async with client.get(f"/jobs/{job_id}/events", headers=STREAM) as answer:
            await events_of(answer, "node_started")
            for _ in range(3):
                assert await answer.content.readline() == b": still here\n"
                assert await answer.content.readline() == b"\n"

    live(tmp_path, check)


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        monkeypatch.setattr(job_events, "COMMENT_S", 0.01)
        listeners = client.app[LISTENERS] if client.app is not None else None
        assert listeners is not None
        job_id = await submit(client, held("gate"))
        answers = [await client.get(f"/jobs/{job_id}/events", headers=STREAM) for _ in range(5)]
        for answer in answers:
            await events_of(answer, "node_started")
        assert listeners.count == 5
        for answer in answers:
            answer.close()
        while listeners.count:
            await asyncio.sleep(0.01)

    live(tmp_path, check)


def test_a_reader_that_takes_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        monkeypatch.setattr(job_events, "STUCK_S", 0.05)
        listeners = client.app[LISTENERS] if client.app is not None else None
        assert listeners is not None
        loud = {str(number): node("Loud", size=1_000_000) for number in range(20)}
        job_id = await submit(client, loud)
        await services.scheduler.wait(job_id)
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
        head = (
            f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nAccept: text/event-stream\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        while listeners.count:
            await asyncio.sleep(0.01)
        writer.close()

    live(tmp_path, check)


def test_streams_do_not_hold_up_a_server_that_stops(tmp_path: Path) -> None:
    answers: list[ClientResponse] = []

    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, held("gate"))
        answer = await client.get(f"/jobs/{job_id}/events", headers=STREAM)
        await events_of(answer, "node_started")
        assert client.app is not None
        await client.app.shutdown()
        await events_of(answer)  # returns, since the stream ends
        answers.append(answer)

    live(tmp_path, check)
    assert answers


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=5001", f"after={2**60}"])
def test_a_cursor_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, toy("one"))
        await ask(client, "GET", f"/jobs/{job_id}/events?{query}", 400)

    live(tmp_path, check)


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "٣", "1" * 17])
def test_a_last_event_that_cannot_be_is_refused(tmp_path: Path, last: str) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, toy("one"))
        answer = await client.get(f"/jobs/{job_id}/events", headers=STREAM | {"Last-Event-ID": last})
        assert answer.status == 400

    live(tmp_path, check)


def test_a_head_request_is_no_stream(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, held("gate"))
        answer = await client.head(f"/jobs/{job_id}/events", headers=STREAM)
        assert answer.status == 200

    live(tmp_path, check)
