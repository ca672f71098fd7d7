"""Whatever is done to a job store, in whatever order, it agrees with a small model; also after it was reopened."""

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from graph.jobs import OVER, JobOutput, JobRequest
from graph.store import JobConflict, Store, StoreError, StoreLimits

IDS = st.sampled_from("abcdef")
PLACES = st.none() | st.sampled_from([-(2**53), -1.5, 0, 1e-300, 2e-300, 1.5, 2, 2.5, 2**53])
DEATHS = 2


@dataclass
class Known:
    """What the model knows of a job."""

    request: JobRequest
    front: bool = False
    state: str = "pending"
    attempts: int = 0
    deaths: int = 0
    outputs: list[str] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """The model: what is known of each job, in the order they were accepted, and the queue as a list."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.jobs: dict[str, Known] = {}
        self.asked: dict[str, JobRequest] = {}  # as first sent
        self.counter = 0  # the last number given by counting
        self.queue: list[str] = []  # of all that are pending, in the order they would run
        self.open()

    def open(self) -> None:
        self.store = Store(Path(self.folder.name) / "queue.sqlite", limits=StoreLimits(deaths=DEATHS))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def enqueue(self, job_id: str, *, front: bool = False) -> None:
        """Before all of its priority, or at the next number."""
        priority = self.jobs[job_id].request.priority
        if front:
            ahead = [other for other in self.queue if self.jobs[other].request.priority > priority]
            self.queue.insert(len(ahead), job_id)
        else:
            self.counter += 1
            assert self.number(job_id) == self.counter
            self.put_back(job_id)

    def has(self, priority: int) -> bool:
        """Whether a job of that priority waits."""
        return any(self.jobs[other].request.priority == priority for other in self.queue)

    def expect(self, job_id: str, states: tuple[str, ...], step: Any) -> Known | None:
        """The job, if the step was possible and was taken; else it was refused."""
        known = self.jobs.get(job_id)
        if known and known.state in states:
            step.result()
            return known
        with pytest.raises(StoreError):
            step.result()
        return None

    @rule(job_id=IDS, priority=st.integers(-1, 1), front=st.booleans(), place=PLACES)
    def add(self, job_id: str, priority: int, front: bool, place: float | None) -> None:
        request = JobRequest(job_id, {"1": {"class_type": job_id}}, priority=priority, front=front, place=place)
        future = self.store.add(request)
        if job_id not in self.jobs:
            future.result()
            self.jobs[job_id] = Known(request, front or (place is not None and place < 0))
            if place is None:
                self.enqueue(job_id, front=front and self.has(priority))
            else:
                assert self.number(job_id) == place
                self.put_back(job_id)
        elif self.asked[job_id] == request:
            assert future.result().state == self.jobs[job_id].state
        else:
            with pytest.raises(JobConflict):
                future.result()
        self.asked.setdefault(job_id, request)

    @rule(job_id=IDS)
    def start(self, job_id: str) -> None:
        if known := self.expect(job_id, ("pending",), self.store.start(job_id)):
            known.state, known.attempts = "running", known.attempts + 1
            self.queue.remove(job_id)

    @rule(job_id=IDS, node_id=st.sampled_from("xyz"))
    def finish_task(self, job_id: str, node_id: str) -> None:
        known = self.expect(job_id, ("running",), self.store.finish_task(job_id, JobOutput(node_id, node_id, {})))
        if known and node_id not in known.outputs:
            known.outputs.append(node_id)

    @rule(job_id=IDS, state=st.sampled_from(OVER))
    def finish(self, job_id: str, state: Any) -> None:
        states = ("running",) if state == "succeeded" else ("pending", "running")
        if known := self.expect(job_id, states, self.store.finish(job_id, state)):
            if known.state == "pending":
                self.queue.remove(job_id)
            known.state = state

    @rule(job_id=IDS)
    def requeue(self, job_id: str) -> None:
        if known := self.expect(job_id, ("running",), self.store.requeue(job_id, "closing")):
            known.state = "pending"
            self.put_back(job_id)

    def put_back(self, job_id: str) -> None:
        """At its place by number: before whoever has a higher one, among its priority."""
        later = [other for other in self.queue if self.place(other) > self.place(job_id)]
        self.queue.insert(len(self.queue) - len(later), job_id)

    def place(self, job_id: str) -> tuple[int, bool, float, int]:
        known = self.jobs[job_id]
        return -known.request.priority, not known.front, self.number(job_id), list(self.jobs).index(job_id)

    def number(self, job_id: str) -> float:
        job = self.store.get(job_id)
        assert job
        return job.number

    @rule(job_id=IDS)
    def retry(self, job_id: str) -> None:
        if known := self.expect(job_id, OVER, self.store.retry(job_id)):
            known.state, known.attempts, known.deaths, known.front = "pending", 0, 0, False
            self.enqueue(job_id)

    @rule(job_id=IDS, priority=st.none() | st.integers(-1, 1))
    def to_the_front(self, job_id: str, priority: int | None) -> None:
        if known := self.expect(job_id, ("pending",), self.store.change(job_id, priority=priority, front=True)):
            priority = known.request.priority if priority is None else priority
            others = self.has(priority)
            self.queue.remove(job_id)
            self.set_priority(known, priority)
            known.front = True
            self.enqueue(job_id, front=others)

    @rule(job_id=IDS, other=IDS)
    def before_another(self, job_id: str, other: str) -> None:
        target = self.jobs.get(other)
        states = ("pending",) if target and target.state == "pending" else ()
        if (known := self.expect(job_id, states, self.store.change(job_id, before=other))) and other != job_id:
            assert target
            self.queue.remove(job_id)
            self.queue.insert(self.queue.index(other), job_id)
            self.set_priority(known, target.request.priority)
            known.front = target.front

    @rule(job_id=IDS, priority=st.integers(-1, 1))
    def to_a_priority(self, job_id: str, priority: int) -> None:
        if known := self.expect(job_id, ("pending",), self.store.change(job_id, priority=priority)):
            self.queue.remove(job_id)
            self.set_priority(known, priority)
            self.put_back(job_id)

    def set_priority(self, known: Known, priority: int) -> None:
        known.request = replace(known.request, priority=priority)

    @rule(job_id=IDS)
    def delete(self, job_id: str) -> None:
        known = self.jobs.get(job_id)
        if known is None:
            assert self.store.delete([job_id]).result() == 0
        elif self.expect(job_id, OVER, self.store.delete([job_id])):
            del self.jobs[job_id], self.asked[job_id]

    @rule()
    def clear_history(self) -> None:
        over = [job_id for job_id, known in self.jobs.items() if known.state in OVER]
        assert self.store.clear_history().result() == len(over)
        for job_id in over:
            del self.jobs[job_id], self.asked[job_id]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()
        assert self.store.notices == ()

    @rule()
    def die_and_recover(self) -> None:
        self.reopen()
        requeued, failed = self.store.recover()
        running = {job_id for job_id, known in self.jobs.items() if known.state == "running"}
        for job_id in running:
            self.jobs[job_id].deaths += 1
        poison = {job_id for job_id in running if self.jobs[job_id].deaths >= DEATHS}
        assert {job.request.id for job in failed} == poison
        assert {job.request.id for job in requeued} == running - poison
        for job_id in sorted(running):
            self.jobs[job_id].state = "failed" if job_id in poison else "pending"
        for job_id in sorted(running - poison):
            self.put_back(job_id)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        seen = self.store.list(newest_first=False).jobs
        assert [job.request.id for job in seen] == list(self.jobs)
        for job, known in zip(seen, self.jobs.values(), strict=True):
            assert (job.state, job.attempts, job.deaths) == (known.state, known.attempts, known.deaths)
            assert job.front == known.front
            assert job.request == known.request
            assert [output.node_id for output in job.outputs] == known.outputs
            assert (job.ended_s is not None) == (job.state in OVER)
            assert self.store.search(job.request.id).jobs == (job,)
        assert [job.request.id for job in self.store.pending()] == self.queue
        counts = self.store.counts()
        assert {state: count for state, count in counts.items() if count} == {
            state: len([1 for known in self.jobs.values() if known.state == state])
            for state in {known.state for known in self.jobs.values()}
        }


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
