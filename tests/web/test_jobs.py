"""/jobs: what is shown of jobs in every state, and what can be done with them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from yarl import URL

from graph.jobs import JobOutput, JobRequest
from tests.graph.scheduler_toys import World, held, node, toy
from tests.web.server import Client, resource, serving
from web.jobs import JobDetail
from web.routes.jobs import JobList
from web.services import Services

PATIENCE_S = 60


def live(folder: Path, check: Callable[[Client, Services, World], Awaitable[None]], **settings: Any) -> None:
    """Run a check against a server; what is held is let go at the end."""

    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(folder, **settings) as (client, services):
            world = resource(services, World)
            try:
                await check(client, services, world)
            finally:
                world.open(*list(world.gates))

    asyncio.run(scenario())


async def submit(client: Client, prompt: dict[str, Any], **more: Any) -> str:
    answer = await client.post("/prompt", json={"prompt": prompt, **more})
    assert answer.status == 200, await answer.text()
    return str((await answer.json())["prompt_id"])


async def get(client: Client, path: str, status: int = 200) -> Any:
    answer = await client.get(path)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def ask(client: Client, method: str, path: str, status: int = 200, json: Any = None) -> Any:
    answer = await client.request(method, path, json=json)
    assert answer.status == status, await answer.text()
    found = await answer.json()
    if status >= 400:
        assert set(found) == {"error", "node_errors"}
        assert found["error"]["message"].endswith(".")
    return found


def ids(answer: Any) -> list[str]:
    return [each["id"] for each in answer["jobs"]]


def test_a_job_is_pending_then_in_progress_then_completed(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, held("gate"), client_id="me", priority=3)
        job = await get(client, f"/jobs/{job_id}")
        assert (job["status"], job["queue_position"], job["attempts"]) == ("pending", 1, 0)
        assert (job["execution_start_time"], job["execution_end_time"], job["nodes"]) == (None, None, {})
        assert (job["priority"], job["client"]) == (3, "me")
        await ask(client, "POST", "/jobs/resume")
        await world.reached("gate")
        job = await get(client, f"/api/jobs/{job_id}")
        assert (job["status"], job["queue_position"], job["attempts"]) == ("in_progress", None, 1)
        assert job["progress"] == {"done": 0, "total": 2, "running": ["held"]}
        assert job["nodes"]["held"]["state"] == "running"
        assert job["nodes"]["held"]["start_time"] >= job["execution_start_time"] >= job["create_time"]
        assert job["nodes"]["keep"] == {
            "state": "waiting", "node_type": "Keep", "display_node_id": "keep", "start_time": None, "seconds": None,
            "value": None, "max": None,
        }  # fmt: skip
        world.open("gate")
        await services.scheduler.wait(job_id)
        job = await get(client, f"/jobs/{job_id}")
        assert job["status"] == "completed"
        assert job["progress"] == {"done": 2, "total": 2, "running": []}
        assert {name: each["state"] for name, each in job["nodes"].items()} == {"held": "finished", "keep": "finished"}
        assert job["nodes"]["held"]["seconds"] > 0
        assert job["execution_end_time"] >= job["nodes"]["keep"]["start_time"]
        assert job["update_time"] >= job["execution_end_time"] - 1
        saved = {"filename": "kept_00001_.txt", "subfolder": "", "type": "output"}
        assert job["outputs"] == {"keep": {"files": [saved]}}
        assert job["files"] == {"keep": [saved]}
        assert (job["outputs_count"], job["previewable_outputs_count"], job["preview_output"]) == (1, 0, None)
        assert job["workflow"] == {"prompt": held("gate"), "extra_data": {"client_id": "me"}}
        msgspec.convert(job, JobDetail)

    live(tmp_path, check)


def test_progress_and_cached_nodes_are_told(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        prompt = {"1": node("Paint", steps=3, gate="gate"), "2": node("Show", value=["1", 0])}
        job_id = await submit(client, prompt)
        seen = asyncio.Event()
        loop = asyncio.get_running_loop()
        services.journal.subscribe(lambda entry: loop.call_soon_threadsafe(seen.set))
        while (job := await get(client, f"/jobs/{job_id}"))["nodes"].get("1", {}).get("value") != 2:
            await seen.wait()
            seen.clear()
        assert (job["nodes"]["1"]["max"], job["progress"]["running"]) == (3, ["1"])
        world.open("gate")
        await services.scheduler.wait(job_id)
        again = await submit(client, prompt)
        await services.scheduler.wait(again)
        job = await get(client, f"/jobs/{again}")
        assert job["nodes"]["1"]["state"] == "cached"
        assert job["progress"] == {"done": len(job["nodes"]), "total": len(job["nodes"]), "running": []}
        assert job["preview_output"] == {"nodeId": "2", "mediaType": "text", "content": "3"}

    live(tmp_path, check)


def test_a_job_that_failed_says_where_and_why_and_runs_again_when_told(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        world.failing.add("bad")
        job_id = await submit(client, toy("bad"))
        await services.scheduler.wait(job_id)
        job = await get(client, f"/jobs/{job_id}")
        assert job["status"] == "failed"
        assert "bad luck" in job["reason"]
        [error] = job["errors"]
        assert job["execution_error"] == error
        assert (error["node_id"], error["node_type"]) == ("toy", "Toy")
        assert (error["exception_type"], error["exception_message"]) == ("RuntimeError", "this is bad luck")
        assert error["message"].startswith("Toy (node toy) failed")
        assert any("raise RuntimeError" in line for line in error["traceback"])
        assert {name: each["state"] for name, each in job["nodes"].items()} == {"toy": "failed", "keep": "skipped"}
        [listed] = (await get(client, "/jobs?status=failed"))["jobs"]
        assert listed["execution_error"] == error
        world.failing.clear()
        await ask(client, "POST", "/jobs/pause")
        again = await ask(client, "POST", f"/jobs/{job_id}/retry")
        assert (again["id"], again["status"], again["execution_error"]) == (job_id, "pending", None)
        assert (await get(client, f"/jobs/{job_id}"))["nodes"] == {}
        await ask(client, "POST", "/jobs/resume")
        await services.scheduler.wait(job_id)
        job = await get(client, f"/jobs/{job_id}")
        assert (job["status"], job["errors"], job["attempts"]) == ("completed", [], 1)

    live(tmp_path, check)


def test_a_job_that_cannot_be_planned_any_more_has_an_error_too(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await services.scheduler.submit(JobRequest("gone", {"1": node("WasRemoved")}, targets=("1",)))
        await services.scheduler.wait("gone")
        job = await get(client, "/jobs/gone")
        assert job["status"] == "failed"
        assert job["execution_error"]["exception_message"]
        assert job["execution_error"]["node_type"] == "WasRemoved"
        found = await ask(client, "GET", "/jobs/gone/explain", 409)
        assert found["error"]["type"] == "cannot_run"

    live(tmp_path, check)


def test_lists_have_the_jobs_of_a_state_client_and_text_in_parts(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        world.failing.add("bad")
        first = await submit(client, held("gate"), client_id="a")
        await world.reached("gate")
        bad = await submit(client, toy("bad"), client_id="a")
        good = await submit(client, toy("lighthouse"), client_id="b")
        for each in (bad, good):
            await services.scheduler.wait(each)
        await ask(client, "POST", "/jobs/pause")
        waiting = await submit(client, toy("lighthouse keeper"), client_id="a")
        gone = await submit(client, toy("x"), client_id="b")
        await ask(client, "POST", f"/jobs/{gone}/cancel")
        answer = await get(client, "/api/jobs?status=in_progress,pending&limit=200&offset=0")
        assert ids(answer) == [waiting, first]
        assert answer["pagination"] == {"offset": 0, "limit": 200, "total": 2, "has_more": False}
        assert answer["paused"] is True
        msgspec.convert(answer, JobList)
        assert ids(await get(client, "/jobs?status=completed,failed,cancelled&limit=64")) == [gone, good, bad]
        assert ids(await get(client, "/jobs")) == [gone, waiting, good, bad, first]
        assert ids(await get(client, "/jobs?sort_order=asc")) == [first, bad, good, waiting, gone]
        assert set(ids(await get(client, "/jobs?sort_by=execution_end_time"))) == {gone, good, bad}
        assert ids(await get(client, "/jobs?sort_by=execution_end_time&status=failed,pending")) == [bad]
        assert ids(await get(client, "/jobs?client=a")) == [waiting, bad, first]
        assert ids(await get(client, "/jobs?client=a&status=failed")) == [bad]
        assert ids(await get(client, "/jobs?q=lighthouse")) == [waiting, good]
        assert ids(await get(client, "/jobs?q=lighthouse&status=completed&client=b")) == [good]
        part = await get(client, "/jobs?limit=2&offset=2")
        assert ids(part) == [good, bad]
        assert part["pagination"] == {"offset": 2, "limit": 2, "total": 5, "has_more": True}
        part = await get(client, "/jobs?q=light&limit=1&sort_order=asc")
        assert ids(part) == [good]
        assert part["pagination"] == {"offset": 0, "limit": 1, "total": 2, "has_more": True}
        empty = await get(client, "/jobs?offset=9007199254740992")
        assert (empty["jobs"], empty["pagination"]["has_more"]) == ([], False)

    live(tmp_path, check)


@pytest.mark.parametrize(
    "query",
    ["status=running", "status=completed,oops", "limit=0", "limit=1001", "limit=x", "offset=-1", "sort_by=name",
     "sort_order=up", "q=a&sort_by=execution_end_time", f"offset={2**53 + 1}"],
)  # fmt: skip
def test_a_list_that_cannot_be_is_refused(tmp_path: Path, query: str) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "GET", f"/jobs?{query}", 400)

    live(tmp_path, check)


def test_jobs_are_cancelled_whether_they_wait_or_run(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        running = await submit(client, held("gate"))
        await world.reached("gate")
        await ask(client, "POST", "/jobs/pause")
        waiting, third = await submit(client, toy("w")), await submit(client, toy("v"))
        for path in (f"/jobs/{waiting}/cancel", f"/api/jobs/{running}/cancel"):
            found = await ask(client, "POST", path)
            assert (found["status"], found["cancelled"]) == ("cancelled", True)
        over = await ask(client, "POST", f"/jobs/{running}/cancel")
        assert (over["status"], over["reason"], over["cancelled"]) == ("cancelled", "It was cancelled.", False)
        answer = await ask(client, "POST", "/api/jobs/cancel", json={"job_ids": [third, running, "nobody", third]})
        assert answer == {"cancelled": [third]}
        assert (await get(client, f"/jobs/{third}"))["status"] == "cancelled"
        assert world.ran == ["gate"]

    live(tmp_path, check)


def test_a_node_that_does_not_let_go_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        monkeypatch.setattr("web.routes.jobs.CANCEL_S", 0.05)
        prompt = {"1": node("Paint", steps=1, gate="stuck"), "2": node("Show", value=["1", 0])}
        job_id, other = await submit(client, prompt), await submit(client, held("gate"))
        await world.reached("stuck")
        await world.reached("gate")
        found = await ask(client, "POST", f"/jobs/{job_id}/cancel", 202)
        assert (found["id"], found["status"], found["cancelled"]) == (job_id, "in_progress", True)
        answer = await ask(client, "POST", "/jobs/cancel", json={"job_ids": [job_id, other]})
        assert answer == {"cancelled": [job_id, other]}
        world.open("stuck")
        job = await services.scheduler.wait(job_id)
        assert job.state == "cancelled"

    live(tmp_path, check)


def test_jobs_that_wait_change_places(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        a, b, c, d = [await submit(client, toy(name), client_id="me") for name in "abcd"]

        async def order() -> list[str]:
            answer = await get(client, "/jobs?status=pending")
            return ids({"jobs": sorted(answer["jobs"], key=lambda each: each["queue_position"])})

        assert await order() == [a, b, c, d]
        assert (await ask(client, "PATCH", f"/jobs/{c}", json={"front": True}))["queue_position"] == 1
        assert await order() == [c, a, b, d]
        moved = await ask(client, "PATCH", f"/jobs/{d}", json={"priority": 5})
        assert (moved["priority"], moved["queue_position"]) == (5, 1)
        assert (await ask(client, "PATCH", f"/jobs/{b}", json={"before": d}))["priority"] == 5
        assert await order() == [b, d, c, a]
        await ask(client, "PATCH", f"/jobs/{a}", json={"priority": 5, "front": True})
        assert await order() == [a, b, d, c]
        await ask(client, "POST", "/jobs/resume")
        for each in (a, b, c, d):
            await services.scheduler.wait(each)

    live(tmp_path, check)


@pytest.mark.parametrize(
    "body",
    [None, {}, {"front": False}, {"priority": 1, "before": "w"}, {"front": True, "before": "w"}, {"before": "v"},
     {"priority": "high"}, {"priority": 10**6}, {"before": 3}, []],
)  # fmt: skip
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, body: Any) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        for name in "vw":
            await submit(client, toy(name), prompt_id=name)
        await ask(client, "PATCH", "/jobs/v", 400, json=body)
        assert (await get(client, "/jobs/v"))["queue_position"] == 1

    live(tmp_path, check)


def test_what_a_job_in_that_state_does_not_allow_is_refused(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        done = await submit(client, toy("done"))
        await services.scheduler.wait(done)
        running = await submit(client, held("gate"))
        await world.reached("gate")
        await ask(client, "POST", "/jobs/pause")
        waiting = await submit(client, toy("w"))
        for method, path, body in [
            ("POST", f"/jobs/{running}/retry", None),
            ("POST", f"/jobs/{waiting}/retry", None),
            ("POST", f"/jobs/{done}/retry", None),
            ("DELETE", f"/jobs/{running}", None),
            ("PATCH", f"/jobs/{running}", {"front": True}),
            ("PATCH", f"/jobs/{done}", {"priority": 1}),
            ("PATCH", f"/jobs/{waiting}", {"before": running}),
            ("PATCH", f"/jobs/{waiting}", {"before": done}),
        ]:
            found = await ask(client, method, path, 409, json=body)
            assert found["error"]["type"] == "wrong_state"
        for method, path, body in [
            ("GET", "/jobs/nobody", None),
            ("GET", "/jobs/nobody/explain", None),
            ("GET", "/jobs/nobody/events", None),
            ("POST", "/jobs/nobody/cancel", None),
            ("POST", "/jobs/nobody/retry", None),
            ("PATCH", "/jobs/nobody", {"front": True}),
            ("PATCH", f"/jobs/{waiting}", {"before": "nobody"}),
            ("DELETE", "/jobs/nobody", None),
        ]:
            found = await ask(client, method, path, 404, json=body)
            assert "'nobody'" in found["error"]["message"]
        await ask(client, "POST", "/jobs/cancel", 400, json={})
        assert [(await get(client, f"/jobs/{each}"))["status"] for each in (done, running, waiting)] == [
            "completed", "in_progress", "pending",
        ]  # fmt: skip

    live(tmp_path, check)


def test_a_deleted_job_is_gone_and_its_file_stays(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        job_id = await submit(client, toy("done"))
        await services.scheduler.wait(job_id)
        assert await ask(client, "DELETE", f"/jobs/{job_id}") == {"deleted": [job_id]}
        await get(client, f"/jobs/{job_id}", 404)
        await ask(client, "DELETE", f"/jobs/{job_id}", 404)
        assert (tmp_path / "output" / "kept_00001_.txt").exists()

    live(tmp_path, check)


def test_while_paused_nothing_begins_and_what_runs_goes_on(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        running = await submit(client, held("gate"))
        await world.reached("gate")
        assert await ask(client, "POST", "/jobs/pause") == {"paused": True, "running": 1, "waiting": 0}
        waiting = await submit(client, toy("w"))
        world.open("gate")
        await services.scheduler.wait(running)
        assert await ask(client, "POST", "/jobs/pause") == {"paused": True, "running": 0, "waiting": 1}
        assert (await get(client, "/jobs?limit=1"))["paused"] is True
        assert (await ask(client, "POST", "/jobs/resume"))["paused"] is False
        await services.scheduler.wait(waiting)
        assert (await get(client, "/jobs?limit=1"))["paused"] is False

    live(tmp_path, check)


def test_why_nodes_would_run_is_told(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        prompt = {"1": node("Add", a=1, b=2), "2": node("Show", value=["1", 0])}
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, prompt)
        found = {each["node_id"]: each for each in (await get(client, f"/jobs/{job_id}/explain"))["nodes"]}
        assert (found["1"]["runs"], found["1"]["reason"]) == (True, "new")
        await ask(client, "POST", "/jobs/resume")
        await services.scheduler.wait(job_id)
        found = {each["node_id"]: each for each in (await get(client, f"/jobs/{job_id}/explain"))["nodes"]}
        assert (found["1"]["runs"], found["1"]["reason"]) == (False, "memory")
        assert found["1"]["sentence"]

    live(tmp_path, check)


def test_a_list_stays_readable_whatever_nodes_showed(tmp_path: Path) -> None:
    """Front-ends refuse a whole list for one value that they do not know."""

    async def check(client: Client, services: Services, world: World) -> None:
        shown = {
            "images": [{"filename": "a.png", "type": "nowhere"}, {"filename": 3}, None, {"filename": "b.txt"}],
            "text": "words",
            "odd": {"filename": "c.png"},
            "animated": [True],
        }
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, toy("w"))
        await asyncio.wrap_future(services.store.start(job_id))
        await asyncio.wrap_future(services.store.finish_task(job_id, JobOutput("9", "9", shown)))  # type: ignore[arg-type]
        [job] = (await get(client, "/jobs"))["jobs"]
        assert job["preview_output"] == {"nodeId": "9", "mediaType": "images", "filename": "a.png", "subfolder": ""}
        assert (job["outputs_count"], job["previewable_outputs_count"]) == (2, 1)

    live(tmp_path, check)


@pytest.mark.parametrize("shown", [["a", "b"], "a"])
def test_a_text_stands_for_a_job_without_pictures(tmp_path: Path, shown: Any) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await ask(client, "POST", "/jobs/pause")
        job_id = await submit(client, toy("w"))
        await asyncio.wrap_future(services.store.start(job_id))
        await asyncio.wrap_future(services.store.finish_task(job_id, JobOutput("9", "9", {"text": shown})))
        [job] = (await get(client, "/jobs"))["jobs"]
        assert job["preview_output"] == {"nodeId": "9", "mediaType": "text", "content": "a"}

    live(tmp_path, check)


@pytest.mark.parametrize("job_id", ["a/b", "猫 %20", "..", "pause", "?x=1#", "/", "%2F"])
def test_ids_of_any_characters_are_found(tmp_path: Path, job_id: str) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await submit(client, toy("x"), prompt_id=job_id)
        path = quote(job_id, safe="").replace(".", "%2E")
        answer = await client.session.get(URL(f"{client.make_url('/jobs/')}{path}", encoded=True))
        assert answer.status == 200
        assert (await answer.json())["id"] == job_id

    live(tmp_path, check)


def test_who_has_a_token_changes_only_the_own_jobs(tmp_path: Path) -> None:
    async def check(client: Client, services: Services, world: World) -> None:
        await services.scheduler.submit(JobRequest("hers", held("gate"), client="ada/browser"))
        await world.reached("gate")
        his = {"Authorization": "Bearer secret-of-bob"}
        for method, path, body in [
            ("POST", "/jobs/hers/cancel", None),
            ("POST", "/jobs/hers/retry", None),
            ("PATCH", "/jobs/hers", {"front": True}),
            ("DELETE", "/jobs/hers", None),
        ]:
            answer = await client.request(method, path, json=body, headers=his)
            assert answer.status == 403
        answer = await client.post("/jobs/cancel", json={"job_ids": ["hers"]}, headers=his)
        assert await answer.json() == {"cancelled": []}
        answer = await client.get("/jobs?client=browser", headers=his)
        assert ids(await answer.json()) == []
        answer = await client.post("/jobs/hers/cancel", headers={"Authorization": "Bearer secret-of-ada"})
        assert (await answer.json())["status"] == "cancelled"

    live(tmp_path, check, tokens={"ada": "secret-of-ada", "bob": "secret-of-bob"})
