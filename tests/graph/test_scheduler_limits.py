"""The queue within bounds: how many may wait, how long closing may take, and what is still true after it."""

import asyncio
import threading
from pathlib import Path

import pytest

from graph.events import NodeFailed, NodeFinished, NodeStarted, RunFinished
from graph.jobs import JobRequest
from graph.queue.events import JobFinished, JobRequeued
from graph.queue.scheduler import QueueClosed, QueueFull
from graph.store import JobConflict
from tests.graph.scheduler_toys import PATIENCE_S, House, World, held, live, node, toy


def test_a_full_queue_takes_no_more_but_knows_what_it_has(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        asked = [house.submit(str(number), toy()) for number in range(5)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        full = [error for error in answers if isinstance(error, QueueFull)]
        assert len(full) == 2
        assert "full: 3 jobs wait already. Send this one again" in str(full[0])
        taken = house.scheduler.waiting
        assert (len(taken), house.scheduler.remaining) == (3, 3)
        assert (await house.submit(taken[0], toy())).request.id == taken[0]
        with pytest.raises(JobConflict):
            await house.submit(taken[0], toy("another"))
        await house.scheduler.cancel(taken[0])
        await house.submit("more", toy())
        with pytest.raises(QueueFull):
            await house.scheduler.retry(taken[0])
        assert house.scheduler.remaining == 3
        house.scheduler.resume()
        await house.ends("more", *taken)
        assert house.scheduler.remaining == 0
        await house.scheduler.retry(taken[0])

    live(tmp_path, scenario, waiting_most=3)


def test_the_models_of_a_large_prompt_are_looked_for_in_a_thread(tmp_path: Path) -> None:
    threads: list[int] = []

    def models(request: JobRequest) -> frozenset[str]:
        threads.append(threading.get_ident())
        return frozenset()

    async def scenario(house: House) -> None:
        house.scheduler.pause()
        await house.submit("small", toy())
        await house.submit("large", {str(number): node("Toy") for number in range(1000)})
        assert threads[0] == threading.get_ident() != threads[1]

    live(tmp_path, scenario, models=models)


def test_moved_to_the_front_is_a_rank_also_after_the_next_start(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        for name in ("a1", "a2", "b1", "b2"):
            await house.submit(name, toy(name), client=name[0])
        await house.submit("a3", toy("a3"), client="a", place=-1)
        await house.submit("b3", toy("b3"), client="b", place=2.5)
        await house.scheduler.change("a2", front=True)
        await house.scheduler.change("b2", before="a2")
        assert house.scheduler.waiting == order

    async def afterwards(house: House) -> None:
        house.scheduler.pause()
        assert house.scheduler.waiting == order

    order = ["b2", "a2", "a3", "b3", "a1", "b1"]
    live(tmp_path, scenario)
    live(tmp_path, afterwards, at_once=0)


def test_of_equal_numbers_the_one_that_was_accepted_first_goes_first(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        for name in "zyx":
            await house.submit(name, toy(name), place=1)
        assert house.scheduler.waiting == ["z", "y", "x"]

    live(tmp_path, scenario)


def test_closing_puts_running_jobs_back_and_the_next_start_runs_them(tmp_path: Path) -> None:
    world = World()

    async def first(house: House) -> None:
        await house.submit("a", held("a"))
        await house.submit("b", toy("b"))
        await house.world.reached("a")
        waiter = asyncio.create_task(house.scheduler.wait("a"))
        await asyncio.sleep(0)
        await house.scheduler.close(reason="Closing time.")
        with pytest.raises(QueueClosed):
            await waiter

    async def second(house: House) -> None:
        world.open("a")
        job, _ = await house.ends("a", "b")
        assert (job.state, job.attempts) == ("succeeded", 2)
        told = await asyncio.to_thread(house.journal.since, "a", 0)
        assert any(getattr(entry.event, "reason", "") == "Closing time." for entry in told)

    live(tmp_path, first, world=world, at_once=1)
    live(tmp_path, second, world=world)


def test_closing_may_wait_for_what_runs(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("a", held("a"))
        await house.submit("b", toy("b"))
        await house.world.reached("a")
        closing = asyncio.create_task(house.scheduler.close(drain=True))
        await asyncio.sleep(0)
        house.world.open("a")
        await closing

    async def afterwards(house: House) -> None:
        a, b = await house.ends("a", "b")
        assert (a.state, a.attempts) == ("succeeded", 1)
        assert (b.state, b.attempts) == ("succeeded", 1)

    live(tmp_path, scenario, at_once=1)
    live(tmp_path, afterwards)


def test_closing_does_not_wait_for_ever_for_a_node_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(house: House) -> None:
        for name in ("a", "b"):
            await house.submit(name, {"stuck": node("Stuck", name=name), "keep": node("Keep", value=["stuck", 0])})
        await house.submit("c", held("c"))
        for name in "abc":
            await house.world.reached(name)
        cancelling = asyncio.create_task(house.scheduler.cancel("b", "Not needed."))
        waiting = asyncio.create_task(house.scheduler.wait("a"))
        for _ in range(10):  # until both have been heard
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            await house.scheduler.close(reason="closing", within_s=0.1)
        assert (await cancelling).state == "cancelled"
        with pytest.raises(QueueClosed):
            await waiting
        assert house.scheduler.running == []
        house.world.open("a", "b")  # what hung comes back: that changes nothing any more

    live(tmp_path, scenario)
    assert "Job a did not come back" in caplog.text

    async def afterwards(house: House) -> None:
        house.world.open("a", "c")
        assert [(job.state, job.attempts) for job in await house.ends("a", "b", "c")] == [
            ("succeeded", 2), ("cancelled", 1), ("succeeded", 2),
        ]  # fmt: skip
        for name, last in (
            ("a", JobRequeued("a", "closing")), ("b", JobFinished("b", "cancelled", "Not needed.", ())),
        ):  # fmt: skip
            told = [entry.event for entry in await asyncio.to_thread(house.journal.since, name, 0)]
            place = told.index(last)
            assert NodeStarted(name, "stuck", "stuck", "Stuck") in told[:place]
            assert not any(isinstance(event, NodeFinished | RunFinished) for event in told[:place])

    live(tmp_path, afterwards)


def test_of_a_cancelled_job_it_is_told_which_node_ran(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        prompt = held("a") | {"toy": node("Toy", name="x")}
        prompt["both"] = node("Keep", value=["toy", 0])
        await house.submit("a", prompt)
        await house.world.reached("a")
        await house.scheduler.cancel("a", "Enough.")
        told = [entry.event for entry in await asyncio.to_thread(house.journal.since, "a", 0)]
        begun = {event.node_id for event in told if isinstance(event, NodeStarted)}
        ended = {event.node_id for event in told if isinstance(event, NodeFinished | NodeFailed)}
        assert begun - ended == {"held"}
        run_ended, job_ended = told[-2:]
        assert isinstance(run_ended, RunFinished)
        assert run_ended.status == "cancelled"
        assert job_ended == JobFinished("a", "cancelled", "Enough.", ())

    live(tmp_path, scenario)
