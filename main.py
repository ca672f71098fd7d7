"""Darkroom's command line, and the only place that knows every room: run | check | plan | nodes."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing torch takes seconds, and --help shall not wait for it
    from graph.document import Document
    from graph.model import Graph, Plan
    from graph.paths import Paths
    from graph.registry import Registry

HOUSE = Path(__file__).resolve().parent
CACHE_BYTES = 2**30
DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130  # exit statuses; 130 is what shells give for Ctrl-C


class Refusal(Exception):
    """Something in what was given must change: sentences for people, one per line."""

    def __init__(self, *sentences: object) -> None:
        self.sentences = [str(sentence) for sentence in sentences]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    options = parser().parse_args(arguments)
    # Read when torch is imported: its threads wait for each other asleep. Spinning, they would fight over a processor
    # that is busy with something else, and a step would take fifty times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return int(options.command(options))
    except Refusal as refusal:
        for sentence in refusal.sentences:
            print(sentence, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return STOPPED


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="main.py", description="Darkroom: draw with Stable Diffusion workflows.")
    base = argparse.ArgumentParser(add_help=False)
    base.add_argument(
        "--base",
        type=Path,
        default=HOUSE,
        metavar="DIR",
        help="where models, input, output and temp lie (default: here)",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", parents=[base], help="run a workflow and say where its pictures are")
    run.add_argument("file", type=Path, metavar="FILE", help="a workflow in API form, or a PNG that carries one")
    run.add_argument("--output", type=Path, metavar="DIR", help="put pictures there instead of in the output folder")
    run.set_defaults(command=run_command)

    check = commands.add_parser("check", parents=[base], help='say everything that is wrong with workflows, or "ok"')
    check.add_argument("files", type=Path, nargs="+", metavar="FILE")
    check.set_defaults(command=check_command)

    plan = commands.add_parser("plan", parents=[base], help="show what would run, in order")
    plan.add_argument("file", type=Path, metavar="FILE")
    plan.set_defaults(command=plan_command)

    for command in (run, plan):
        command.add_argument(
            "--set", action="append", default=[], dest="changes", metavar="NODE.INPUT=VALUE",
            help="change an input first; NODE is an id, or a title or class that only one node has",
        )  # fmt: skip

    nodes = commands.add_parser(
        "nodes", parents=[base], help="show the node classes there are, or what one takes and gives"
    )
    nodes.add_argument("name", nargs="?", metavar="NAME")
    nodes.set_defaults(command=nodes_command)
    return top


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_command(options: argparse.Namespace) -> int:
    """Draw: progress goes to stderr, the names of pictures and the times to stdout."""
    import asyncio

    from graph.cache.memory import MemoryCache
    from graph.engine import Engine
    from graph.lanes import Lanes

    if options.output and options.output.is_file():
        raise Refusal(f"{options.output} is a file; give a folder to --output.")
    registry, paths = house(options)
    plan = planned(options, registry, paths)

    import torch

    from diffusion.devices import best_device
    from diffusion.memory import Memory
    from nodes import runtime
    from terminal import Progress

    memory = Memory(best_device(), torch.float32)
    progress = Progress(plan)
    with Lanes(around=runtime.lane_settings()) as lanes:
        engine = Engine(
            lanes, MemoryCache(CACHE_BYTES, runtime.TensorValues()), paths, resources=[memory],
            code=runtime.code(), environment=runtime.environment(memory.device, memory.dtype),
        )  # fmt: skip
        result = asyncio.run(engine.run(plan, sink=progress))
    for shown in result.ui.values():
        for entry in shown.get("images", ()):
            print(pretty(paths.folders[entry["type"]] / entry["subfolder"] / entry["filename"]))
    if not result.failures:
        print(progress.times(result.seconds))
        return DONE
    for failure in result.failures:
        print(failure, file=sys.stderr)
        if not failure.is_for_people:
            traceback.print_exception(failure.error)
    return REFUSED if all(failure.is_for_people for failure in result.failures) else FAILED


def check_command(options: argparse.Namespace) -> int:
    """Validate workflows; several are told apart by their names."""
    registry, paths = house(options)
    status = DONE
    for file in options.files:
        name = f"{file}: " if len(options.files) > 1 else ""  # sentences about the file itself begin with it anyway
        try:
            validated(read(file), registry, paths)
            print(f"{name}ok")
        except Refusal as refusal:
            for sentence in refusal.sentences:
                print(f"{name}{sentence.removeprefix(name)}", file=sys.stderr)
            status = REFUSED
    return status


def plan_command(options: argparse.Namespace) -> int:
    """Print a workflow's nodes in the order in which they would run, each with where its inputs come from."""
    from terminal import describe_plan

    print(*describe_plan(planned(options, *house(options))), sep="\n")
    return DONE


def nodes_command(options: argparse.Namespace) -> int:
    """List the node classes, or describe one."""
    from terminal import describe_node, describe_registry

    registry, paths = house(options)
    if options.name is None:
        print(*describe_registry(registry), sep="\n")
        return DONE
    if options.name not in registry:
        near = registry.nearest(options.name)
        hint = f"did you mean {' or '.join(near)}?" if near else "“main.py nodes” shows what there is."
        raise Refusal(f"There is no node class {options.name!r}; {hint}")
    print(*describe_node(registry[options.name].schema(), paths), sep="\n")
    return DONE


# ── the way of a workflow ─────────────────────────────────────────────────────────────────────────────────────────────


def house(options: argparse.Namespace) -> tuple[Registry, Paths]:
    """The node classes and the folders."""
    import nodes
    from graph.paths import Paths
    from graph.registry import Registry

    return Registry.scan(nodes), Paths(options.base, output_folder=getattr(options, "output", None))


def read(file: Path) -> Document:
    """The workflow in a file."""
    from graph.problems import DocumentError
    from graph.read import read as read_bytes

    try:
        return read_bytes(file.read_bytes())
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror or error}; give the name of a workflow file.") from error
    except DocumentError as error:
        raise Refusal(*(f"{file}: {problem}" for problem in error.problems)) from error


def validated(document: Document, registry: Registry, paths: Paths) -> Graph:
    """The graph, or a Refusal with every problem."""
    from graph.validate import validate

    graph = validate(document, registry, paths)
    if isinstance(graph, list):
        raise Refusal(*graph)
    return graph


def planned(options: argparse.Namespace, registry: Registry, paths: Paths) -> Plan:
    """The plan of the file that was given, with the changes that were asked for."""
    from graph.override import OverrideError, override
    from graph.plan import plan
    from graph.read.api import read_api

    document = read(options.file)
    if options.changes:
        try:
            # Without the editor's form, which does not know of the changes.
            document = read_api(override(document.prompt, options.changes, registry, paths))
        except OverrideError as error:
            raise Refusal(error) from error
    return plan(validated(document, registry, paths))


def pretty(path: Path) -> Path:
    """A path as short as it can be said from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may not know every character
    sys.exit(main())
