"""Nodes for the tests of the server, beside those of the engine's and the scheduler's tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graph import UNFINISHED, Context, Int, Node, Stepper, Text, Unfinished
from tests.graph.scheduler_toys import PATIENCE_S, World


@dataclass
class Dot:
    """A preview."""

    number: int

    def encode(self, side_most: int) -> tuple[Literal["jpeg", "png"], bytes]:
        return "jpeg", b"picture %d of %d" % (self.number, side_most)


class PaintingSteps:
    def __init__(self, steps: int, gate: str) -> None:
        self.steps = steps
        self.gate = gate
        self.done = 0

    def start(self, ctx: Context) -> None:
        self.ctx = ctx

    def step(self) -> int | Unfinished:
        self.done += 1
        if self.done == self.steps and self.gate:
            gate = self.ctx.resource(World).gates[self.gate]
            gate.reached.set()
            gate.open.wait(PATIENCE_S)
        self.ctx.progress(self.done, self.steps, Dot(self.done))
        return UNFINISHED if self.done < self.steps else self.done

    def close(self) -> None:
        pass


class Paint(Node[int], category="toys"):
    """Shows what it is at; before its last step it may wait at a gate."""

    steps: int = Int(default=3)
    gate: str = Text(default="", optional=True)

    lane = "device"

    def stepper(self) -> Stepper[int]:
        return PaintingSteps(self.steps, self.gate)
