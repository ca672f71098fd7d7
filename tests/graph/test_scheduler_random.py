"""Whatever is asked for, in whatever order, and whenever the process ends: the queue stays whole."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.jobs import OVER, Job
from graph.queue.scheduler import NoSuchJob, QueueClosed
from graph.store import StoreError
from tests.graph.scheduler_toys import House, World, live, node

JOBS = st.integers(0, 3).map("job{}".format)
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["submit", "submit", "cancel", "retry", "delete", "front", "open", "fail", "mend"]), JOBS
    ),
    st.tuples(st.sampled_from(["pause", "resume", "breathe", "reach"]), JOBS),
)
LIVES = st.lists(st.tuples(st.lists(STEPS, max_size=10), st.booleans()), min_size=1, max_size=4)


def prompt(job_id: str) -> dict[str, object]:
    """Keeps a file at once, waits at a gate, and keeps another one; the third only if luck is with it."""
    return {
        "now": node("Toy", name=f"{job_id} now", value=1), "keep now": node("Keep", value=["now", 0], prefix=job_id),
        "held": node("Held", name=job_id), "keep held": node("Keep", value=["held", 0], prefix=job_id),
        "luck": node("Toy", name=f"{job_id} luck"), "keep luck": node("Keep", value=["luck", 0], prefix=job_id),
    }  # fmt: skip


async def do(house: House, step: str, job_id: str) -> None:
    """One thing that somebody asks for; that it cannot be is no fault."""
    scheduler = house.scheduler
    try:
        match step:
            case "submit":
                await house.submit(job_id, prompt(job_id), client=job_id[-1])
            case "cancel":
                await scheduler.cancel(job_id)
            case "retry":
                await scheduler.retry(job_id)
            case "delete":
                await scheduler.delete([job_id])
            case "front":
                await scheduler.change(job_id, front=True)
            case "open":
                house.world.open(job_id)
            case "fail":
                house.world.failing.add(f"{job_id} luck")
            case "mend":
                house.world.failing.discard(f"{job_id} luck")
            case "pause":
                scheduler.pause()
            case "resume":
                scheduler.resume()
            case "reach":
                while job_id in scheduler.running and not house.world.gates[job_id].reached.is_set():
                    await asyncio.sleep(0.001)
            case "breathe":
                await asyncio.to_thread(house.store.get, job_id)
    except (StoreError, NoSuchJob, QueueClosed):
        pass


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LIVES, st.integers(1, 3))
def test_any_interleaving_leaves_the_store_whole_and_every_output_recorded_once(
    lives: list[tuple[list[tuple[str, str]], bool]], at_once: int
) -> None:
    world = World()

    async def end(house: House) -> list[Job]:
        """Everything may go its way now, and what did not succeed is tried again."""
        house.world.failing.clear()
        house.world.open(*(f"job{n}" for n in range(4)))
        jobs = await asyncio.to_thread(house.store.list)
        for job in jobs.jobs:
            if job.state in OVER and job.state != "succeeded":
                await house.scheduler.retry(job.request.id)
        ended = await house.ends(*(job.request.id for job in jobs.jobs))
        assert house.scheduler.running == house.scheduler.waiting == []
        return ended

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for steps, dies in lives:

            async def life(house: House, steps: list[tuple[str, str]] = steps) -> None:
                asked = [asyncio.create_task(do(house, *step)) for step in steps]
                if asked:  # half of it may still be under way when the life ends
                    await asyncio.wait(asked[::2], timeout=0.02)
                for task in asked:
                    assert not task.done() or task.exception() is None
                waiting = {job.request.id for job in await asyncio.to_thread(house.store.pending)}
                assert len(house.scheduler.waiting) == len(set(house.scheduler.waiting))
                assert set(house.scheduler.running).isdisjoint(house.scheduler.waiting)
                assert len(waiting) <= 4

            live(folder, life, world=world, dies=dies, at_once=at_once)
        jobs = live(folder, end, world=world, at_once=at_once)
        made = {path.resolve() for path in (folder / "output").glob("*")}
        recorded = Counter(Path(file).resolve() for job in jobs for output in job.outputs for file in output.files)
        for job in jobs:
            assert job.state == "succeeded", job.reason
            nodes = Counter(output.node_id for output in job.outputs)
            assert nodes == {"keep now": 1, "keep held": 1, "keep luck": 1}
        assert set(recorded.values()) <= {1}
        assert set(recorded) <= made
        assert all(path.stat().st_size for path in recorded)
        kept = {job.request.id for job in jobs}
        of_kept = {path for path in made if any(path.name.startswith((each, f".{each}")) for each in kept)}
        # A deleted job's files stay behind, under the same names as those of a job of that id that came later.
        if "delete" not in {step for steps, _ in lives for step, _ in steps}:
            assert of_kept == set(recorded)
