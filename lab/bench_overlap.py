"""Shows what the lanes do at the same time, each with a trace: branches that wait, and saving while others denoise."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodes
from graph.context import Context
from graph.library import Session
from graph.node import Node
from graph.paths import Paths
from graph.read.api import parse_json, read_api
from graph.registry import Registry
from graph.widgets import Float, Int
from lab.trace import Trace
from nodes.surroundings import surroundings

ROOT = Path(__file__).resolve().parents[1]
SLEEP_S = 0.2
BRANCHES = 8


class Sleep(Node[int], category="bench"):
    """Waits, as for a file from afar."""

    number: int = Int(default=0)
    seconds: float = Float(default=SLEEP_S, optional=True)

    lane = "io"

    def run(self, ctx: Context) -> int:
        time.sleep(self.seconds)
        return self.number


def fan(branches: int) -> tuple[float, Trace]:
    """Wall seconds of so many branches that sleep in the IO lane, and the trace."""
    prompt = {f"branch {n}": {"class_type": "Sleep", "inputs": {"number": n}} for n in range(branches)}
    with tempfile.TemporaryDirectory() as folder, Session(Registry(Sleep), Paths(Path(folder))) as session:
        tasks = session.plan(read_api(prompt), list(prompt))
        trace, began = Trace(), time.perf_counter()
        asyncio.run(session.engine.run(tasks, sink=trace.sink, run_id="fan"))
        return time.perf_counter() - began, trace


def fan_row() -> dict[str, Any]:
    """Eight branches that sleep, beside one."""
    (one_s, _), (all_s, trace) = fan(1), fan(BRANCHES)
    times = {"one_ms": round(one_s * 1e3, 1), "all_ms": round(all_s * 1e3, 1)}
    return {"case": f"overlap fan of {BRANCHES}", "nodes": BRANCHES, "unit": "wall ms", **times, "trace": trace.lines()}


def saving_row() -> dict[str, Any]:
    """Two jobs of the bundled checkpoint, the second of which denoises while the picture of the first is saved."""
    prompt = parse_json((ROOT / "workflows" / "text_to_image.json").read_bytes())
    steps = {"one": 4, "two": 12}

    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(ROOT, output_folder=Path(folder), temp_folder=Path(folder))
        with Session(Registry.scan(nodes), paths, surroundings()) as session:
            trace = Trace()

            async def job(name: str) -> None:
                sampler = {**prompt["sampler"], "inputs": {**prompt["sampler"]["inputs"], "steps": steps[name]}}
                document = read_api({**prompt, "sampler": sampler})
                result = await session.engine.run(session.plan(document), sink=trace.sink, run_id=name)
                assert not result.failures, result.failures

            async def both() -> None:
                await asyncio.gather(*map(job, steps))

            asyncio.run(both())
    overlap_ms = round(trace.overlap("io", "device") * 1e3, 1)
    return {
        "case": "overlap saving",
        "nodes": 14,
        "unit": "wall ms",
        "both_at_work_ms": overlap_ms,
        "trace": trace.lines(),
    }


def overlap_cases() -> Iterator[dict[str, Any]]:
    """A row for each."""
    yield fan_row()
    yield saving_row()


if __name__ == "__main__":
    for each in overlap_cases():
        print(json.dumps(each), flush=True)
