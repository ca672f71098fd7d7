"""Measures the server as clients see it: start, /object_info, /prompt under load, large workflows, previews.

The server is a process of its own, and so are its clients, which take their share of the same processors. Rows of
JSON, which `make bench` collects. Loads are as they were before each case: the more others compute, the less wall times
mean; CPU seconds stay about the same.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from lab.bench_engine import chain, tree, wide
from lab.served import Listener, Prompt, Server, body_of, browsing, listeners, send, server, states, toys

CLIENTS = 50
PROMPTS = 1000
PACE = 50.0  # prompts per second of all clients together
NODES = 5000
AFTER_S = 0.3  # so long what is written after the end of a job is counted with it
PREVIEWS_S = 3.0
STARTS = 3

Row = dict[str, Any]


def trivial(number: int) -> Prompt:
    """Three nodes that nothing remembers."""
    return {
        "1": {"class_type": "Add", "inputs": {"a": number, "b": 1}},
        "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": number}},
        "3": {"class_type": "Show", "inputs": {"value": ["2", 0]}},
    }


def endless(class_type: str, **inputs: object) -> Prompt:
    """A node that works until it is interrupted, and an output that waits for it."""
    return {
        "work": {"class_type": class_type, "inputs": inputs},
        "end": {"class_type": "Show", "inputs": {"value": ["work", 0]}},
    }


# -- start


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def start_row() -> Row:
    """From the start of the process to its first answer, and to the one that says it is ready, of the real server."""
    found: list[Row] = []
    for _ in range(STARTS):
        with (
            tempfile.TemporaryDirectory() as folder,
            server("main.py", "serve", "--port", "0", "--base", folder) as real,
        ):
            row: Row = {}
            for name, path in (("first", "healthz"), ("ready", "readyz")):
                while not answers(f"{real.url}/{path}"):
                    time.sleep(0.01)
                row[f"{name}_wall_s"] = time.perf_counter() - real.started_s
                row[f"{name}_cpu_s"] = real.cpu_s
            found.append(row)
    medians = {key: round(statistics.median(row[key] for row in found), 2) for key in found[0]}
    return {"case": "server start to first answer", "unit": "s", **medians}


def object_info_row() -> Row:
    """All node classes, of the real server."""
    with tempfile.TemporaryDirectory() as folder, server("main.py", "serve", "--port", "0", "--base", folder) as real:
        while not answers(f"{real.url}/readyz"):
            time.sleep(0.05)
        times: list[float] = []
        size = 0
        used = real.cpu_s
        for _ in range(50):
            began = time.perf_counter()
            with urllib.request.urlopen(f"{real.url}/object_info") as answer:
                body = answer.read()
            times.append((time.perf_counter() - began) * 1e3)
            size = len(body)
        used = real.cpu_s - used
    median = round(statistics.median(times), 1)
    cpu_ms = round(used * 1e3 / len(times), 1)
    return {
        "case": "server /object_info", "unit": "ms", "first_ms": round(times[0], 1), "median_ms": median,
        "cpu_ms": cpu_ms, "bytes": size, "classes": len(json.loads(body)),
    }  # fmt: skip


# -- /prompt under load


async def closed_loop(session: aiohttp.ClientSession, clients: list[Listener]) -> list[float]:
    """Each client sends its next prompt when the last one is accepted; how long each took, in seconds."""
    times: list[float] = []

    async def one(number: int, client: Listener) -> None:
        for each in range(PROMPTS // CLIENTS):
            body = body_of(client.id, trivial(number * 10_000 + each))
            began = time.perf_counter()
            await send(session, client.id, body)
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(one(number, client) for number, client in enumerate(clients)))
    return times


async def paced(session: aiohttp.ClientSession, clients: list[Listener]) -> list[float]:
    """So many prompts per second, whatever the answers; how long each took from when it was due, in seconds."""
    times: list[float] = []
    began = time.perf_counter()

    async def one(number: int) -> None:
        due = began + number / PACE
        await asyncio.sleep(due - time.perf_counter())
        client = clients[number % CLIENTS]
        await send(session, client.id, body_of(client.id, trivial(number + 10**7)))
        times.append(time.perf_counter() - due)

    await asyncio.gather(*(one(number) for number in range(PROMPTS)))
    return times


Sending = Callable[[aiohttp.ClientSession, list[Listener]], Awaitable[list[float]]]


async def load_row(toy: Server, how: Sending, beside: str | None) -> Row:
    """A thousand prompts from fifty clients with a WebSocket each, beside a job that computes."""
    async with browsing(toy) as session, listeners(session, [f"client {n}" for n in range(CLIENTS)]) as clients:
        busy = await send(session, "busy", body_of("busy", endless("Busy", kind=beside))) if beside else None
        wall, used, own = time.perf_counter(), toy.cpu_s, time.process_time()
        times = sorted(await how(session, clients))
        accepted = time.perf_counter() - wall
        await asyncio.gather(*(client.until_over(PROMPTS // CLIENTS) for client in clients))
        wall, used, own = time.perf_counter() - wall, toy.cpu_s - used, time.process_time() - own
        if busy:
            await session.post("/interrupt", json={"prompt_id": busy})
        for client in clients:
            client.check_order(PROMPTS // CLIENTS)
        ended = await states(session)
        assert ended["success"] == PROMPTS, f"lost: {ended}"
    places = {"p50_ms": 0.5, "p99_ms": 0.99}
    found = {name: round(times[int(len(times) * place)] * 1e3, 1) for name, place in places.items()}
    names = {"python": "plain Python", "kernels": "kernels"}
    return {
        "case": f"server {PROMPTS} prompts {'paced' if how is paced else 'closed loop'}, beside "
        + (names[beside] if beside else "nothing"),
        "unit": "ms", **found, "max_ms": round(times[-1] * 1e3, 1), "accepted_s": round(accepted, 2),
        "wall_s": round(wall, 2), "server_cpu_s": round(used, 2), "client_cpu_s": round(own, 2),
        "messages": sum(len(each.messages) for each in clients), "load": load(),
    }  # fmt: skip


# -- large workflows


async def nodes_row(toy: Server, shape: str, prompt: Prompt) -> Row:
    """A workflow of trivial nodes, told to a WebSocket; and the same again, when all is remembered."""
    row: Row = {"case": f"server {len(prompt)} nodes, {shape}", "unit": "CPU s of the server"}
    async with browsing(toy) as session:
        for name in ("first", "again"):
            async with listeners(session, ["large"]) as [client]:
                body = body_of("large", prompt)
                used, own = toy.cpu_s, time.process_time()
                await send(session, "large", body)
                await client.until_over(1)
                await asyncio.sleep(AFTER_S)
                row[f"{name}_cpu_s"] = round(toy.cpu_s - used, 2)
                row[f"{name}_client_cpu_s"] = round(time.process_time() - own, 2)
                row[f"{name}_messages"] = len(client.messages)
                row[f"{name}_megabytes"] = round(client.received_bytes / 1e6, 2)
                client.check_order(1)
        ended = await states(session)
        assert ended.keys() == {"success"}, ended
    return row | {"load": load()}


# -- previews


async def previews_row(toy: Server, milliseconds: int) -> Row:
    """Pictures of a node that offers one after each step."""
    async with browsing(toy) as session, listeners(session, ["watcher"]) as [client]:
        job = await send(session, "watcher", body_of("watcher", endless("Paint", milliseconds=milliseconds)))
        async with asyncio.timeout(60):
            while not client.previews:
                await asyncio.sleep(0.01)
        before, used, wall = client.previews, toy.cpu_s, time.perf_counter()
        await asyncio.sleep(PREVIEWS_S)
        frames, used, wall = client.previews - before, toy.cpu_s - used, time.perf_counter() - wall
        steps = sum('"type":"progress"' in each for each in client.messages)
        await session.post("/interrupt", json={"prompt_id": job})
    return {
        "case": f"server previews, a step takes {milliseconds} ms", "unit": "frames per second",
        "frames_per_s": round(frames / wall, 1), "server_cpu_ms_per_frame": round(used / frames * 1e3, 2),
        "server_cpu_share": round(used / wall, 2), "progress_messages": steps, "load": load(),
    }  # fmt: skip


def load() -> float:
    """How many threads of the whole machine want a processor, over the last minute."""
    return round(os.getloadavg()[0], 2)


# -- all of it


def with_toys(measure: Callable[[Server], Awaitable[Row]]) -> Row:
    """A row that a fresh server gives."""

    async def run(toy: Server) -> Row:
        return await measure(toy)

    with tempfile.TemporaryDirectory() as folder, toys(Path(folder)) as toy:
        return asyncio.run(run(toy))


def cases() -> Iterator[tuple[str, Callable[[], Row]]]:
    """The name of each measurement, and what gives its row."""
    yield "start", start_row
    yield "object_info", object_info_row
    for how in (closed_loop, paced):
        for beside in (None, "python", "kernels"):
            yield f"{how.__name__} {beside}", partial(with_toys, partial(load_row, how=how, beside=beside))
    for shape in (chain, wide, tree):
        prompt, _ = shape(NODES)
        yield f"nodes {shape.__name__}", partial(with_toys, partial(nodes_row, shape=shape.__name__, prompt=prompt))
    for milliseconds in (0, 20):
        yield f"previews {milliseconds}", partial(with_toys, partial(previews_row, milliseconds=milliseconds))


def main() -> None:
    """Measure everything, or what contains the argument."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench_server", description=__doc__)
    parser.add_argument("only", nargs="?", default="")
    only = parser.parse_args().only
    for name, measure in cases():
        if only in name:
            print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main()
