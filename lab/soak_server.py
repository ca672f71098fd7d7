"""The second part of `make soak`: a server at work for thousands of small jobs, whose memory must not grow.

Clients with WebSockets send jobs one after another, connect anew now and then, and look at the history. The server
keeps little history and few results, so that what it holds should soon be all it ever holds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp

from lab.bench_server import trivial
from lab.served import Listener, Server, body_of, browsing, connected, send, toys

CLIENTS = 8
STAY = 50  # jobs that a client sends before it connects anew
HISTORY = 500  # jobs that are over and are kept
MEMORY_BYTES = 2**20  # for results
WARM_UP = 2000  # jobs after which nothing should be new
SAMPLES = 40  # of the jobs after these
GROWTH_MOST_BYTES = 4 * 2**20  # over all of them: what an allocator may need for its own disorder
DATABASE_TIMES = 1.5  # as large as after the warming up


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's state after so many jobs."""

    jobs: int
    anonymous_bytes: int
    threads: int
    files: int
    database_bytes: int


async def soak(server: Server, folder: Path, jobs: int) -> list[Sample]:
    """Put so many jobs through the server; its state from after the warming up to the end."""
    numbers = count()
    samples: list[Sample] = []
    every = max(1, (jobs - WARM_UP) // SAMPLES)
    done = 0

    def take_sample() -> None:
        database_bytes = sum(path.stat().st_size for path in folder.glob("queue.sqlite*"))
        samples.append(Sample(done, **server.facts(), database_bytes=database_bytes))

    async def stay(session: aiohttp.ClientSession, client: Listener) -> None:
        nonlocal done
        sent = 0
        while sent < STAY and next(numbers) < jobs:
            await send(session, client.id, body_of(client.id, trivial(int(time.time_ns() % 2**40))))
            sent += 1
            await client.until_over(sent)
            done += 1
            if done >= WARM_UP and done % every == 0:
                take_sample()
        client.check_order(sent)

    async def live(session: aiohttp.ClientSession, name: str) -> None:
        while done < jobs - CLIENTS:
            async with connected(session, name) as client:
                await stay(session, client)
            async with session.get("/history", params={"max_items": "20"}) as answer:
                found = await answer.json()
                assert {entry["status"]["status_str"] for entry in found.values()} == {"success"}, found

    async with browsing(server) as session:
        await asyncio.gather(*(live(session, f"client {number}") for number in range(CLIENTS)))
        async with session.get("/queue") as answer:
            assert await answer.json() == {"queue_running": [], "queue_pending": []}
    take_sample()
    return samples


def table(samples: list[Sample], seconds: float) -> Iterator[tuple[str, object]]:
    """What came of it. Raises AssertionError if anything has grown."""
    jobs = [each.jobs for each in samples]
    memory = [each.anonymous_bytes for each in samples]
    quarter = max(1, len(samples) // 4)
    first, last = statistics.median(memory[:quarter]), statistics.median(memory[-quarter:])
    slope = statistics.linear_regression(jobs, memory).slope * 1000
    yield "jobs", jobs[-1]
    yield "jobs per second", round(jobs[-1] / seconds)
    yield f"memory after {jobs[0]} jobs, MB", round(memory[0] / 1e6, 1)
    yield "memory at the end, MB", round(memory[-1] / 1e6, 1)
    yield "memory, from the lowest to the highest, MB", f"{min(memory) / 1e6:.1f} to {max(memory) / 1e6:.1f}"
    yield "growth per 1,000 jobs, kB", round(slope / 1e3, 1)
    yield "threads", f"{min(each.threads for each in samples)} to {max(each.threads for each in samples)}"
    yield "open files", f"{min(each.files for each in samples)} to {max(each.files for each in samples)}"
    database = [each.database_bytes for each in samples]
    yield "queue on disk, MB", f"{min(database) / 1e6:.1f} to {max(database) / 1e6:.1f}"
    assert last - first < GROWTH_MOST_BYTES, f"the server's memory has grown by {(last - first) / 1e6:.1f} MB"
    assert samples[-1].threads <= samples[0].threads + CLIENTS, "the server has ever more threads"
    assert samples[-1].files <= samples[0].files + CLIENTS, "the server has ever more open files"
    assert database[-1] < DATABASE_TIMES * database[0], "the server's queue takes ever more of the disk"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.soak_server", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    jobs = max(parser.parse_args().jobs, WARM_UP + SAMPLES)
    options = ("--history-most", str(HISTORY), "--memory", str(MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as folder, toys(Path(folder), *options) as server:
        began, used = time.perf_counter(), server.cpu_s
        samples = asyncio.run(soak(server, Path(folder), jobs))
        seconds, used = time.perf_counter() - began, server.cpu_s - used
    for name, value in table(samples, seconds):
        print(f"{name:45} {value}")
    print(f"{'CPU of the server, ms per job':45} {used / jobs * 1e3:.1f}")


if __name__ == "__main__":
    main()
