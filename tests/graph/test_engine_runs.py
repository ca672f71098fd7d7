"""Steppers, cancelling, and several runs at once on the same lanes."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from graph import Context, Engine, Int, Lanes, Node, Registry, Result, Stepper, plan
from graph.document import Document
from graph.events import Event, NodeFailed, NodeFinished, NodeProgress, RunFinished
from tests.graph.toys import PATIENCE_S, REGISTRY, SUM, Gate, Log, document, engine, graph, ran, run


def test_a_stepper_starts_steps_and_closes(runner: Engine, log: Log) -> None:
    assert run(runner, document(c=("Count", {"to": 2})), targets=["c"]).outputs == {"c": (2,)}
    assert ran(log) == ["c start", "c step", "c step", "c close"]


@pytest.mark.parametrize("where", ["start", "step", "close"])
def test_a_stepper_that_fails_is_closed_once(lanes: Lanes, tmp_path: Path, where: str) -> None:
    calls: list[str] = []

    class Steps:
        def _call(self, name: str) -> None:
            calls.append(name)
            if name == where:
                raise ValueError(name)

        def start(self, ctx: Context) -> None:
            self._call("start")

        def step(self) -> int:
            self._call("step")
            return 1

        def close(self) -> None:
            self._call("close")

    class Stepping(Node[int]):
        def stepper(self) -> Stepper[int]:
            return Steps()

    runner = engine(lanes, tmp_path)
    planned = plan(graph(document(s=("Stepping", {})), runner.paths, Registry(Stepping), targets=["s"]))
    result = asyncio.run(runner.run(planned))
    assert [str(failure.error) for failure in result.failures] == [where]
    assert calls.count("close") == 1
    assert result.outputs == {}


async def begun(runner: Engine, prompt: Document, **options: Any) -> asyncio.Task[Result]:
    """A run of a prompt whose gate has been reached."""
    gate = runner.resources[Gate]
    task = asyncio.create_task(runner.run(plan(graph(prompt, runner.paths)), **options))
    await asyncio.to_thread(gate.reached.wait, PATIENCE_S)
    return task


def test_cancelling_ends_a_run_when_its_node_next_looks_and_nothing_more_begins(runner: Engine, log: Log) -> None:
    told: list[Event] = []
    prompt = document(w=("Wait", {"value": 1}), a=("Add", {"a": ["w", 0]}), s=("Show", {"value": ["a", 0]}))

    async def scene() -> None:
        task = await begun(runner, prompt, sink=told.append)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()  # the node is still at work
        runner.resources[Gate].open.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert ran(log) == []
    assert not any(isinstance(event, NodeFailed | NodeFinished) for event in told)
    assert isinstance(told[-1], RunFinished)
    assert told[-1].status == "cancelled"
    assert run(runner, prompt).ui == {"s": {"text": [1]}}


def test_cancelling_between_two_steps_closes_the_stepper(runner: Engine, log: Log) -> None:
    async def scene() -> None:
        stepping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            if isinstance(event, NodeProgress) and event.value == 3:
                loop.call_soon_threadsafe(stepping.set)

        planned = plan(graph(document(c=("Count", {"to": 10**9})), runner.paths, targets=["c"]))
        task = asyncio.create_task(runner.run(planned, sink=sink))
        await stepping.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert log.ran[-1] == "c close"
    assert log.ran.count("c close") == 1


def test_cancelling_a_run_that_waits_for_the_lane_does_not_wait_for_it(tmp_path: Path, log: Log) -> None:
    async def scene(runner: Engine) -> None:
        busy = await begun(runner, document(w=("Wait", {"value": 1}), s=("Show", {"value": ["w", 0]})))
        waiting = asyncio.create_task(runner.run(plan(graph(document(**SUM), runner.paths))))
        prepared = asyncio.create_task(runner.run(plan(graph(document(**SUM), runner.paths), [])))
        await prepared  # on the one thread of the IO lane: by now the run before it is prepared as well
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not busy.done()
        runner.resources[Gate].open.set()
        assert (await busy).ui == {"s": {"text": [1]}}

    with Lanes({"cpu": 1, "io": 1}) as single:
        asyncio.run(scene(engine(single, tmp_path, log, Gate())))
    assert ran(log) == ["s"]


def test_higher_priority_goes_first_then_the_older_run(tmp_path: Path, log: Log) -> None:
    async def scene(runner: Engine) -> None:
        busy = await begun(runner, document(w=("Wait", {"value": 1}), s=("Show", {"value": ["w", 0]})))
        runs = []
        for name, priority in (("old", 0), ("young", 0), ("urgent", 1)):
            prompt = document(**{f"{name}{n}": ("Add", {"a": n, "b": len(name)}) for n in range(2)})
            planned = plan(graph(prompt, runner.paths, targets=[f"{name}0", f"{name}1"]))
            runs.append(asyncio.create_task(runner.run(planned, priority=priority)))
        await asyncio.create_task(runner.run(plan(graph(document(**SUM), runner.paths), []), priority=-1))
        runner.resources[Gate].open.set()
        await asyncio.gather(busy, *runs)

    with Lanes({"cpu": 1, "io": 1}) as single:
        asyncio.run(scene(engine(single, tmp_path, log, Gate())))
    assert [name for name in ran(log) if name != "s"] == ["urgent0", "urgent1", "old0", "old1", "young0", "young1"]


def test_an_older_run_gets_its_turn_between_the_steps_of_a_younger(tmp_path: Path, log: Log) -> None:
    """While the younger run counts on the device lane, the older one's step there goes first when it is ready."""

    async def scene(runner: Engine) -> None:
        older = await begun(
            runner, document(w=("Wait", {"value": 2}), c=("Count", {"to": ["w", 0]}), s=("Show", {"value": ["c", 0]}))
        )
        counting = threading.Event()

        def sink(event: Event) -> None:
            if isinstance(event, NodeProgress) and event.value == 3:
                counting.set()

        planned = plan(graph(document(long=("Count", {"to": 10**9})), runner.paths, targets=["long"]))
        younger = asyncio.create_task(runner.run(planned, sink=sink))
        await asyncio.to_thread(counting.wait, PATIENCE_S)
        runner.resources[Gate].open.set()
        assert (await older).ui == {"s": {"text": [2]}}
        assert not younger.done()
        younger.cancel()
        with pytest.raises(asyncio.CancelledError):
            await younger

    with Lanes({"cpu": 2, "io": 2, "device": 1}) as threads:
        asyncio.run(scene(engine(threads, tmp_path, log, Gate())))
    mine = [number for number, name in enumerate(log.ran) if name.startswith("c ")]
    assert mine == list(range(mine[0], mine[0] + 4))  # start, two steps and close, with nothing in between


def test_the_event_loop_goes_on_while_nodes_run(runner: Engine) -> None:
    async def scene() -> None:
        task = await begun(runner, document(w=("Wait", {"value": 1}), s=("Show", {"value": ["w", 0]})))
        runner.resources[Gate].open.set()  # reached only if waiting for the run does not hold up the loop
        assert (await task).ui == {"s": {"text": [1]}}

    asyncio.run(scene())


class SecondGate(Gate):
    """A gate of its own."""


class WaitToo(Node[int]):
    """Waits at the second gate, on the device lane."""

    a: int = Int(default=0)
    b: int = Int(default=0, optional=True)

    lane = "device"

    def run(self, ctx: Context) -> int:
        gate = ctx.resource(SecondGate)
        gate.reached.set()
        gate.open.wait(PATIENCE_S)
        return self.a + self.b


class WaitBlindly(Node[int]):
    """Waits at the gate and does not look whether the run was cancelled."""

    value: int = Int(default=0)

    def run(self, ctx: Context) -> int:
        gate = ctx.resource(Gate)
        gate.reached.set()
        gate.open.wait(PATIENCE_S)
        return self.value


class FailAtGate(Node[int]):
    """Fails as soon as another node has reached the gate."""

    def run(self, ctx: Context) -> int:
        ctx.resource(Gate).reached.wait(PATIENCE_S)
        raise ZeroDivisionError


class OpenGate(Node[None], output=True):
    """Opens the gate."""

    def run(self, ctx: Context) -> None:
        ctx.resource(Gate).open.set()


MORE = Registry(*REGISTRY.values(), WaitToo, WaitBlindly, FailAtGate, OpenGate)


def test_a_cancelled_run_does_not_wait_for_a_lane_that_it_would_have_used_next(
    runner: Engine, lanes: Lanes, tmp_path: Path, log: Log
) -> None:
    second = SecondGate()
    other = engine(lanes, tmp_path, second)

    async def scene() -> None:
        wait = plan(graph(document(b=("WaitToo", {"a": 1})), other.paths, MORE, targets=["b"]))
        busy = asyncio.create_task(other.run(wait))
        await asyncio.to_thread(second.reached.wait, PATIENCE_S)
        prompt = document(
            w=("WaitBlindly", {"value": 1}), c=("Count", {"to": ["w", 0]}), s=("Show", {"value": ["c", 0]})
        )
        task = asyncio.create_task(runner.run(plan(graph(prompt, runner.paths, MORE))))
        await asyncio.to_thread(runner.resources[Gate].reached.wait, PATIENCE_S)
        task.cancel()
        await asyncio.sleep(0)
        runner.resources[Gate].open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not busy.done()
        second.open.set()
        assert (await busy).outputs == {"b": (1,)}

    asyncio.run(scene())
    assert ran(log) == []


def test_a_node_that_became_needless_while_it_ran_takes_nothing_from_others(tmp_path: Path, log: Log) -> None:
    """`bad` fails while `w` runs, whose value only `lost` wanted; `late` needs what `w` was given, after that."""
    prompt = document(
        shared=("Add", {"a": 5}), w=("WaitBlindly", {"value": ["shared", 0]}), bad=("FailAtGate", {}),
        join=("Add", {"a": ["w", 0], "b": ["bad", 0]}), lost=("Show", {"value": ["join", 0]}),
        slow=("WaitToo", {"a": 1}), late=("Add", {"a": ["shared", 0], "b": ["slow", 0]}),
        good=("Show", {"value": ["late", 0]}), open=("OpenGate", {}),
    )  # fmt: skip
    second = SecondGate()

    def sink(event: Event) -> None:
        if isinstance(event, NodeFinished) and event.node_id == "w":
            second.open.set()

    with Lanes({"cpu": 2, "io": 1, "device": 1}) as threads:
        # One thread of the CPU lane waits in `w`, so that the other comes to `open` only when done with `bad`.
        runner = engine(threads, tmp_path, log, Gate(), second)
        result = asyncio.run(runner.run(plan(graph(prompt, runner.paths, MORE)), sink=sink))
    assert result.ui == {"good": {"text": [6]}}
    assert [failure.node_id for failure in result.failures] == ["bad"]
