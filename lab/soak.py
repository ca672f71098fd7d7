"""`make soak`: a queue whose process is killed at many random moments, and what is left of it in the end.

A child process works through the queue; this one kills it and starts it again, then compares store and files with what
should be there. The rule for jobs that ran at two deaths stays in force: the next process tries them again, as a person
would who knows that it was not their fault, and the table says how often.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from graph.cache import WeightlessValues
from graph.cache.memory import MemoryCache
from graph.context import Context
from graph.engine import Engine
from graph.jobs import JobRequest
from graph.lanes import Lanes
from graph.node import Node
from graph.paths import Paths
from graph.queue.journal import Journal
from graph.queue.reader import JobReader
from graph.queue.scheduler import Scheduler
from graph.registry import Registry
from graph.store import Store
from graph.widgets import Int, Text

LONGEST_LIFE_S = 0.25
FILES = 3  # of each output node
OUTPUTS = ("a", "b")  # of each job


class Work(Node[str], category="soak"):
    """Takes a while, so that there is a middle to be killed in."""

    seed: str = Text()
    milliseconds: int = Int(default=10)

    lane = "io"

    def run(self, ctx: Context) -> str:
        time.sleep(self.milliseconds / 1000)
        return content(self.seed)


class Write(Node[None], category="soak", output=True):
    """Writes a text as several files, each in two halves."""

    text: str = Text()

    lane = "io"

    def run(self, ctx: Context) -> None:
        series = ctx.series("soak/file")
        for number in range(FILES):
            with series.claim(".txt") as claim, claim.part.open("w") as file:
                file.write(f"{number} {self.text}\n")
                file.flush()
                time.sleep(0.002)
                file.write(self.text)
            ctx.show("files", [claim.entry])


def content(seed: str) -> str:
    """Some kilobytes that nothing else has."""
    return hashlib.sha256(seed.encode()).hexdigest() * 100


def prompt(job_id: str) -> dict[str, Any]:
    """A job: two outputs, one long after the other."""
    nodes: dict[str, Any] = {}
    for name, milliseconds in zip(OUTPUTS, (20, 120), strict=True):
        inputs = {"seed": f"{job_id} {name}", "milliseconds": milliseconds}
        nodes[f"work {name}"] = {"class_type": "Work", "inputs": inputs}
        nodes[name] = {"class_type": "Write", "inputs": {"text": [f"work {name}", 0]}}
    return nodes


# -- the process that is killed


def serve(folder: Path, jobs: int) -> None:
    """Work through the queue; what is in it already is not put there again."""
    registry, paths = Registry(Work, Write), Paths(folder)
    reader = JobReader(registry, paths)
    with Lanes() as lanes:
        engine = Engine(lanes, MemoryCache(10**8, WeightlessValues()), paths, registry=registry)
        print("ready", flush=True)
        store = Store(folder / "queue.sqlite")
        asyncio.run(_work(Scheduler(store, engine.run, reader.plan, Journal(store), models=reader.models), store, jobs))


async def _work(scheduler: Scheduler, store: Store, jobs: int) -> None:
    await scheduler.open()
    failed = await asyncio.to_thread(lambda: store.list(states=["failed"], limit=jobs).jobs)
    await asyncio.gather(*(scheduler.retry(job.request.id) for job in failed))
    print(json.dumps({"retried": len(failed)}), flush=True)
    names = [f"job {number}" for number in range(jobs)]
    for name in names:
        await scheduler.submit(JobRequest(name, prompt(name)))
    await asyncio.gather(*map(scheduler.wait, names))
    await scheduler.close()


# -- the process that kills


def soak(folder: Path, jobs: int, kills: int, seed: int) -> dict[str, object]:
    """Kill so many processes, let the last one end, and compare. Raises AssertionError for any difference."""
    chance = random.Random(seed)
    facts: Counter[str] = Counter()
    for number in range(kills + 1):
        child = subprocess.Popen(
            [sys.executable, "-m", "lab.soak", "serve", str(folder), "--jobs", str(jobs)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        if number < kills:
            time.sleep(chance.uniform(0, LONGEST_LIFE_S))
            child.kill()
        said = child.stdout.read()
        status = child.wait()
        facts["retried after two deaths"] += sum(json.loads(line)["retried"] for line in said.splitlines())
        if number == kills:
            assert status == 0, f"the last process ended with {status}"
            break
        assert status < 0, f"process {number + 1} came to its end before it was killed; give it more jobs"
        with Store(folder / "queue.sqlite") as store:
            running = store.counts()["running"]
        facts["kills"] += 1
        facts["kills while jobs ran"] += bool(running)
        facts["jobs that ran at a kill"] += running
    return {"jobs": jobs, **facts, **_compare(folder, jobs)}


def _compare(folder: Path, jobs: int) -> dict[str, object]:
    with Store(folder / "queue.sqlite") as store:
        found = store.list(limit=jobs + 1).jobs
    assert len(found) == jobs, f"{len(found)} jobs"
    recorded: Counter[Path] = Counter()
    for job in found:
        assert job.state == "succeeded", f"{job.request.id} is {job.state}: {job.reason}"
        assert Counter(each.node_id for each in job.outputs) == Counter(OUTPUTS), job.request.id
        for output in job.outputs:
            text = content(f"{job.request.id} {output.node_id}")
            assert len(output.files) == FILES, (job.request.id, output.files)
            for number, name in enumerate(output.files):
                assert Path(name).read_text() == f"{number} {text}\n{text}", name
                recorded[Path(name)] += 1
    assert set(recorded.values()) == {1}, "two outputs have the same file"
    there = {path for path in (folder / "output").rglob("*") if path.is_file()}
    assert there == set(recorded), f"stray files: {sorted(map(str, there - set(recorded)))}"
    return {
        "succeeded": len(found),
        "outputs recorded once": len(found) * len(OUTPUTS),
        "files of them": len(there),
        "stray files": 0,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="lab.soak", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["serve"], help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    if options.command:
        serve(options.folder, options.jobs)
        return
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        table = soak(Path(folder), options.jobs, options.kills, options.seed)
        table["seconds"] = round(time.monotonic() - began, 1)
    for name, value in table.items():
        print(f"{name:45} {value}")


if __name__ == "__main__":
    main()
