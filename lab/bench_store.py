"""Measures the job store with 100,000 jobs in it: milliseconds to accept one, to list, search and count; bytes on disk."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import Any

from graph.jobs import Job, JobOutput, JobRequest
from graph.store import Store

JOBS = 100_000
WAITING = 2_000  # writes that are under way at once while the store fills
WORDS = (
    "a the of in with portrait landscape mountain river castle dragon cat dog robot city forest desert ocean sunset night "
    "rain snow light shadow golden silver red blue green dark bright soft sharp detailed cinematic photo painting sketch"
).split()


def request(number: int, chance: random.Random) -> JobRequest:
    """A text-to-image workflow with a prompt of its own, and one word that only it has."""
    text = " ".join(chance.choices(WORDS, k=25)) + f" unique{number}"

    def node(class_type: str, **inputs: object) -> dict[str, Any]:
        return {"class_type": class_type, "inputs": inputs, "_meta": {"title": class_type}}

    prompt = {
        "3": node(
            "KSampler", seed=chance.getrandbits(64), steps=20, cfg=7.5, sampler_name="euler", scheduler="normal",
            denoise=1.0, model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name=f"model_{number % 7}.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=512, batch_size=1),
        "6": node("CLIPTextEncode", text=text, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="bad hands, blurry, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix=f"set{number % 100}/picture", images=["8", 0]),
    }  # fmt: skip
    return JobRequest(f"job-{number:06}", prompt, client=f"client-{number % 50}", priority=number % 3)


def fill(store: Store, requests: Iterator[JobRequest]) -> None:
    """Put jobs into the store, nine of ten of them to their end."""
    while some := list(islice(requests, WAITING)):
        last: Future[Job] | None = None
        for each in some:
            last = store.add(each)
            if not each.id.endswith("7"):
                image = {"filename": f"{each.id}.png", "subfolder": "", "type": "output"}
                store.start(each.id)
                store.finish_task(each.id, JobOutput("9", "9", {"images": [image]}, (f"/output/{each.id}.png",)))
                last = store.finish(each.id, "failed" if each.id.endswith("99") else "succeeded")
        assert last
        last.result()


def measured(what: str, jobs: int, work: Callable[[], object], times: int) -> dict[str, object]:
    """One row: milliseconds of wall time, the median and the slowest of a hundred."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1e3)
    taken.sort()
    median, slow = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    row = {"median_ms": round(median, 2), "p99_ms": round(slow, 2)}
    return {"case": f"store {what}", "jobs": jobs, "unit": "ms", **row}


def store_cases(jobs: int = JOBS) -> Iterator[dict[str, object]]:
    """A row for each thing that people do, with that many jobs in the store."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "queue.sqlite"
        started = time.perf_counter()
        with Store(file) as store:
            fill(store, (request(number, chance) for number in range(jobs)))
        filled = time.perf_counter()
        with Store(file) as store:
            opened = time.perf_counter()
            yield {
                "case": "store open", "jobs": jobs, "unit": "ms", "open_ms": round((opened - filled) * 1e3),
                "filled_per_second": round(jobs / (filled - started)), "bytes_per_job": file.stat().st_size // jobs,
            }  # fmt: skip
            numbers = iter(range(jobs, 2 * jobs))
            row = lambda what, work, times=50: measured(what, jobs, work, times)  # noqa: E731
            yield row("accept one", lambda: store.add(request(next(numbers), chance)).result(), 500)
            yield row("list 100 newest", store.list)
            yield row("list 100 failed", lambda: store.list(states=["failed"]))
            yield row("list 100 by end, failed", lambda: store.list(states=["failed"], by="ended"))
            yield row("list 100 of a client", lambda: store.list(client="client-7", states=["succeeded"]))
            yield row("list 100 from the middle", lambda: store.list(after=jobs // 2))
            yield row("search one", lambda: store.search(f"unique{chance.randrange(jobs)}"))
            yield row("search two common words", lambda: store.search("dragon castle"))
            yield row("search a phrase with signs", lambda: store.search("model_3.safetensors set42/picture"))
            yield row("search one letter", lambda: store.search("s"))
            yield row("search nothing", lambda: store.search("dragon nowheretobefound"))
            yield row("counts", store.counts)
            yield row("one by id", lambda: store.get(f"job-{chance.randrange(jobs):06}"))
            yield row("move to the front", lambda: store.change("job-000007", front=True).result())
            yield row("all that wait", store.pending, 3)


if __name__ == "__main__":
    for each in store_cases(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS):
        print(json.dumps(each), flush=True)
