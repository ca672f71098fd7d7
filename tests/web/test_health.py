"""/healthz, /readyz and the page at / before, while and after node classes are loaded, or cannot be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from graph.jobs import JobRequest
from tests.graph.scheduler_toys import World, node
from tests.web.server import Client, resource, serving
from web.app import make_app
from web.services import Services
from web.settings import Settings


@asynccontextmanager
async def starting(base: Path, **options: Any) -> AsyncIterator[tuple[Client, asyncio.Future[Services]]]:
    """A server that has not loaded anything yet."""
    ready: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
    async with TestClient(TestServer(make_app(Settings(base, **options), ready))) as client:
        yield client, ready
        ready.cancel()


def stuck(gate: str) -> dict[str, Any]:
    """A prompt with a node that hears nothing until its gate opens."""
    return {"1": node("Stuck", name=gate), "2": node("Show", value=["1", 0])}


async def state(client: Client) -> tuple[int, str]:
    answer = await client.get("/readyz")
    body = await answer.json()
    return answer.status, body["status"] if answer.status == 200 else body["error"]["message"]


def test_a_server_lives_at_once_and_is_ready_when_it_has_loaded(tmp_path: Path) -> None:
    async def check() -> None:
        async with starting(tmp_path) as (client, _):
            assert await (await client.get("/healthz")).json() == {"status": "ok"}
            status, sentence = await state(client)
            assert (status, "being loaded" in sentence) == (503, True)
            assert "being loaded" in await (await client.get("/")).text()
            for path in (
                "/users",
                "/settings",
                "/features",
                "/userdata?dir=.",
                "/internal/logs",
                "/templates/index.json",
            ):
                assert (await client.get(path)).status in {200, 404}, path
        async with serving(tmp_path) as (client, _):
            assert await state(client) == (200, "ready")
            assert "it is ready" in await (await client.get("/")).text()

    asyncio.run(check())


def test_what_prevents_the_start_is_said(tmp_path: Path) -> None:
    async def check() -> None:
        async with starting(tmp_path) as (client, ready):
            ready.set_exception(OSError("the <disk> is gone" + "!" * 1000))
            status, sentence = await state(client)
            assert status == 503
            assert "the <disk> is gone" in sentence
            assert len(sentence) <= 500
            assert "the &lt;disk&gt; is gone" in await (await client.get("/")).text()
            assert (await client.get("/healthz")).status == 200

    asyncio.run(check())


def test_a_server_that_stops_is_not_ready(tmp_path: Path) -> None:
    async def check() -> None:
        async with starting(tmp_path) as (client, ready):
            ready.cancel()
            assert await state(client) == (503, "The server stops.")
            assert "it stops" in await (await client.get("/")).text()

    asyncio.run(check())


def test_a_server_is_not_ready_while_what_runs_comes_to_its_end(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            world = resource(services, World)
            await services.scheduler.submit(JobRequest("stuck", stuck("gate")))
            await world.reached("gate")
            closing = asyncio.create_task(services.scheduler.close())
            await asyncio.sleep(0)  # it has begun
            assert await state(client) == (503, "The server stops.")
            assert "it stops" in await (await client.get("/")).text()
            assert (await client.get("/healthz")).status == 200
            assert not closing.done()
            world.open("gate")
            await closing
            assert (await state(client))[0] == 503

    asyncio.run(check())


def test_probes_need_no_token(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path, tokens={"anna": "anna-secret"}) as (client, _):
            assert (await client.get("/healthz")).status == 200
            assert (await client.get("/api/readyz")).status == 200
            assert (await client.get("/system_stats")).status == 401

    asyncio.run(check())
