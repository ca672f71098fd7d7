"""Whose jobs a user with a token may take out of the queue and the history: the own ones, and nobody's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from graph.jobs import JobRequest
from tests.graph.scheduler_toys import World, held, toy
from tests.web.server import Client, resource, serving
from web.services import Services

PATIENCE_S = 60
TOKENS = {"ada": "secret-of-ada", "bob": "secret-of-bob"}
JOBS = {"hers": "ada/browser", "his": "bob/browser", "his other": "bob/script", "old": "default/browser", "own": ""}
HIS = {"his", "his other", "old", "own"}  # those of users who have no token are everybody's


def live(folder: Path, check: Callable[[Client, Services], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(PATIENCE_S), serving(folder, tokens=TOKENS) as (client, services):
            await check(client, services)

    asyncio.run(scenario())


async def submit_all(services: Services) -> None:
    for job_id, client in JOBS.items():
        await services.scheduler.submit(JobRequest(job_id, toy(job_id), client=client))


async def post(client: Client, user: str, path: str, body: object) -> None:
    answer = await client.post(path, json=body, headers={"Authorization": f"Bearer {TOKENS[user]}"})
    assert answer.status == 200, await answer.text()


def test_a_user_empties_the_queue_of_the_own_jobs_alone(tmp_path: Path) -> None:
    async def check(client: Client, services: Services) -> None:
        services.scheduler.pause()
        await submit_all(services)
        await post(client, "ada", "/queue", {"delete": ["his", "nobody"]})
        assert set(services.scheduler.waiting) == JOBS.keys()
        await post(client, "bob", "/queue", {"delete": ["his", "hers"]})
        assert set(services.scheduler.waiting) == JOBS.keys() - {"his"}
        await post(client, "bob", "/queue", {"clear": True})
        assert services.scheduler.waiting == ["hers"]
        await post(client, "ada", "/queue", {"clear": True})
        assert services.scheduler.waiting == []

    live(tmp_path, check)


def test_a_user_forgets_the_own_history_alone(tmp_path: Path) -> None:
    async def check(client: Client, services: Services) -> None:
        def known() -> set[str]:
            return {job.request.id for job in services.store.list().jobs}

        await submit_all(services)
        for each in JOBS:
            await services.scheduler.wait(each)
        await post(client, "ada", "/history", {"delete": ["his", "nobody"]})
        assert known() == JOBS.keys()
        await post(client, "bob", "/history", {"delete": ["his", "hers"]})
        assert known() == JOBS.keys() - {"his"}
        await post(client, "bob", "/history", {"clear": True})
        assert known() == {"hers"}
        await post(client, "ada", "/history", {"clear": True})
        assert known() == set()

    live(tmp_path, check)


def test_an_interrupt_without_id_stops_the_own_jobs_and_nobodys(tmp_path: Path) -> None:
    async def check(client: Client, services: Services) -> None:
        world = resource(services, World)
        for job_id in ("hers", "his", "old"):
            await services.scheduler.submit(JobRequest(job_id, held(job_id), client=JOBS[job_id]))
            await world.reached(job_id)
        await post(client, "bob", "/interrupt", {})
        assert services.scheduler.running == ["hers"]
        world.open("hers")
        assert (await services.scheduler.wait("hers")).state == "succeeded"

    live(tmp_path, check)
