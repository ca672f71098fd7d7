"""The queue when things around it fail: the store, the run, the process."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from graph import Context, Node, Registry
from graph.queue.events import JobFinished, JobRequeued
from graph.queue.journal import LEAP
from graph.store import StoreError
from tests.graph.scheduler_toys import PATIENCE_S, REGISTRY, House, World, held, live, node, toy

HOUSE = Path(__file__).resolve().parents[2]


class Lock:
    """Another program that keeps the queue's file locked."""

    def __init__(self, house: House) -> None:
        self.db = sqlite3.connect(house.store.file, isolation_level=None, timeout=PATIENCE_S)
        self.db.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self.db.execute("ROLLBACK")
        self.db.close()


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Returns when the log says so."""
    async with asyncio.timeout(PATIENCE_S):
        while text not in caplog.text:
            await asyncio.sleep(0)


def test_what_is_not_on_disk_is_not_accepted(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        lock = Lock(house)
        with pytest.raises(StoreError, match="locked"):
            await house.submit("a", toy("a"))
        lock.let_go()
        assert house.scheduler.waiting == []
        await house.submit("a", toy("a"))
        await house.ends("a")

    live(tmp_path, scenario, busy_s=0.01)


def test_a_job_that_cannot_begin_waits_until_the_store_can_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        await house.submit("a", toy("a"))
        lock = Lock(house)
        house.scheduler.resume()
        await said(caplog, "Job a cannot begin: Another program keeps the queue")
        assert await asyncio.to_thread(lambda: [job.request.id for job in house.store.pending()]) == ["a"]
        assert house.world.ran == []
        lock.let_go()
        house.scheduler.resume()
        assert [job.state for job in await house.ends("a")] == ["succeeded"]

    live(tmp_path, scenario, busy_s=0.01, again_s=PATIENCE_S)


def test_the_store_is_asked_again_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        await house.submit("a", toy("a"))
        lock = Lock(house)
        house.scheduler.resume()
        await said(caplog, "Job a cannot begin")
        lock.let_go()
        await house.ends("a")

    live(tmp_path, scenario, busy_s=0.01, again_s=0.01)


def test_an_end_that_cannot_be_written_is_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(house: House) -> None:
        await house.submit(
            "a", {"held": node("Held", name="gate"), "toy": node("Toy", name="x")}, targets=("held", "toy")
        )
        await house.world.reached("gate")
        lock = Lock(house)
        house.world.open("gate")
        await said(caplog, "The end of job a (succeeded) cannot be written down")
        assert house.scheduler.running == ["a"]
        lock.let_go()
        house.scheduler.resume()
        assert [job.state for job in await house.ends("a")] == ["succeeded"]

    live(tmp_path, scenario, busy_s=0.01, again_s=PATIENCE_S)


def test_closing_does_not_wait_for_a_store_that_cannot_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    async def first(house: House) -> None:
        await house.submit("a", held("gate"))
        await world.reached("gate")
        lock = Lock(house)
        async with asyncio.timeout(PATIENCE_S):
            await house.scheduler.close()
        lock.let_go()

    async def second(house: House) -> None:
        world.open("gate")
        [job] = await house.ends("a")
        assert (job.state, job.attempts) == ("succeeded", 2)

    live(tmp_path, first, world=world, busy_s=0.01)
    live(tmp_path, second, world=world)


class Lost(Node[int], category="toys"):
    """Wants a lane that no engine has."""

    lane = "nowhere"  # type: ignore[assignment]

    def run(self, ctx: Context) -> int:
        return 1


def test_a_run_that_breaks_off_fails_the_job_and_the_queue_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(house: House) -> None:
        await house.submit("a", {"lost": node("Lost"), "keep": node("Keep", value=["lost", 0])})
        await house.submit("b", toy("b"))
        a, b = await house.ends("a", "b")
        assert (a.state, b.state) == ("failed", "succeeded")
        assert "The run broke off: LookupError: there is no lane" in a.reason

    live(tmp_path, scenario, at_once=1, registry=Registry(Lost, *REGISTRY.values()))
    assert "Job a broke off" in caplog.text


def test_after_an_abrupt_end_a_job_begins_again_and_repeats_no_recorded_output(tmp_path: Path) -> None:
    world = World()
    prompt = toy("x", 7) | {"held": node("Held", name="gate"), "late": node("Keep", value=["held", 0], prefix="late")}

    async def dies(house: House) -> None:
        await house.submit("a", prompt)
        await world.reached("gate")
        async with asyncio.timeout(PATIENCE_S):
            while not (job := await asyncio.to_thread(house.store.get, "a")) or not job.outputs:
                await asyncio.sleep(0)

    async def afterwards(house: House) -> None:
        told = await asyncio.to_thread(house.journal.since, "a", 0)
        again = next(entry for entry in told if isinstance(entry.event, JobRequeued))
        assert again.sequence == LEAP
        assert "stopped while this job ran" in again.event.reason
        world.open("gate")
        [job] = await house.ends("a")
        assert (job.state, job.attempts) == ("succeeded", 2)
        assert [output.node_id for output in job.outputs] == ["keep", "late"]
        assert house.kept() == {"kept_00001_.txt": "7", "late_00001_.txt": "1"}

    live(tmp_path, dies, world=world, dies=True)
    world.ran.clear()
    live(tmp_path, afterwards, world=world)
    assert sorted(world.ran) == ["gate", "keep late"]


def test_a_task_that_died_between_two_files_writes_them_under_the_same_names(tmp_path: Path) -> None:
    world = World()

    async def dies(house: House) -> None:
        await house.submit("a", {"two": node("KeepTwo", name="gate")})
        await world.reached("gate")
        assert house.kept() == {"gate_00001_.txt": "1"}

    async def afterwards(house: House) -> None:
        world.open("gate")
        [job] = await house.ends("a")
        assert [Path(file).name for file in job.outputs[0].files] == ["gate_00001_.txt", "gate_00002_.txt"]
        assert house.kept() == {"gate_00001_.txt": "1", "gate_00002_.txt": "2"}

    live(tmp_path, dies, world=world, dies=True)
    live(tmp_path, afterwards, world=world)


def test_a_job_that_ran_at_two_deaths_fails_with_that_reason_and_may_be_tried_again(tmp_path: Path) -> None:
    world = World()

    async def dies(house: House) -> None:
        if not world.ran:
            await house.submit("a", held("gate"))
        await world.reached("gate")
        world.gates["gate"].reached.clear()

    async def afterwards(house: House) -> None:
        [job] = await house.ends("a")
        assert job.state == "failed"
        assert "died 2 times while this job ran" in job.reason
        told = await asyncio.to_thread(house.journal.since, "a", 0)
        assert told[-1].event == JobFinished("a", "failed", job.reason, ())
        await house.scheduler.retry("a")
        world.open("gate")
        assert [job.state for job in await house.ends("a")] == ["succeeded"]

    live(tmp_path, dies, world=world, dies=True)
    live(tmp_path, dies, world=world, dies=True)
    live(tmp_path, afterwards, world=world)


def test_jobs_that_ran_at_a_death_run_alone_so_that_a_bad_one_takes_no_good_ones_with_it(tmp_path: Path) -> None:
    """Job "bad" kills the process whenever it runs."""
    world = World()
    deaths = 0

    async def life(house: House) -> None:
        nonlocal deaths
        if not deaths:
            for name in ("good1", "bad", "good2"):
                await house.submit(name, held(name))
        elif deaths == 1:
            await world.reached("good1")
            assert house.scheduler.running == ["good1"]
            world.open("good1")
        await world.reached("bad")
        if not deaths:
            await world.reached("good1")
            await world.reached("good2")
            for gate in world.gates.values():
                gate.reached.clear()
        deaths += 1

    async def afterwards(house: House) -> None:
        world.open("good2")
        good1, bad, good2 = await house.ends("good1", "bad", "good2")
        assert [job.state for job in (good1, bad, good2)] == ["succeeded", "failed", "succeeded"]
        assert "died 2 times" in bad.reason

    live(tmp_path, life, world=world, dies=True)
    live(tmp_path, life, world=world, dies=True)
    live(tmp_path, afterwards, world=world)


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.graph.scheduler_toys import House, held, live, node, toy

async def scenario(house: House) -> None:
    await house.submit("over", toy("over", 1))
    await house.ends("over")
    await house.submit("runs", held("gate"))
    await house.submit("waits", toy("waits", 2))
    await house.world.reached("gate")
    print("ready", flush=True)
    await asyncio.Event().wait()

live(Path(sys.argv[1]), scenario, at_once=1)
"""


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.graph.scheduler_toys import House, live, node, toy

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def scenario(house: House) -> None:
    await house.submit("before", toy("before"))
    await house.ends("before")
    used = house.store.file.with_name(house.store.file.name + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (used + 2_000_000, resource.RLIM_INFINITY))
    await house.submit("loud", {"loud": node("Loud", size=4_000_000)})
    await house.submit("small", toy("small"))
    for job in await house.ends("loud", "small"):
        print(job.state, job.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await house.scheduler.retry("loud")
    print((await house.ends("loud"))[0].state)

live(Path(sys.argv[1]), scenario)
"""


def python(code: str, folder: Path) -> "subprocess.Popen[str]":
    """Another process that runs this."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=HOUSE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
    )  # fmt: skip


def test_on_a_full_disk_a_job_fails_whose_output_cannot_be_recorded_and_no_other(tmp_path: Path) -> None:
    """The disk is full for this process alone: its files may not grow."""
    loud, small, again = python(FULL, tmp_path).communicate(timeout=PATIENCE_S)[0].splitlines()
    assert loud.startswith("failed What it made could not be recorded: ")
    assert small == "succeeded "
    assert again == "succeeded"


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    child = python(CHILD, tmp_path)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait(PATIENCE_S)
    child.stdout.close()

    async def afterwards(house: House) -> None:
        house.world.open("gate")
        over, runs, waits = await house.ends("over", "runs", "waits")
        assert [job.state for job in (over, runs, waits)] == ["succeeded"] * 3
        assert [job.attempts for job in (over, runs, waits)] == [1, 2, 1]
        assert house.kept() == {"kept_00001_.txt": "1", "kept_00002_.txt": "1", "kept_00003_.txt": "2"}

    live(tmp_path, afterwards, at_once=1)
