"""One stage of training: updates of a network that can stop after any of them and go on later as if they had not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lab.tiny.optimiser import Average, Muon, rate

SAVE_EVERY_S = 60.0
LOG_EVERY = 50


@dataclass(frozen=True)
class Plan:
    """How a stage trains: `updates` steps with a rate that peaks at lr; decay is that of the averaged weights."""

    name: str
    updates: int
    lr: float
    decay: float
    hold: float = 0.4
    adam_lr: float = 1.0


def run_stage(
    plan: Plan,
    network: nn.Module,
    loss: Callable[[int], Tensor],
    folder: Path,
    *,
    until: int | None = None,
    at_save: Callable[[dict[str, Tensor]], None] | None = None,
) -> dict[str, Tensor]:
    """Train the parameters of `network` that want gradients by loss(update), and return the averaged weights.

    Nothing random may depend on anything but the update's number. The state after the last update lies in
    folder/<name>.state: a run that finds one goes on from there. `until` stops early, after that many updates in all.
    `at_save` is given the averaged weights whenever the state is saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{plan.name}.state"
    optimiser = Muon([p for p in network.parameters() if p.requires_grad], plan.lr, adam_lr=plan.adam_lr)
    average = Average(network, plan.decay)
    start, cpu_s, recent = 0, 0.0, 0.0
    if path.is_file():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights = state["average"]
        start, cpu_s, recent = state["update"], state["cpu_s"], state["recent"]

    def save(update: int, cpu_s: float) -> None:
        state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average.weights}
        beside = path.with_suffix(".new")
        torch.save({**state, "update": update, "cpu_s": cpu_s, "recent": recent}, beside)
        beside.replace(path)  # a run killed here keeps the state before
        if at_save:
            at_save(average.weights)

    began_s, saved_s = time.process_time() - cpu_s, time.monotonic()
    end = plan.updates if until is None else min(until, plan.updates)
    for update in range(start, end):
        optimiser.param_groups[0]["lr"] = rate(update, plan.updates, plan.lr, plan.hold)
        value = loss(update)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        average.update(network, update)
        recent += (value.item() - recent) / min(update + 1, 100)
        cpu_s = time.process_time() - began_s
        if (update + 1) % LOG_EVERY == 0:
            print(f"{plan.name} {update + 1}/{plan.updates}  loss {recent:.5f}  {cpu_s:.0f} CPU s", flush=True)
        if time.monotonic() - saved_s > SAVE_EVERY_S:
            save(update + 1, cpu_s)
            saved_s = time.monotonic()
    if end > start:
        save(end, cpu_s)
    return average.weights


def one_thread() -> None:
    """Make this process compute in one thread: sums then always run in the same order."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
