"""`make bench`: seconds and memory of each stage at Stable Diffusion 1.5's full size, beside the reference's figures.

Each case runs in a process of its own and reports medians of wall and CPU seconds (user + system, all threads), and the
peak of anonymous memory. The result is written as JSON and compared with the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each case imports what it measures, in its own process
    from diffusion.model import Clip, Conditioning, Model, Vae
    from diffusion.sampling import Denoising

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LAST = BUILD / "bench.json"


@dataclass(frozen=True)
class Reference:
    """CPU seconds of ComfyUI 0.3.64 for the same work (fp32, two cores), and the share that Darkroom allows itself."""

    cpu_s: float
    limit: float


REFERENCES = {
    "load and first step 256x256": Reference(2.7 + 5.7, 0.8),
    "step 256x256": Reference(5.7, 0.85),
    "step 512x512": Reference(25.3, 0.85),
    "VAE decode 256x256": Reference(6.6, 1.0),
    "VAE decode 512x512": Reference(28.6, 1.0),
    "encode one prompt": Reference(0.25, 1.0),
}


def anonymous_bytes() -> int:
    """Anonymous memory of this process: what it allocated, without the mapped pages of files. Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def peak_anonymous() -> Iterator[list[int]]:
    """A list whose only entry grows to the peak of anonymous memory in bytes, looked at every 5 ms."""
    peak, done = [anonymous_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous_bytes())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def measure(work: Callable[[], object], times: int, *, warm_up: bool = True) -> dict[str, object]:
    """Medians of wall and CPU seconds over so many runs, after one that is not counted."""
    if warm_up:
        work()
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall_s": statistics.median(walls), "cpu_s": statistics.median(cpus), "times": times}


def checkpoint() -> Path:
    """The full-size checkpoint of random weights, made on first use (2.1 GB, half a minute)."""
    from lab.recipe import sd15_shapes, write_checkpoint

    path = BUILD / "sd15_synth.safetensors"
    if not path.exists():
        print("making the full-size checkpoint of random weights …", file=sys.stderr)
        write_checkpoint(sd15_shapes(), path)
    return path


def parts() -> tuple[Model, Clip, Vae]:
    """Model, Clip and Vae of the full-size checkpoint."""
    import torch

    from diffusion.memory import Memory
    from diffusion.model import load_checkpoint

    return load_checkpoint(checkpoint(), Memory(torch.device("cpu")), find_embedding=lambda name: None)


def sampling(model: Model, conditioning: Conditioning, size: int, steps: int) -> Denoising:
    """A run of the sampler at so many pixels a side, ready to step."""
    import torch

    from diffusion.sampling import denoising

    return denoising(
        model,
        seed=1,
        steps=steps,
        cfg=7.0,
        sampler_name="euler",
        scheduler="normal",
        positive=conditioning,
        negative=conditioning,
        latent={"samples": torch.zeros(1, 4, size // 8, size // 8)},
    )


def random_conditioning() -> Conditioning:
    """A conditioning of the right shape, without a text encoder."""
    import torch

    return [[torch.randn(1, 77, 768), {"pooled_output": torch.randn(1, 768)}]]


def load_and_first_step() -> dict[str, object]:
    """From a file name to the first denoised latent. Modules are imported before, as in a server; weights are not."""
    import diffusion.model
    import diffusion.sampling  # noqa: F401

    conditioning = random_conditioning()

    def work() -> None:
        model, _, _ = parts()
        sampling(model, conditioning, 256, 2).step()

    return measure(work, 3, warm_up=False)


def step(size: int) -> dict[str, object]:
    """One pass of the network with classifier-free guidance: two rows."""
    model, _, _ = parts()
    times = 5 if size <= 256 else 3
    run = sampling(model, random_conditioning(), size, times + 2)
    return measure(run.step, times)


def decode(size: int) -> dict[str, object]:
    """Latent to picture."""
    import torch

    vae = parts()[2]
    latent = torch.randn(1, 4, size // 8, size // 8)
    return measure(lambda: vae.decode(latent), 3)


def encode_picture(size: int) -> dict[str, object]:
    """Picture to latent."""
    import torch

    vae = parts()[2]
    pixels = torch.rand(1, size, size, 3)
    return measure(lambda: vae.encode(pixels), 3)


def encode_prompt() -> dict[str, object]:
    """One prompt of one chunk of 77 tokens."""
    clip = parts()[1]
    return measure(lambda: clip.encode("beautiful scenery nature glass bottle landscape, purple galaxy bottle,"), 7)


def show_help() -> dict[str, object]:
    """`main.py --help`, in a process of its own."""
    command = [sys.executable, str(ROOT / "main.py"), "--help"]

    def once() -> tuple[float, float]:
        wall, before = time.perf_counter(), os.times()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return time.perf_counter() - wall, cpu

    runs = [once() for _ in range(6)][1:]
    return {
        "wall_s": statistics.median(wall for wall, _ in runs),
        "cpu_s": statistics.median(cpu for _, cpu in runs),
        "times": len(runs),
    }


def ceilings() -> dict[str, object]:
    """What this machine's kernels reach in float32, in GFLOP per second: the floor of every figure above."""
    import torch
    import torch.nn.functional as F

    def rate(operations: float, work: Callable[[], object]) -> float:
        wall = measure(work, 5)["wall_s"]
        assert isinstance(wall, float)
        return round(operations / wall / 1e9)

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    x = torch.randn(2, 320, 64, 64).contiguous(memory_format=torch.channels_last)
    w = torch.randn(320, 320, 3, 3).contiguous(memory_format=torch.channels_last)
    q = torch.randn(2, 8, 4096, 40)
    with torch.inference_mode():
        return {
            "matrix_gflops": rate(2 * 2048**3, lambda: a @ b),
            "convolution_gflops": rate(2 * 2 * 64 * 64 * 320 * 320 * 9, lambda: F.conv2d(x, w, padding=1)),
            "attention_gflops": rate(4 * 2 * 8 * 4096**2 * 40, lambda: F.scaled_dot_product_attention(q, q, q)),
        }


CASES: dict[str, Callable[[], dict[str, object]]] = {
    "main.py --help": show_help,
    "encode one prompt": encode_prompt,
    "load and first step 256x256": load_and_first_step,
    "step 256x256": lambda: step(256),
    "step 512x512": lambda: step(512),
    "VAE decode 256x256": lambda: decode(256),
    "VAE decode 512x512": lambda: decode(512),
    "VAE encode 256x256": lambda: encode_picture(256),
    "VAE encode 512x512": lambda: encode_picture(512),
    "ceilings": ceilings,
}

ROOMS = (
    "engine",
    "overlap",
    "batch",
    "store",
    "convert",
    "server",
)  # each has a module lab.bench_NAME, whose rows of JSON have a case and a unit


def run_case(name: str) -> dict[str, object]:
    """Run one case in this process."""
    with peak_anonymous() as peak:
        result = CASES[name]()
    return result | {"peak_anonymous_bytes": peak[0]}


def in_own_process(arguments: list[str]) -> list[dict[str, object]]:
    """Run a module that prints JSON, one object a line, and give the objects."""
    out = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def line(name: str, result: dict[str, object], last: dict[str, object] | None) -> str:
    """One row of the table: wall, CPU, memory, the ratio to the reference and to the last run."""
    wall, cpu, memory = result["wall_s"], result["cpu_s"], result["peak_anonymous_bytes"]
    assert isinstance(wall, float)
    assert isinstance(cpu, float)
    assert isinstance(memory, int)
    text = f"{name:30} {wall:8.2f} s wall {cpu:8.2f} s CPU {memory / 2**30:6.2f} GiB"
    if reference := REFERENCES.get(name):
        ratio = cpu / reference.cpu_s
        text += f"  {ratio:5.2f} of the reference's {reference.cpu_s:.2f} (at most {reference.limit})"
    if last and isinstance(before := last.get("cpu_s"), float) and before:
        text += f"  {100 * (cpu / before - 1):+.0f} % since the last run"
    return text


def row_line(row: dict[str, object]) -> str:
    """A row of one of ROOMS, with its trace below it."""
    trace = row.get("trace", ())
    assert isinstance(trace, list | tuple)
    figures = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("case", "unit", "trace"))
    return "\n".join([f"{row['case']:30} {row['unit']}: {figures}", *(f"    {each}" for each in trace)])


def main() -> None:
    """Run every case (or those whose names contain the argument), print a table, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench", description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="run the cases whose name contains this")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as main.py does
    if arguments.case:
        print(json.dumps(run_case(arguments.case)))
        return

    if any(arguments.only in name for name in CASES):
        checkpoint()
    last = json.loads(LAST.read_text()) if LAST.exists() else {}
    results: dict[str, object] = dict(last)
    for name in (name for name in CASES if arguments.only in name):
        [result] = in_own_process(["lab.bench", "--case", name])
        if name == "ceilings":
            print(
                "this machine, float32:",
                ", ".join(f"{key} {value}" for key, value in result.items() if key.endswith("gflops")),
            )
        else:
            print(line(name, result, last.get(name)), flush=True)
        results[name] = result
    for room in (room for room in ROOMS if arguments.only in room):
        results[room] = rows = in_own_process([f"lab.bench_{room}"])
        for row in rows:
            print(row_line(row), flush=True)
    results["references"] = {name: asdict(reference) for name, reference in REFERENCES.items()}
    BUILD.mkdir(exist_ok=True)
    beside = LAST.with_suffix(".part")
    beside.write_text(json.dumps(results, indent=1))
    beside.replace(LAST)
    print(f"written to {LAST.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
