"""The queue at work: what runs when, how jobs end, what may be asked for."""

import asyncio
from pathlib import Path

import pytest

from graph.events import NodeFinished, NodeStarted, RunFinished, RunStarted
from graph.queue.events import JobDeleted, JobFinished, JobMoved, JobQueued, JobStarted
from graph.queue.journal import Numbered
from graph.queue.scheduler import NoSuchJob
from graph.queue.waiting import OVERTAKEN_MOST
from graph.store import JobConflict, StoreError
from tests.graph.scheduler_toys import PATIENCE_S, REGISTRY, House, held, live, loading, node, toy


def test_a_job_runs_and_its_output_is_on_record(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        accepted = await house.submit("a", toy("x", 3))
        assert accepted.state == "pending"
        [job] = await house.ends("a")
        assert (job.state, job.attempts, job.reason) == ("succeeded", 1, "")
        [output] = job.outputs
        assert output.node_id == "keep"
        assert [Path(file).read_text() for file in output.files] == ["3"]
        assert output.ui == {"files": [{"filename": "kept_00001_.txt", "subfolder": "", "type": "output"}]}
        assert house.store.get("a") == job

    live(tmp_path, scenario)


def test_the_events_of_a_job_come_in_order_from_one(tmp_path: Path) -> None:
    heard: list[Numbered] = []

    async def scenario(house: House) -> None:
        house.journal.subscribe(heard.append)
        await house.submit("a", toy("x", 3))
        await house.ends("a")
        told = await asyncio.to_thread(house.journal.since, "a", 0)
        kinds = [type(entry.event) for entry in told]
        a_node = [NodeStarted, NodeFinished]
        run = [kind for kind in kinds[2:-1] if kind in (RunStarted, *a_node, RunFinished)]
        assert kinds[:2] == [JobQueued, JobStarted]
        assert run == [RunStarted, *a_node, *a_node, RunFinished]
        assert told[-1].event == JobFinished("a", "succeeded", "", ())
        assert [entry.sequence for entry in told] == list(range(1, len(told) + 1))
        assert await asyncio.to_thread(house.journal.since, "a", 4) == told[4:]

    live(tmp_path, scenario)
    assert [entry.sequence for entry in heard] == list(range(1, len(heard) + 1))


def test_the_order_is_priority_then_front_then_number(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        for name, options in {
            "one": {}, "two": {}, "first": {"front": True}, "low": {"priority": -1}, "high": {"priority": 1},
        }.items():  # fmt: skip
            await house.submit(name, toy(name), **options)
        order = ["high", "first", "one", "two", "low"]
        assert house.scheduler.waiting == order
        house.scheduler.resume()
        await house.ends(*order)
        assert [name for name in house.world.ran if name in order] == order

    live(tmp_path, scenario, at_once=1)


def test_clients_share_fairly(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        for name in ("a1", "a2", "a3", "b1", "c1", "c2"):
            await house.submit(name, toy(name), client=name[0])
        house.scheduler.resume()
        await house.ends("a1", "a2", "a3", "b1", "c1", "c2")
        assert [name for name in house.world.ran if "keep" not in name] == ["a1", "b1", "c1", "a2", "c2", "a3"]

    live(tmp_path, scenario, at_once=1)


def test_jobs_with_the_models_of_the_last_go_first_but_nobody_is_overtaken_for_ever(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("x.safetensors", "y.safetensors"):
        (folder / name).touch()

    async def scenario(house: House) -> None:
        house.scheduler.pause()
        jobs = ["x0", "y0", *(f"x{n}" for n in range(1, 8)), "y1"]
        for name in jobs:
            await house.submit(name, loading(f"{name[0]}.safetensors"))
        house.scheduler.resume()
        ends = await house.ends(*jobs)
        begun = [job.request.id for job in sorted(ends, key=lambda job: job.started_s or 0)]
        assert begun.index("y0") == 1 + OVERTAKEN_MOST
        assert begun[begun.index("y0") + 1] == "y1"

    live(tmp_path, scenario, at_once=1)


def test_so_many_run_at_once_and_no_more(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        for name in ("a", "b", "c"):
            await house.submit(name, held(name))
        await house.world.reached("a")
        await house.world.reached("b")
        assert house.scheduler.running == ["a", "b"]
        assert house.scheduler.waiting == ["c"]
        house.world.open("b")
        await house.world.reached("c")
        house.world.open("a", "c")
        assert [job.state for job in await house.ends("a", "b", "c")] == ["succeeded"] * 3

    live(tmp_path, scenario, at_once=2)


def test_while_paused_nothing_begins_and_what_runs_goes_on(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("a", held("a"))
        await house.world.reached("a")
        house.scheduler.pause()
        assert house.scheduler.paused
        await house.submit("b", toy("b"))
        house.world.open("a")
        assert [job.state for job in await house.ends("a")] == ["succeeded"]
        assert house.scheduler.waiting == ["b"]
        house.scheduler.resume()
        await house.ends("b")

    live(tmp_path, scenario)


def test_a_waiting_job_is_cancelled(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        await house.submit("a", toy("a"))
        job = await house.scheduler.cancel("a", "Not needed any more.")
        assert (job.state, job.reason) == ("cancelled", "Not needed any more.")
        house.scheduler.resume()
        assert await house.ends("a") == [job]
        assert house.world.ran == []

    live(tmp_path, scenario)


def test_a_running_job_is_cancelled_and_what_it_had_made_is_kept(tmp_path: Path) -> None:
    prompt = {**toy("x", 1), **{f"{name}2": each for name, each in held("gate").items()}}
    prompt["keep2"]["inputs"]["value"] = ["held2", 0]

    async def scenario(house: House) -> None:
        recorded = asyncio.Event()
        loop = asyncio.get_running_loop()

        def listen(entry: Numbered) -> None:
            if isinstance(entry.event, NodeFinished) and entry.event.node_id == "keep":
                loop.call_soon_threadsafe(recorded.set)

        house.journal.subscribe(listen)
        await house.submit("a", prompt)
        await house.world.reached("gate")
        await recorded.wait()
        job = await house.scheduler.cancel("a")
        assert job.state == "cancelled"
        assert [output.node_id for output in job.outputs] == ["keep"]
        assert house.scheduler.running == []
        assert await house.scheduler.cancel("a") == job

    live(tmp_path, scenario)


def test_a_job_on_its_way_into_the_queue_is_cancelled(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("again", toy("again"))
        await house.ends("again")
        house.scheduler.pause()
        coming = [
            asyncio.create_task(house.submit("new", toy("new"))),
            asyncio.create_task(house.scheduler.retry("again")),
        ]
        await asyncio.sleep(0)  # both have been asked for
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*map(house.scheduler.cancel, ("new", "again")))
        await asyncio.gather(*coming)
        assert [job.state for job in ends] == ["cancelled"] * 2
        assert house.scheduler.waiting == []
        house.scheduler.resume()
        await house.submit("last", toy("last"))
        await house.ends("last")
        assert [name for name in house.world.ran if name in ("again", "new", "last")] == ["again", "last"]

    live(tmp_path, scenario)


def test_what_is_over_stays_as_it_is_and_what_nobody_knows_is_said(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("a", toy())
        [job] = await house.ends("a")
        assert await house.scheduler.cancel("a") == job
        with pytest.raises(NoSuchJob, match="no job b"):
            await house.scheduler.cancel("b")

    live(tmp_path, scenario)


def test_of_many_jobs_those_that_wait_are_cancelled_and_those_that_run_go_on(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("runs", held("runs"))
        await house.world.reached("runs")
        names = [f"waits {number}" for number in range(250)]
        for name in names:
            await house.submit(name, toy(name))
        await house.scheduler.cancel_waiting(["runs", "nobody", *names[:-1]], "It was taken out.")
        jobs = [house.store.get(name) for name in names]
        assert [job and (job.state, job.reason) for job in jobs[:-1]] == [("cancelled", "It was taken out.")] * 249
        house.world.open("runs")
        assert [job.state for job in await house.ends("runs", names[-1])] == ["succeeded", "succeeded"]
        assert house.world.ran == ["runs", "keep keep", names[-1], "keep keep"]

    live(tmp_path, scenario, at_once=1)


def test_waiting_jobs_are_moved(tmp_path: Path) -> None:
    moved: list[Numbered] = []

    async def scenario(house: House) -> None:
        scheduler = house.scheduler
        scheduler.pause()
        for name in "abcd":
            await house.submit(name, toy(name))
        house.journal.subscribe(lambda entry: moved.append(entry) if isinstance(entry.event, JobMoved) else None)
        await scheduler.change("d", before="b")
        assert scheduler.waiting == ["a", "d", "b", "c"]
        await scheduler.change("c", front=True)
        assert scheduler.waiting == ["c", "a", "d", "b"]
        await scheduler.change("b", before="c")
        assert scheduler.waiting == ["b", "c", "a", "d"]
        await scheduler.change("d", priority=3)
        assert scheduler.waiting == ["d", "b", "c", "a"]
        with pytest.raises(StoreError):
            await scheduler.change("nobody", front=True)
        scheduler.resume()
        await house.ends(*"abcd")
        assert [name for name in house.world.ran if name in "abcd"] == ["d", "b", "c", "a"]

    live(tmp_path, scenario, at_once=1)
    assert [entry.job_id for entry in moved] == ["d", "c", "b", "d"]


def test_the_same_request_again_is_the_same_job_and_another_is_refused(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.scheduler.pause()
        first, second = await asyncio.gather(house.submit("a", toy("x")), house.submit("a", toy("x")))
        assert first == second
        assert house.scheduler.waiting == ["a"]
        with pytest.raises(JobConflict):
            await house.submit("a", toy("y"))
        house.scheduler.resume()
        await house.ends("a")
        assert (await house.submit("a", toy("x"))).state == "succeeded"
        assert house.world.ran == ["x", "keep keep"]

    live(tmp_path, scenario)


def test_the_same_request_twice_at_once_runs_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(house: House) -> None:
        await asyncio.gather(*(house.submit("a", toy("x")) for _ in range(5)))
        await house.ends("a")
        assert house.scheduler.waiting == house.scheduler.running == []
        assert house.world.ran == ["x", "keep keep"]

    live(tmp_path, scenario)
    assert caplog.text == ""


def test_a_failure_is_told_the_rest_is_kept_and_a_retry_does_not_repeat_it(tmp_path: Path) -> None:
    prompt = {
        "good": node("Toy", name="good"), "keep good": node("Keep", value=["good", 0], prefix="good"),
        "bad": node("Toy", name="bad"), "keep bad": node("Keep", value=["bad", 0], prefix="bad"),
    }  # fmt: skip

    async def scenario(house: House) -> None:
        house.world.failing.add("bad")
        await house.submit("a", prompt)
        [job] = await house.ends("a")
        assert job.state == "failed"
        assert "node bad" in job.reason
        assert "this is bad luck" in job.reason
        assert [problem["node_id"] for problem in job.problems] == ["bad"]
        assert [output.node_id for output in job.outputs] == ["keep good"]
        house.world.failing.clear()
        house.world.ran.clear()
        assert (await house.scheduler.retry("a")).state == "pending"
        [job] = await house.ends("a")
        assert (job.state, job.problems) == ("succeeded", ())
        assert [output.node_id for output in job.outputs] == ["keep good", "keep bad"]
        assert "keep keep good" not in house.world.ran
        assert sorted(house.kept()) == ["bad_00001_.txt", "good_00001_.txt"]

    live(tmp_path, scenario)


def test_bad_luck_is_tried_again_by_itself_but_a_fault_of_the_request_is_not(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        house.world.failing.add("unlucky")
        await house.submit("unlucky", toy("unlucky"))
        await house.submit("wrong", toy("wrong", -1))
        unlucky, wrong = await house.ends("unlucky", "wrong")
        assert (unlucky.state, unlucky.attempts) == ("failed", 3)
        assert (wrong.state, wrong.attempts) == ("failed", 1)
        assert "the value is negative; give another" in wrong.reason

    live(tmp_path, scenario, attempts_most=3)


def test_a_job_whose_workflow_is_not_valid_any_more_fails_with_the_sentences(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        await house.submit("a", {"n": node("Gone", a=1), "keep": node("Keep", value=["n", 0])})
        await house.submit("b", toy("b"))
        gone, good = await house.ends("a", "b")
        assert (gone.state, good.state) == ("failed", "succeeded")
        assert "there is no node class 'Gone'" in gone.reason
        assert [(each["node_id"], each["class_type"]) for each in gone.problems] == [("n", "Gone")]

    assert "Gone" not in REGISTRY
    live(tmp_path, scenario)


def test_jobs_are_deleted_but_not_while_they_run(tmp_path: Path) -> None:
    heard: list[Numbered] = []

    async def scenario(house: House) -> None:
        house.journal.subscribe(heard.append)
        await house.submit("over", toy())
        await house.ends("over")
        await house.submit("runs", held("runs"))
        await house.world.reached("runs")
        house.scheduler.pause()
        await house.submit("waits", toy())
        waiter = asyncio.create_task(house.scheduler.wait("waits"))
        assert await house.scheduler.delete(["over", "runs", "waits", "never was"]) == ["runs"]
        assert (await waiter).state == "cancelled"
        assert [house.store.get(name) for name in ("over", "waits")] == [None, None]
        assert house.scheduler.waiting == []
        with pytest.raises(NoSuchJob):
            await house.scheduler.wait("waits")
        house.world.open("runs")
        assert [job.state for job in await house.ends("runs")] == ["succeeded"]
        assert await asyncio.to_thread(house.journal.since, "waits", 0) == []

    live(tmp_path, scenario)
    assert {entry.job_id for entry in heard if isinstance(entry.event, JobDeleted)} >= {"over", "waits"}
    for job_id in ("over", "waits"):
        numbers = [entry.sequence for entry in heard if entry.job_id == job_id]
        assert numbers == sorted(set(numbers))


def test_who_asks_and_goes_away_has_still_asked(tmp_path: Path) -> None:
    async def scenario(house: House) -> None:
        caller = asyncio.create_task(house.submit("a", toy("a")))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        other = asyncio.create_task(house.submit("b", toy("b")))
        await other
        assert [job.state for job in await house.ends("a", "b")] == ["succeeded"] * 2

    live(tmp_path, scenario)
