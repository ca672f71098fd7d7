"""Measures the job store with 100,000 jobs: milliseconds to accept one, to list, search and count; bytes on disk."""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from graph.jobs import OVER, Job, JobOutput, JobRequest
from graph.store import Store, StoreLimits

JOBS = 100_000
WAITING = 500  # jobs that are under way at once while the store fills
COPIES = 20  # of the jobs that were really put through
WORDS = (
    "a the of in with portrait landscape mountain river castle dragon cat dog robot city forest desert ocean sunset "
    "rain night snow light shadow golden silver red blue green dark bright soft sharp detailed cinematic photo paint"
)


def request(number: int, chance: random.Random) -> JobRequest:
    """A text-to-image workflow with a prompt of its own, and one word that only it has."""
    text = " ".join(chance.choices(WORDS.split(), k=25)) + f" unique{number}"

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


def fill(file: Path, jobs: int, chance: random.Random) -> float:
    """Put jobs into a new store, nine of ten of them to their end; gives how many it took in a second."""
    started = time.perf_counter()
    with Store(file) as store:
        requests = (request(number, chance) for number in range(jobs))
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
    return jobs / (time.perf_counter() - started)


def multiply(file: Path, jobs: int, times: int) -> None:
    """Copy the jobs of a closed store so often, under other ids and words, at once: filling it would take minutes."""
    db = sqlite3.connect(file)
    for copy in range(1, times):
        ahead = copy * jobs
        db.execute(
            "INSERT INTO jobs SELECT seq + :ahead, id || '-' || :copy, state, priority, place + :ahead, client, "
            "created_s, started_s, ended_s, ended + :ahead, attempts, deaths, reason, problems, front FROM jobs "
            "WHERE seq <= :jobs",
            {"ahead": ahead, "copy": copy, "jobs": jobs},
        )
        for table, rest in (
            ("requests", "prompt, extra_pnginfo, asked, extra"),
            ("outputs", "node_id, display_id, ui, files"),
        ):
            db.execute(f"INSERT INTO {table} SELECT seq + ?, {rest} FROM {table} WHERE seq <= ?", (ahead, jobs))
        db.execute(
            "INSERT INTO words (rowid, text) SELECT rowid + ?, replace(text, 'unique', 'unique' || ? || 'x') "
            "FROM words WHERE rowid <= ?",
            (ahead, copy, jobs),
        )
    db.execute("UPDATE counter SET place = place * ?", (times,))
    db.commit()
    db.close()


def measured(what: str, jobs: int, work: Callable[[], object], times: int) -> dict[str, object]:
    """One row: milliseconds of wall time, the median and the slowest of them."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1e3)
    taken.sort()
    median, slow = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    row = {"median_ms": round(median, 2), "p99_ms": round(slow, 2)}
    return {"case": f"store {what}", "jobs": jobs, "unit": "ms", **row}


@contextmanager
def busy(turn_s: float, threads: int = 2) -> Iterator[None]:
    """Beside it, threads compute in plain Python, as nodes may do, and take turns of that length."""
    usual, ended = sys.getswitchinterval(), threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(number for number in range(1000))

    at_work = [threading.Thread(target=compute) for _ in range(threads)]
    sys.setswitchinterval(turn_s)
    try:
        for each in at_work:
            each.start()
        yield
    finally:
        ended.set()
        sys.setswitchinterval(usual)
        for each in at_work:
            each.join()


def store_cases(jobs: int = JOBS) -> Iterator[dict[str, object]]:
    """A row for each thing that people do, with that many jobs in the store."""
    chance = random.Random(1)
    numbers = count(jobs)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "queue.sqlite"
        rate = fill(file, jobs // COPIES, chance)
        multiply(file, jobs // COPIES, COPIES)
        started = time.perf_counter()
        with Store(file, limits=StoreLimits(finished=2 * jobs)) as store:
            opened = (time.perf_counter() - started) * 1e3
            yield {
                "case": "store open", "jobs": sum(store.counts().values()), "unit": "ms", "open_ms": round(opened),
                "whole_lives_per_second": round(rate), "bytes_per_job": file.stat().st_size // jobs,
            }  # fmt: skip
            ways: list[tuple[str, Callable[[], object], int]] = [
                ("accept one", lambda: store.add(request(next(numbers), chance)).result(), 500),
                ("list 100 newest", store.list, 50),
                ("list 100 failed", lambda: store.list(states=["failed"]), 50),
                ("list 100 failed, by their end", lambda: store.list(states=["failed"], by="ended"), 50),
                ("list 100 of a client", lambda: store.list(client="client-8", states=["succeeded"]), 50),
                ("list 100 from the middle", lambda: store.list(after=jobs // 2), 50),
                ("skip nearly all", lambda: store.list(offset=jobs - 1000), 50),
                ("skip half of those that are over", lambda: store.list(states=OVER, offset=jobs // 2), 50),
                ("search a rare word", lambda: store.search(f"unique3x{chance.randrange(jobs // COPIES)}"), 50),
                ("search two common words", lambda: store.search("dragon castle"), 50),
                ("search words with signs", lambda: store.search("model_3.safetensors set42/picture"), 50),
                ("search one letter", lambda: store.search("s"), 20),
                ("search two letters", lambda: store.search("sa"), 20),
                ("search what is not there", lambda: store.search("dragon nowhere"), 50),
                ("counts", store.counts, 50),
                ("one by its id", lambda: store.get(f"job-{chance.randrange(jobs // COPIES):06}"), 50),
                ("move to the front", lambda: store.change("job-000007", front=True).result(), 50),
                ("move before another", lambda: store.change("job-000007", before="job-000107").result(), 50),
                ("all that wait", store.pending, 3),
            ]
            for what, work, times in ways:
                yield measured(what, jobs, work, times)
            for turn_ms in (5, 0.5):  # Python's own, and main.py's
                with busy(turn_ms / 1e3):
                    yield measured(f"accept one beside 2 busy threads, turns of {turn_ms} ms", jobs, ways[0][1], 20)


if __name__ == "__main__":
    for each in store_cases():
        print(json.dumps(each), flush=True)
