"""Runs and their cache: what a restart finds again, and which values are alive meanwhile."""

import asyncio
import gc
import logging
import time
import weakref
from pathlib import Path
from typing import Annotated, Any

import pytest

from graph import Context, Engine, Int, Lanes, MemoryCache, Node, Paths, Registry, Socket, plan
from graph.cache import Cache
from graph.cache.disk import DiskCache
from graph.cache.tiered import TieredCache
from graph.result import Result
from tests.graph.blocks import Block, Blocks
from tests.graph.toys import PATIENCE_S, Add, Log, Show, document, graph, ran

Weight = Annotated[Block, Socket("WEIGHT")]
BYTES = 10_000


class Alive:
    """The blocks that are in memory, and how many there ever were at once."""

    def __init__(self) -> None:
        self.blocks: weakref.WeakSet[Block] = weakref.WeakSet()
        self.most = 0

    def made(self, block: Block) -> Block:
        self.blocks.add(block)
        self.most = max(self.most, len(self.blocks))
        return block


class Grow(Node[Weight]):
    """Gives a heavy value of its own."""

    before: Weight | None = None
    number: int = Int(default=0)

    def run(self, ctx: Context) -> Weight:
        ctx.resource(Log).ran.append(ctx.node_id)
        return ctx.resource(Alive).made(Block(bytes([self.number]) * BYTES))


REGISTRY = Registry(Add, Show, Grow)
CHAIN = document(**{f"n{number}": ("Grow", {"number": number} | ({"before": [f"n{number - 1}", 0]} if number else {}))
                    for number in range(20)})  # fmt: skip


def run(cache: Cache, lanes: Lanes, folder: Path, prompt: Any, *targets: str, log: Log, alive: Alive) -> Result:
    runner = Engine(lanes, cache, Paths(folder), resources=[log, alive])
    return asyncio.run(runner.run(plan(graph(prompt, runner.paths, REGISTRY, targets=targets))))


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("room", [0, 5])
def test_a_value_is_let_go_of_after_its_last_use(
    tmp_path: Path, lanes: Lanes, log: Log, room: int, on_disk: bool
) -> None:
    """Of a chain of twenty heavy values, only those that are needed or fit into the cache are in memory."""
    alive, memory = Alive(), MemoryCache(room * (BYTES + 1000), Blocks())
    if not on_disk:
        result = run(memory, lanes, tmp_path, CHAIN, "n19", log=log, alive=alive)
    else:
        with DiskCache(tmp_path / "cache", 10**9, Blocks(), backlog_bytes=3 * (BYTES + 1000)) as disk:
            result = run(TieredCache(memory, disk), lanes, tmp_path, CHAIN, "n19", log=log, alive=alive)
    # What is being made and what it is made from; with a disk, what waits to be written and is being written.
    assert alive.most <= room + 2 + 4 * on_disk
    assert result.outputs["n19"] == (Block(bytes([19]) * BYTES),)
    del result
    given_up = time.monotonic() + PATIENCE_S
    while len(alive.blocks) > room and time.monotonic() < given_up:  # a lane's thread may be about to rest
        gc.collect()  # a run's parts know each other
    assert len(alive.blocks) == room


def test_after_a_restart_nothing_runs_but_what_has_an_effect(tmp_path: Path, lanes: Lanes, log: Log) -> None:
    prompt = document(a=("Add", {"a": 1}), b=("Add", {"a": ["a", 0]}), s=("Show", {"value": ["b", 0]}))
    for expected in (["a", "b", "s"], ["s"]):
        with DiskCache(tmp_path, 10**9, Blocks()) as disk:
            cache = TieredCache(MemoryCache(10**6, Blocks()), disk)
            result = run(cache, lanes, tmp_path, prompt, "s", log=log, alive=Alive())
        assert ran(log) == expected
        assert result.ui["s"] == {"text": [1]}


def test_a_damaged_entry_is_computed_again(
    tmp_path: Path, lanes: Lanes, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    for expected in (["n0", "n1"], ["n1"], []):
        with DiskCache(tmp_path, 10**9, Blocks()) as disk:
            cache = TieredCache(MemoryCache(10**6, Blocks()), disk)
            result = run(cache, lanes, tmp_path, CHAIN, "n1", log=log, alive=Alive())
        assert result.outputs["n1"] == (Block(b"\1" * BYTES),)
        assert ran(log) == expected
        if expected == ["n0", "n1"]:
            [blob] = [file for file in tmp_path.glob("blobs/*") if file.read_bytes()[:1] == b"\1"]
            blob.write_bytes(blob.read_bytes()[1:])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
