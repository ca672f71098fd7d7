"""Measures runs that share passes: four jobs of the bundled checkpoint, and one step at Stable Diffusion 1.5's size.

Prints rows of JSON: seconds of wall and CPU (all threads) one after another, at once, and at once with loose batches.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion.model import Model
    from graph.library import Session

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / "workflows/text_to_image.json"
JOBS = (
    {"sampler_name": "euler_ancestral", "scheduler": "karras", "steps": 20, "cfg": 3.0, "text": "a red apple"},
    {"sampler_name": "dpmpp_2m", "scheduler": "karras", "steps": 16, "cfg": 5.0, "text": "a cat"},
    {"sampler_name": "euler", "scheduler": "normal", "steps": 24, "cfg": 4.0, "text": "a rocket on a blue background"},
    {"sampler_name": "uni_pc", "scheduler": "simple", "steps": 12, "cfg": 2.5, "text": "a yellow star"},
)
ROUNDS = 5
"""Of the same four jobs with other seeds; the first is told apart, since in it kernels are tried for the first time."""


def job(number: int, seed: int) -> dict[str, Any]:
    """A workflow in API form."""
    prompt: dict[str, Any] = json.loads(WORKFLOW.read_text())
    changes = dict(JOBS[number])
    prompt["positive"]["inputs"]["text"] = changes.pop("text")
    prompt["sampler"]["inputs"] |= {**changes, "seed": seed}
    return prompt


class Watch:
    """Counts the rows of a network's passes and the wall seconds in them."""

    def __init__(self, model: Model) -> None:
        self.seconds, self.passes, self.rows = 0.0, 0, 0
        network = model.network()
        network.register_forward_pre_hook(self._begin)
        network.register_forward_hook(self._end)

    def _begin(self, network: object, inputs: tuple[Tensor, ...]) -> None:
        self._began = time.perf_counter()
        self.passes += 1
        self.rows += len(inputs[0])

    def _end(self, network: object, inputs: object, output: object) -> None:
        self.seconds += time.perf_counter() - self._began


async def drawn(session: Session, seed: int, *, at_once: bool) -> list[Any]:
    """The latents of the four jobs, whose pictures are saved."""
    from graph.read.api import read_api

    runs = [session.run(read_api(job(number, seed + number)), keep=["sampler"]) for number in range(len(JOBS))]
    results = await asyncio.gather(*runs) if at_once else [await run for run in runs]
    assert not any(result.failures for result in results), results
    return [result.outputs["sampler"][0]["samples"] for result in results]


def pictures(*, at_once: bool, loose: bool = False) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Rows of the first round and of the median of the others, and the latents of all."""
    import nodes
    from diffusion.memory import Memory
    from diffusion.model import load_checkpoint
    from graph.library import Session
    from graph.paths import Paths
    from graph.registry import Registry
    from nodes.surroundings import surroundings

    around = surroundings(loose_batches=loose)
    [memory] = (each for each in around.resources if isinstance(each, Memory))
    checkpoint = ROOT / "models/checkpoints/darkroom-tiny.safetensors"
    watch = Watch(load_checkpoint(checkpoint, memory, find_embedding=lambda name: None)[0])
    rows, latents = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(ROOT, output_folder=Path(folder))
        with Session(Registry.scan(nodes), paths, around) as session:
            asyncio.run(drawn(session, 10_000, at_once=False))
            for each in range(ROUNDS):
                watch.seconds, watch.passes, watch.rows = 0.0, 0, 0
                wall, cpu = time.perf_counter(), time.process_time()
                latents.append(asyncio.run(drawn(session, 100 * each, at_once=at_once)))
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                rows.append(
                    {
                        "wall_s": round(wall, 2),
                        "cpu_s": round(cpu, 2),
                        "unet_share": round(watch.seconds / wall, 2),
                        "passes": watch.passes,
                        "rows_a_pass": round(watch.rows / watch.passes, 1),
                    }
                )
    typical = sorted(rows[1:], key=lambda row: row["cpu_s"])[(ROUNDS - 1) // 2]
    return [{"first": True, **rows[0]}, typical], latents


def bundled() -> list[dict[str, Any]]:
    """Four jobs of the bundled checkpoint, from the queue to the files."""
    found = []
    ways: dict[str, dict[str, bool]] = {
        "one after another": {"at_once": False},
        "at once": {"at_once": True},
        "at once, loose": {"at_once": True, "loose": True},
    }
    reference: list[list[Any]] = []
    for name, way in ways.items():
        rows, latents = pictures(**way)
        reference = reference or latents
        farthest = max(
            float((a - b).abs().max())
            for one, other in zip(latents, reference, strict=True)
            for a, b in zip(one, other, strict=True)
        )
        found += [
            {"case": f"batch of 4 jobs, {name}", "unit": "seconds", **row, "farthest_from_alone": farthest}
            for row in rows
        ]
    return found


def full_size(pairs: int = 2, size: int = 256) -> list[dict[str, Any]]:
    """A step of so many runs at Stable Diffusion 1.5's size: a pass for each, and one for all."""
    import torch

    from diffusion.batching import Sharing
    from lab.bench import measure, parts

    model = parts()[0]
    network, side = model.network(), size // 8
    inputs = [
        (torch.randn(2, 4, side, side), torch.tensor([300.0 * (run + 1)] * 2), torch.randn(2, 77, 768))
        for run in range(pairs)
    ]
    whole = [torch.cat(each) for each in zip(*inputs, strict=True)]
    strict, loose = Sharing(), Sharing(loose=True)

    def shared(sharing: Sharing) -> Tensor:
        with sharing.pass_of([2] * pairs):
            out: Tensor = network(*whole)
            return out

    def apart() -> Tensor:
        return torch.cat([network(*each) for each in inputs])

    ways: dict[str, Callable[[], Tensor]] = {
        f"{pairs} passes of 2 rows": apart,
        f"1 pass of {2 * pairs} rows": lambda: shared(strict),
        f"1 pass of {2 * pairs} rows, loose": lambda: shared(loose),
    }
    with torch.inference_mode():
        alone = apart()
        return [
            {
                "case": f"batch SD1.5 {size}x{size}, {name}",
                "unit": "seconds",
                **{key: round(value, 2) for key, value in measure(work, 3).items() if isinstance(value, float)},
                "farthest_from_alone": float((work() - alone).abs().max()),
            }
            for name, work in ways.items()
        ]


def main(cases: Sequence[Callable[[], list[dict[str, Any]]]] = (bundled, full_size)) -> None:
    """Print the rows."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as main.py does; read when torch is imported
    for case in cases:
        for row in case():
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
