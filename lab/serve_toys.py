"""A server with trivial nodes and without torch, for measurements: `python -m lab.serve_toys FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

from graph.context import Context
from graph.effects import Effects
from graph.library import Session, Surroundings
from graph.node import UNFINISHED, Node, Stepper, Unfinished
from graph.paths import Paths
from graph.preview import Preview
from graph.registry import Registry
from graph.store import StoreLimits
from graph.widgets import Int, Text
from lab.bench_engine import Add, Show
from web.serve import Loaded, QueueSettings, serve
from web.settings import Settings

TURN_S = 0.02  # one step of a node that computes
LATENT = 64  # rows and columns


class Steps:
    """Works in steps until it is cancelled."""

    def __init__(self, work: Callable[[], Preview | None]) -> None:
        self._work = work
        self._done = 0

    def start(self, ctx: Context) -> None:
        """Remember whom to tell."""
        self._ctx = ctx

    def step(self) -> int | Unfinished:
        """One step."""
        self._done += 1
        self._ctx.progress(self._done, 10**6, self._work())
        return UNFINISHED

    def close(self) -> None:
        """Nothing is held."""


class Busy(Node[int], category="bench"):
    """Keeps its lane busy until it is cancelled: in plain Python, or as torch does, in calls that others run beside."""

    kind: str = Text(default="python")

    lane = "device"
    pure = False

    def stepper(self) -> Stepper[int]:
        return Steps(plain_python if self.kind == "python" else calls_to_kernels)


class Paint(Node[int], category="bench"):
    """Offers a preview after each of its steps, which take so long, until it is cancelled."""

    milliseconds: int = Int(default=0)

    lane = "device"
    pure = False

    def stepper(self) -> Stepper[int]:
        import torch

        from nodes.previews import LatentPreview

        colours = torch.randint(256, (LATENT, LATENT, 3), dtype=torch.uint8)

        def work() -> Preview:
            time.sleep(self.milliseconds / 1000)
            return LatentPreview(colours)

        return Steps(work)


def plain_python() -> None:
    """Compute in a way that lets nobody else run Python but when its turn ends."""
    end = time.perf_counter() + TURN_S
    while time.perf_counter() < end:
        sum(number for number in range(100))


def calls_to_kernels() -> None:
    """Compute in calls of a tenth of a millisecond during which others may run Python."""
    block = bytes(2**18)
    end = time.perf_counter() + TURN_S
    while time.perf_counter() < end:
        hashlib.sha256(block)


def main() -> None:
    """Serve at a free port until told to stop; stderr says which."""
    parser = argparse.ArgumentParser(prog="python -m lab.serve_toys", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--history-most", type=int, default=10_000, help="jobs that are over and are kept")
    parser.add_argument("--memory", type=int, default=2**28, metavar="BYTES", help="for results")
    options = parser.parse_args()
    gc.set_threshold(10_000)  # both as main.py does
    sys.setswitchinterval(0.0005)
    logging.basicConfig(level=logging.WARNING)

    def load() -> Loaded:
        surroundings = Surroundings()
        session = Session(
            Registry(Add, Show, Busy, Paint),
            Paths(options.folder),
            surroundings,
            memory_bytes=options.memory,
            effects=Effects(),
        )
        return Loaded(session, surroundings, [])

    queue = QueueSettings(options.folder / "queue.sqlite", StoreLimits(finished=options.history_most))
    settings = Settings(options.folder, port=0)
    asyncio.run(serve(settings, queue, load, lambda line: print(line, file=sys.stderr, flush=True)))


if __name__ == "__main__":
    main()
