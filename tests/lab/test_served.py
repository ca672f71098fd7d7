"""What the measurements of the server rely on: clients that notice disorder, and a soak that notices growth."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.bench_server import trivial
from lab.served import Listener, Server, body_of, browsing, listeners, send, states, toys
from lab.soak_server import Sample, table

Message = tuple[str, dict[str, Any]]


def job(name: str) -> list[Message]:
    """The messages of a job with two nodes."""
    return [
        ("execution_start", {"prompt_id": name}),
        ("execution_cached", {"prompt_id": name, "nodes": []}),
        ("progress_state", {"prompt_id": name, "nodes": {}}),
        ("executing", {"prompt_id": name, "node": "1"}),
        ("executing", {"prompt_id": name, "node": "2"}),
        ("execution_success", {"prompt_id": name}),
        ("status", {"status": {"exec_info": {"queue_remaining": 0}}}),
        ("executing", {"prompt_id": name, "node": None}),
    ]


def listener(messages: list[Message]) -> Listener:
    return Listener("me", [json.dumps({"type": kind, "data": data}) for kind, data in messages])


def test_jobs_one_after_another_are_in_order() -> None:
    stranger = ("execution_interrupted", {"prompt_id": "of somebody else", "node_id": None})
    listener([*job("a"), stranger, *job("b")]).check_order(2)


@pytest.mark.parametrize(
    "messages",
    [
        job("a"),  # one is missing
        [*job("a")[:4], *job("b"), *job("a")[4:]],  # one amid the other
        [*job("a"), *job("a")],  # one twice
        [*job("a"), job("b")[1], job("b")[0], *job("b")[2:]],  # a message before the beginning
        [*job("a"), *job("b")[:5], *job("b")[4:]],  # a node twice
        [*job("a"), *job("b")[:5], job("b")[7]],  # an end without success
    ],
)
def test_disorder_is_noticed(messages: list[Message]) -> None:
    with pytest.raises(AssertionError):
        listener(messages).check_order(2)


def test_clients_of_a_server_of_toys_get_all_their_jobs_in_order(tmp_path: Path) -> None:
    async def check(server: Server) -> None:
        async with browsing(server) as session, listeners(session, ["a", "b"]) as clients:
            for number in range(3):
                for client in clients:
                    await send(session, client.id, body_of(client.id, trivial(number)))
            for client in clients:
                await client.until_over(3)
                client.check_order(3)
            assert await states(session) == {"success": 6}

    with toys(tmp_path) as server:
        asyncio.run(check(server))
        assert server.cpu_s > 0
        assert server.facts().keys() == {"anonymous_bytes", "threads", "files"}


FLAT = [Sample(2000 + 200 * number, 50_000_000 + 1000 * number, 14, 20, 6_000_000) for number in range(40)]


def test_a_server_that_stays_as_it_is_passes_the_soak() -> None:
    assert dict(table(FLAT, 10.0))["growth per 1,000 jobs, kB"] == 5.0


@pytest.mark.parametrize(
    ("name", "by"), [("anonymous_bytes", 200_000), ("threads", 1), ("files", 1), ("database_bytes", 10**6)]
)
def test_a_server_that_grows_fails_the_soak(name: str, by: int) -> None:
    growing = [replace(each, **{name: getattr(each, name) + by * number}) for number, each in enumerate(FLAT)]
    with pytest.raises(AssertionError, match="server"):
        dict(table(growing, 10.0))
