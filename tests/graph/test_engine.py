"""The engine: what runs, what does not, what is told, and what happens when something goes wrong."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graph import (
    Cancelled,
    Context,
    Engine,
    Int,
    Lanes,
    MemoryCache,
    Node,
    PathError,
    Paths,
    Registry,
    Result,
    WeightlessValues,
    plan,
)
from graph.effects import Effects
from graph.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodesCached,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from graph.jobs import JobOutput
from tests.graph.semantic_toys import EVERY
from tests.graph.toys import REGISTRY, SUM, Log, document, engine, graph, ran, run

# -- what comes out


def test_outputs_ui_and_seconds(runner: Engine) -> None:
    result = run(runner, document(**SUM), keep=["b"])
    assert result.outputs == {"s": (), "b": (6,)}
    assert result.ui == {"s": {"text": [6]}}
    assert set(result.seconds) == {"a", "b", "s"}
    assert all(seconds >= 0 for seconds in result.seconds.values())
    assert (result.cached, result.failures) == ((), ())


def test_each_of_several_outputs_is_a_wire(runner: Engine) -> None:
    prompt = document(d=("Divide", {"a": 17, "b": 5}), q=("Show", {"value": ["d", 0]}), r=("Show", {"value": ["d", 1]}))
    assert run(runner, prompt).ui == {"q": {"text": [3]}, "r": {"text": [2]}}


def test_any_node_can_be_a_target(runner: Engine) -> None:
    assert run(runner, document(**SUM), targets=["b"]).outputs == {"b": (6,)}


def test_optional_inputs_have_their_defaults(runner: Engine) -> None:
    assert run(runner, document(a=("Add", {"a": 2})), targets=["a"]).outputs == {"a": (2,)}


def test_an_empty_plan_is_over_at_once(runner: Engine) -> None:
    nothing = plan(graph(document(**SUM), runner.paths), [])
    assert asyncio.run(runner.run(nothing)) == Result({}, {}, {}, (), ())


# -- what runs


def test_a_second_run_runs_only_effects(runner: Engine, log: Log) -> None:
    assert run(runner, document(**SUM)).cached == ()
    assert ran(log) == ["a", "b", "s"]
    again = run(runner, document(**SUM), keep=["b"])
    assert ran(log) == ["s"]
    assert again.cached == ("b",)  # what lies behind it is not even looked at
    assert again.outputs == {"s": (), "b": (6,)}
    assert again.ui == {"s": {"text": [6]}}


def test_renamed_nodes_and_another_workflow_with_the_same_beginning_find_the_results(runner: Engine, log: Log) -> None:
    run(runner, document(**SUM))
    ran(log)
    other = document(
        x=("Add", {"a": 1}), y=("Add", {"a": ["x", 0], "b": 5}), z=("Divide", {"a": ["y", 0], "b": 2}),
        s=("Show", {"value": ["z", 0]}),
    )  # fmt: skip
    assert run(runner, other).ui == {"s": {"text": [3]}}
    assert ran(log) == ["z", "s"]


def test_a_change_runs_what_depends_on_it(runner: Engine, log: Log) -> None:
    run(runner, document(**SUM))
    ran(log)
    run(runner, document(**SUM | {"b": ("Add", {"a": ["a", 0], "b": 6})}))
    assert ran(log) == ["b", "s"]


def test_changed_code_or_environment_runs_everything(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    first = engine(lanes, tmp_path, log, code="1", environment="1")
    run(first, document(**SUM))
    for code, environment in (("2", "1"), ("1", "2")):
        ran(log)
        other = Engine(lanes, first.cache, first.paths, resources=[log], code=code, environment=environment)
        run(other, document(**SUM))
        assert ran(log) == ["a", "b", "s"]


def test_equal_nodes_of_one_workflow_run_once(runner: Engine, log: Log) -> None:
    prompt = document(
        a=("Add", {"a": 1}), same=("Add", {"a": 1}), b=("Add", {"a": ["a", 0]}), b2=("Add", {"a": ["same", 0]}),
        c=("Add", {"a": ["b", 0], "b": ["b2", 0]}),
    )  # fmt: skip
    result = run(runner, prompt, targets=["c", "b2", "b"])
    assert result.outputs == {"c": (2,), "b2": (1,), "b": (1,)}
    assert ran(log) == ["a", "b", "c"]
    assert result.cached == ("b2",)  # and what lies behind it is not looked at


def test_equal_effects_all_run(runner: Engine, log: Log) -> None:
    prompt = document(a=("Add", {"a": 1}), s=("Show", {"value": ["a", 0]}), t=("Show", {"value": ["a", 0]}))
    assert run(runner, prompt).ui == {"s": {"text": [1]}, "t": {"text": [1]}}


def test_what_depends_on_chance_runs_every_time(runner: Engine, log: Log) -> None:
    prompt = document(
        c=("Chance", {}), d=("Chance", {}), a=("Add", {"a": ["c", 0], "b": ["d", 0]}), s=("Show", {"value": ["a", 0]})
    )
    for _ in range(2):
        run(runner, prompt)
        assert sorted(ran(log)) == ["a", "c", "d", "s"]


def test_values_are_let_go_of_after_their_last_use(lanes: Lanes, tmp_path: Path) -> None:
    class Big:
        """A value that counts how many of its kind there are."""

        alive = 0
        most = 0

        def __init__(self) -> None:
            Big.alive += 1
            Big.most = max(Big.most, Big.alive)

        def __del__(self) -> None:
            Big.alive -= 1

    class Grow(Node[Any]):
        source: Any = Int(default=0)

        def run(self, ctx: Context) -> Any:
            return Big()

    prompt = document(**{f"n{n}": ("Grow", {"source": [f"n{n - 1}", 0] if n else 0}) for n in range(30)})
    runner = engine(lanes, tmp_path, limit_bytes=0)
    planned = plan(graph(prompt, runner.paths, Registry(Grow), targets=["n29"]))
    result = asyncio.run(runner.run(planned))
    assert Big.most <= 3
    assert Big.alive == 1
    assert isinstance(result.outputs["n29"][0], Big)


def test_the_ui_output_of_a_cached_node_is_there_again(lanes: Lanes, tmp_path: Path) -> None:
    class Tell(Node[int]):
        number: int = Int(default=0)

        def run(self, ctx: Context) -> int:
            ctx.show("text", ["told"])
            return self.number

    runner = engine(lanes, tmp_path)
    planned = plan(graph(document(t=("Tell", {"number": 1})), runner.paths, Registry(Tell), targets=["t"]))
    for cached in ((), ("t",)):
        result = asyncio.run(runner.run(planned))
        assert (result.ui, result.cached) == ({"t": {"text": ["told"]}}, cached)


# -- what goes wrong


def test_one_failing_output_does_not_stop_a_good_one(runner: Engine, log: Log) -> None:
    prompt = document(
        base=("Add", {"a": 1}), bad=("Divide", {"a": ["base", 0], "b": 0}), after=("Add", {"a": ["bad", 0]}),
        lost=("Show", {"value": ["after", 0]}), good=("Show", {"value": ["base", 0]}),
    )  # fmt: skip
    result = run(runner, prompt)
    assert result.ui == {"good": {"text": [1]}}
    assert result.outputs == {"good": ()}
    (failure,) = result.failures
    assert (failure.node_id, failure.class_type, type(failure.error)) == ("bad", "Divide", ZeroDivisionError)
    assert str(failure).startswith("Divide (node bad) failed: ZeroDivisionError: ")
    assert ran(log) == ["base", "bad", "good"]


def test_a_failed_run_leaves_what_it_did_in_the_cache(runner: Engine, log: Log) -> None:
    prompt = document(a=("Add", {"a": 1}), bad=("Divide", {"a": ["a", 0], "b": 0}), s=("Show", {"value": ["bad", 0]}))
    for expected in (["a", "bad"], ["bad"]):
        assert len(run(runner, prompt).failures) == 1
        assert ran(log) == expected


def test_what_only_a_failed_node_needed_does_not_run(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    """On one thread, `bad` comes first; then nobody needs `needless` any more, but `shared` has another use."""
    prompt = document(
        bad=("Divide", {"a": 1, "b": 0}), needless=("Add", {"a": 1}), behind=("Add", {"a": ["needless", 0]}),
        shared=("Add", {"a": 2}), join=("Add", {"a": ["bad", 0], "b": ["behind", 0]}),
        join2=("Add", {"a": ["join", 0], "b": ["shared", 0]}), lost=("Show", {"value": ["join2", 0]}),
        good=("Show", {"value": ["shared", 0]}),
    )  # fmt: skip
    with Lanes({"cpu": 1, "io": 1}) as single:
        result = run(engine(single, tmp_path, log), prompt)
    assert [failure.node_id for failure in result.failures] == ["bad"]
    assert ran(log) == ["bad", "shared", "good"]


def test_errors_written_for_people_come_without_their_class(lanes: Lanes, tmp_path: Path) -> None:
    class Load(Node[int]):
        def run(self, ctx: Context) -> int:
            ctx.paths.find("loras", "gone")
            return 0

    runner = engine(lanes, tmp_path)
    (failure,) = asyncio.run(
        runner.run(plan(graph(document(l=("Load", {})), runner.paths, Registry(Load), targets=["l"])))
    ).failures
    assert isinstance(failure.error, PathError)
    assert str(failure) == "Load (node l) failed: no file 'gone' in models/loras; there are: none"


@pytest.mark.parametrize("given", [None, (1,), (1, 2, 3), 5, [1, 2]])
def test_the_wrong_number_of_outputs_is_a_fault_of_the_node(lanes: Lanes, tmp_path: Path, given: Any) -> None:
    from tests.graph.toys import Divided

    class Wrong(Node[Divided]):
        def run(self, ctx: Context) -> Divided:
            return given  # type: ignore[no-any-return]

    runner = engine(lanes, tmp_path)
    planned = plan(graph(document(w=("Wrong", {})), runner.paths, Registry(Wrong), targets=["w"]))
    (failure,) = asyncio.run(runner.run(planned)).failures
    assert "declares 2 outputs but gave" in str(failure)


def test_a_fingerprint_that_fails_fails_its_node(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    class Gone(Node[int]):
        def fingerprint(self, paths: Paths) -> str:
            return paths.find("loras", "gone").read_text()

        def run(self, ctx: Context) -> int:
            ctx.resource(Log).ran.append("ran")
            return 0

    runner = engine(lanes, tmp_path, log)
    planned = plan(graph(document(g=("Gone", {})), runner.paths, Registry(Gone), targets=["g"]))
    assert "no file 'gone'" in str(asyncio.run(runner.run(planned)).failures[0])
    assert ran(log) == []


@pytest.mark.parametrize("error", [SystemExit(3), Cancelled(), MemoryError()])
def test_no_error_of_a_node_harms_the_engine(lanes: Lanes, tmp_path: Path, error: BaseException) -> None:
    class Rough(Node[int]):
        def run(self, ctx: Context) -> int:
            raise error

    runner = engine(lanes, tmp_path)
    planned = plan(graph(document(r=("Rough", {})), runner.paths, Registry(Rough), targets=["r"]))
    for _ in range(2):
        assert asyncio.run(runner.run(planned)).failures[0].error is error


def test_a_lane_that_is_not_there_is_refused(tmp_path: Path, log: Log) -> None:
    with Lanes({"cpu": 1}) as few, pytest.raises(LookupError, match="no lane 'io'; there are: cpu"):
        run(engine(few, tmp_path, log), document(**SUM))


def test_closed_lanes_are_refused(tmp_path: Path, log: Log) -> None:
    closed = Lanes()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        run(engine(closed, tmp_path, log), document(**SUM))


# -- what is told


def test_events_in_order(runner: Engine) -> None:
    told: list[Event] = []
    prompt = document(
        a=("Add", {"a": 1}), c=("Count", {"to": 2}), d=("Divide", {"a": ["a", 0], "b": 0}),
        s=("Show", {"value": ["c", 0]}),
    )  # fmt: skip
    run(runner, prompt, targets=["a"])
    run(runner, prompt, targets=["s"], sink=told.append, run_id="r")
    assert [type(event) for event in told] == [
        RunStarted, NodesCached, NodeStarted, NodeProgress, NodeProgress, NodeFinished, NodeStarted, NodeFinished,
        RunFinished,
    ]  # fmt: skip
    assert told[0] == RunStarted("r", ("c", "s"))
    assert told[2:5] == [
        NodeStarted("r", "c", "c", "Count"), NodeProgress("r", "c", "c", 1, 2, "picture 1"),
        NodeProgress("r", "c", "c", 2, 2, "picture 2"),
    ]  # fmt: skip
    shown, ended = told[-2:]
    assert isinstance(shown, NodeFinished)
    assert (shown.node_id, shown.ui) == ("s", {"text": [2]})
    assert isinstance(ended, RunFinished)
    assert ended.status == "succeeded"

    told.clear()
    run(runner, prompt, targets=["d"], sink=told.append, run_id="r")
    assert told[:3] == [RunStarted("r", ("d",)), NodesCached("r", ("a",)), NodeStarted("r", "d", "d", "Divide")]
    failed, ended = told[3:]
    assert isinstance(failed, NodeFailed)
    assert failed.message.startswith("Divide (node d) failed: ZeroDivisionError: ")
    assert isinstance(ended, RunFinished)
    assert ended.status == "failed"


class Peek(Node[int]):
    """Shows what goes through it."""

    value: int

    def run(self, ctx: Context) -> int:
        ctx.show("text", [self.value])
        return self.value


class Save(Node[None], output=True):
    """Saves a number as a file."""

    value: int

    lane = "io"

    def run(self, ctx: Context) -> None:
        with ctx.series("number").claim(".txt") as claim:
            claim.part.write_text(str(self.value))
        ctx.show("files", [claim.entry])


def test_what_cached_nodes_showed_is_told_with_them(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    registry = Registry(*REGISTRY.values(), Peek, Save)
    cache = MemoryCache(10**6, WeightlessValues())
    house = Engine(lanes, cache, Paths(tmp_path), resources=[log], registry=registry, effects=Effects())
    prompt = document(
        a=("Add", {"a": 1}), p=("Peek", {"value": ["a", 0]}), q=("Peek", {"value": ["a", 0]}),
        save=("Save", {"value": ["p", 0]}), show=("Show", {"value": ["q", 0]}),
    )  # fmt: skip
    planned = plan(graph(prompt, house.paths, registry))
    first = asyncio.run(house.run(planned))
    told: list[Event] = []
    done = {"show": JobOutput("show", "show", {"text": [1]})}
    again = asyncio.run(house.run(planned, sink=told.append, done=done))
    assert again.ui == {"save": first.ui["save"], "show": {"text": [1]}}
    cached = next(event for event in told if isinstance(event, NodesCached))
    assert cached.ui == {"save": first.ui["save"], "show": {"text": [1]}}
    told.clear()
    asyncio.run(house.run(plan(graph(prompt, house.paths, registry, targets=["p", "q", "a"])), sink=told.append))
    cached = next(event for event in told if isinstance(event, NodesCached))
    assert (cached.node_ids, cached.ui) == (("a", "p", "q"), {"p": {"text": [1]}, "q": {"text": [1]}})


def test_what_a_node_asks_for_later_and_is_there_already_is_told(lanes: Lanes, tmp_path: Path, log: Log) -> None:
    registry = Registry(*EVERY.values(), Peek)
    house = Engine(lanes, MemoryCache(10**6, WeightlessValues()), Paths(tmp_path), resources=[log], registry=registry)
    prompt = document(
        a=("Add", {"a": 1}), p=("Peek", {"value": ["a", 0]}), o=("Odd", {"number": ["a", 0]}),
        i=("If", {"condition": ["o", 0], "on_true": ["p", 0]}),
    )  # fmt: skip
    asyncio.run(house.run(plan(graph(prompt, house.paths, registry, targets=["p"]))))
    told: list[Event] = []
    asyncio.run(house.run(plan(graph(prompt, house.paths, registry, targets=["i"])), sink=told.append))
    later = [event for event in told if isinstance(event, NodesCached)][-1]
    assert (later.node_ids, later.ui) == (("p",), {"p": {"text": [1]}})


@pytest.mark.parametrize("at", [RunStarted, NodeStarted, NodeFinished, RunFinished])
def test_an_error_of_the_sink_ends_the_run_and_comes_out(runner: Engine, at: type[Event]) -> None:
    def sink(event: Event) -> None:
        if isinstance(event, at):
            raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        run(runner, document(**SUM), sink=sink)
    assert run(runner, document(**SUM)).ui == {"s": {"text": [6]}}
