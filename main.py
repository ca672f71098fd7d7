"""Darkroom's command line, and the only place that knows every room: serve, run, check, plan, convert, nodes."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from web import options as serve_options

if TYPE_CHECKING:  # importing torch takes seconds, and --help shall not wait for it
    from compat.packs import PackReport
    from graph.document import Document
    from graph.effects import Effects
    from graph.library import Session, Surroundings
    from graph.model import Graph, Plan
    from graph.paths import Paths
    from graph.result import Result
    from web.serve import Loaded

HOUSE = Path(__file__).resolve().parent
ANY_FILE = "a workflow as the editor saves it or in API form, or a picture that carries one"
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
    # A large workflow is some hundred thousand objects that stay. To look for garbage at every 700 new ones, as Python
    # does by itself, takes a third of the time in which the engine finds that nothing has changed.
    gc.set_threshold(10_000)
    # Nodes may compute in plain Python for minutes, and after every call to a disk or a database a thread waits until
    # each of them gives up its turn. With Python's turns of 5 ms, two of them make each write of the queue take 0.2 s.
    sys.setswitchinterval(0.0005)
    try:
        return int(options.command(options))
    except Refusal as refusal:
        return tell(refusal)
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
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="keep results there, so that the next time only what changed runs"
    )
    engine.add_argument(
        "--cache-size", type=size_bytes, default=size_bytes("10G"), metavar="SIZE",
        help="how much to keep there at most, such as 500M or 20G (default: 10G)",
    )  # fmt: skip
    engine.add_argument(
        "--batch-loose", action="store_true",
        help="let more runs share passes of a network, although their last bits may then differ from running alone",
    )  # fmt: skip
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", parents=[base, engine], help="start the server: a browser and programs use it")
    serve_options.add_options(serve)
    serve.add_argument(
        "--node-limit", type=seconds, metavar="SECONDS",
        help="give up a node that takes longer, or a single step of one that works in steps",
    )  # fmt: skip
    serve.set_defaults(command=serve_command)

    run = commands.add_parser("run", parents=[base, engine], help="run workflows and say where their pictures are")
    run.add_argument(
        "files", type=Path, nargs="+", metavar="FILE",
        help=f"{ANY_FILE}; several run together and share what they can",
    )  # fmt: skip
    run.add_argument("--output", type=Path, metavar="DIR", help="put pictures there instead of in the output folder")
    run.add_argument(
        "--node-limit", type=seconds, metavar="SECONDS",
        help="give up a node that takes longer, or a single step of one that works in steps",
    )  # fmt: skip
    run.set_defaults(command=run_command)

    check = commands.add_parser("check", parents=[base], help='say everything that is wrong with workflows, or "ok"')
    check.add_argument("files", type=Path, nargs="+", metavar="FILE", help=ANY_FILE)
    check.set_defaults(command=check_command)

    plan = commands.add_parser("plan", parents=[base, engine], help="show what would run, in order")
    plan.add_argument("file", type=Path, metavar="FILE", help=ANY_FILE)
    plan.add_argument("--explain", action="store_true", help="say for every node why it would run, or why not")
    plan.set_defaults(command=plan_command)

    for command in (run, plan):
        command.add_argument(
            "--set", action="append", default=[], dest="changes", metavar="NODE.INPUT=VALUE",
            help="change an input first; NODE is an id, or a title or class that only one node has",
        )  # fmt: skip

    for command in (run, check, plan):
        command.add_argument(
            "--match-models", action="store_true",
            help="take the file of the same or the most similar name for each model that is not here, and say so",
        )  # fmt: skip

    convert = commands.add_parser(
        "convert", parents=[base], help="write a workflow in another form: the editor's, API form or Python",
        description="Write a workflow in another form. It may name node classes and models that are not here. "
        "A file of Python (.py) is run as a program, for the workflow that it makes: give only one that you trust.",
    )  # fmt: skip
    convert.add_argument("file", type=Path, metavar="IN", help=f"{ANY_FILE}, or Python source (.py)")
    convert.add_argument(
        "out", metavar="OUT",
        help="the file to write: .py is Python, .json API form if IN is of the editor, else the editor's form; "
        "- prints it",
    )  # fmt: skip
    convert.add_argument("--to", choices=["editor", "api", "python"], help="the form, whatever OUT is called")
    convert.add_argument("--force", action="store_true", help="write even if OUT is IN itself")
    convert.set_defaults(command=convert_command)

    nodes = commands.add_parser(
        "nodes", parents=[base], help="show the node classes there are, or what one takes and gives"
    )
    nodes.add_argument("name", nargs="?", metavar="NAME")
    nodes.set_defaults(command=nodes_command)
    return top


def size_bytes(text: str) -> int:
    """A number of bytes: 500M, 20G. Raises ArgumentTypeError for what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", text.strip(), re.IGNORECASE)
    size = float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " ") if found else float("inf")
    if size == float("inf"):  # also of a number with hundreds of digits
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write a number with K, M, G or T, such as 20G")
    return int(size)


def seconds(text: str) -> float:
    """A length of time above zero. Raises ArgumentTypeError for what is none."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write a number of seconds above 0")
    return found


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def serve_command(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM. The address is said at once; node classes and models are loaded meanwhile."""
    from graph.store import StoreError
    from web import logs
    from web.options import BadOption, queue_of, settings_of
    from web.security import UnsafeSettings, check_settings
    from web.serve import CannotServe, run_to_end, serve

    logs.set_up(options.log, "INFO")

    def load() -> Loaded:
        return load_for_serving(options)

    try:
        settings = settings_of(options)
        check_settings(settings, insecure=options.insecure)
        run_to_end(serve(settings, queue_of(options), load, lambda line: print(line, file=sys.stderr, flush=True)))
    except (BadOption, UnsafeSettings, CannotServe, StoreError) as error:
        raise Refusal(error) from error
    return DONE


def load_for_serving(options: argparse.Namespace) -> Loaded:
    """Node classes, packs, and what runs them: takes seconds."""
    from graph.effects import Effects
    from web.serve import Loaded
    from web.services import Pack

    house = House(options)
    found = house.surroundings(previews=True)
    # The house is a pack, too: it brings translations and sample workflows, as others do.
    packs = [Pack("darkroom", HOUSE, None)]
    packs += [Pack(each.name, each.path, each.web) for each in house.packs if each.problem is None]
    return Loaded(house.session(found, effects=Effects()), found, packs)


def run_command(options: argparse.Namespace) -> int:
    """Draw: progress goes to stderr, the names of pictures and the times to stdout."""
    import asyncio

    from terminal import Progress

    refuse_file(options.output, "--output")
    house = House(options)
    status = DONE
    plans: list[tuple[str, Plan]] = []  # each with what its lines begin with
    for file in options.files:
        name = f"{file}: " if len(options.files) > 1 else ""
        try:
            plans.append((name, house.plan(file, name)))
        except Refusal as refusal:
            status = tell(refusal, name)
    if not plans:
        return status
    progress = Progress()

    async def run_all(session: Session) -> list[Result]:
        sinks = (progress.of(number, plan, name) for number, (name, plan) in enumerate(plans))
        runs = (session.run(plan, sink=sink) for (_, plan), sink in zip(plans, sinks, strict=True))
        return await asyncio.gather(*runs)

    with house.session() as session, redirect_stdout(sys.stderr):  # what nodes print is no result
        results = asyncio.run(run_all(session))
    for number, ((name, _), result) in enumerate(zip(plans, results, strict=True)):
        found = report(name, result, house.paths, progress.times(number, result.seconds))
        status = FAILED if FAILED in (status, found) else max(status, found)
    return status


def report(name: str, result: Result, paths: Paths, times: str) -> int:
    """Say what came of a run; `name` begins each line. Its exit status."""
    for shown in result.ui.values():
        for entry in shown.get("images", ()):
            match entry:
                case {"type": str(where), "filename": str(file)} if where in paths.folders:  # what else packs may show
                    print(f"{name}{pretty(paths.folders[where] / entry.get('subfolder', '') / file)}")
    if not result.failures:
        if times:  # else all was remembered
            print(f"{name}{times}")
        return DONE
    for failure in result.failures:
        print(f"{name}{failure}", file=sys.stderr)
        if not failure.is_for_people:
            traceback.print_exception(failure.error)
    return REFUSED if all(failure.is_for_people for failure in result.failures) else FAILED


def check_command(options: argparse.Namespace) -> int:
    """Validate workflows; several are told apart by their names."""
    house = House(options)
    status = DONE
    for file in options.files:
        name = f"{file}: " if len(options.files) > 1 else ""
        try:
            house.validate(house.read(file, name))
            print(f"{name}ok")
        except Refusal as refusal:
            status = tell(refusal, name)
    return status


def plan_command(options: argparse.Namespace) -> int:
    """Print a workflow's nodes in the order in which they would run, with where each takes its inputs from, or why."""
    from graph.explain import explain
    from terminal import describe_explanations, describe_plan

    house = House(options)
    plan = house.plan(options.file)
    if not options.explain:
        print(*describe_plan(plan), sep="\n")
        return DONE
    with house.session() as session:
        print(*describe_explanations(explain(plan, session.engine, session.notes)), sep="\n")
    return DONE


def convert_command(options: argparse.Namespace) -> int:
    """Write a workflow in another form; what was odd about it goes to stderr."""
    from converting import form_for, read_any, unknown_classes, write_text
    from graph.write import write

    house = House(options)
    out = Path(options.out)
    with refusing(options.file), redirect_stdout(sys.stderr):  # what a file of Python prints is no result
        given = read_any(options.file, house.registry, house.paths)
    try:
        form = form_for(options.out, given, options.to)
    except ValueError as error:
        raise Refusal(error) from error
    if options.out != "-" and not options.force and out.exists() and out.samefile(options.file):
        raise Refusal(f"{out} is the file that is read; give another name, or --force to write over it.")
    with refusing(options.file):
        text = write(given.document, form, house.registry, house.paths)
    note([*given.document.notes, *unknown_classes(given.document, house.registry, house.paths)])
    if options.out == "-":
        print(text, end="")
        return DONE
    try:
        write_text(out, text)
    except OSError as error:
        raise Refusal(f"{out} cannot be written: {error.strerror or error}; give another name.") from error
    return DONE


def nodes_command(options: argparse.Namespace) -> int:
    """List the node classes and the packs that some come from, or describe one."""
    from terminal import describe_node, describe_packs, describe_registry

    house = House(options)
    registry = house.registry
    if options.name is None:
        print(*describe_registry(registry), *describe_packs(house.packs), sep="\n")
        return DONE
    if options.name not in registry:
        near = registry.nearest(options.name)
        hint = f"did you mean {' or '.join(near)}?" if near else "“main.py nodes” shows what there is."
        raise Refusal(f"There is no node class {options.name!r}; {hint}")
    print(*describe_node(registry[options.name].schema(), house.paths), sep="\n")
    return DONE


# ── the way of a workflow ─────────────────────────────────────────────────────────────────────────────────────────────


class House:
    """The rooms put together as the options say: node classes and packs, folders, and what runs workflows."""

    def __init__(self, options: argparse.Namespace) -> None:
        import nodes
        from compat import packs
        from graph.digests import Digests, Stamps
        from graph.paths import Paths
        from graph.registry import Registry

        self.options = options
        self.cache_dir: Path | None = getattr(options, "cache_dir", None)
        refuse_file(self.cache_dir, "--cache-dir")
        digests = Digests(self.cache_dir / "digests.json") if self.cache_dir else Stamps()
        self.paths = Paths(options.base, output_folder=getattr(options, "output", None), digests=digests)
        self.registry = Registry.scan(nodes)
        with redirect_stdout(sys.stderr):  # what packs say when they are imported is no result
            self.packs: list[PackReport] = packs.load([options.base / "custom_nodes"], self.registry)
        for pack in self.packs:
            if pack.problem:
                print(f"The pack {pack.name} could not be loaded: {pack.problem}", file=sys.stderr)

    def read(self, file: Path, name: str = "") -> Document:
        """The workflow in a file with the changes that were asked for. What was odd is said, beginning with `name`."""
        from converting import read_file, with_prompt
        from graph.override import OverrideError, override
        from graph.read.missing import match_models

        with refusing(file):
            document = read_file(file, self.registry, self.paths).document
            prompt, notes = document.prompt, list(document.notes)
            if self.options.match_models:
                prompt, matched = match_models(prompt, self.registry, self.paths)
                notes += matched
            note(notes, name)
            if changes := getattr(self.options, "changes", []):
                try:
                    prompt = override(prompt, changes, self.registry, self.paths)
                except OverrideError as error:
                    raise Refusal(error) from error
            is_same = prompt == document.prompt
            return document if is_same else with_prompt(document, prompt, self.registry, self.paths)

    def validate(self, document: Document) -> Graph:
        """The graph, or a Refusal with every problem."""
        from converting import checked
        from graph.problems import DocumentError

        try:
            return checked(document, self.registry, self.paths)
        except DocumentError as error:
            raise Refusal(*error.problems) from error

    def plan(self, file: Path, name: str = "") -> Plan:
        """The plan of the workflow in a file, with the changes that were asked for."""
        from graph.plan import plan

        return plan(self.validate(self.read(file, name)))

    def surroundings(self, *, previews: bool = False) -> Surroundings:
        """What nodes need around them on this machine."""
        from compat import packs
        from nodes import runtime
        from nodes.surroundings import surroundings

        code = packs.code_of(self.packs, runtime.code())
        return surroundings(code=code, loose_batches=self.options.batch_loose, previews=previews)

    def session(self, around: Surroundings | None = None, *, effects: Effects | None = None) -> Session:
        """What runs plans: lanes, memory and caches of this machine."""
        from graph.library import Session

        return Session(
            self.registry, self.paths, around or self.surroundings(), cache_dir=self.cache_dir,
            disk_bytes=self.options.cache_size, limit_s=getattr(self.options, "node_limit", None), effects=effects,
        )  # fmt: skip


@contextmanager
def refusing(file: Path) -> Iterator[None]:
    """Raises a Refusal for a file that cannot be read, or is no workflow."""
    from graph.problems import DocumentError

    try:
        yield
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror or error}; give the name of a workflow file.") from error
    except DocumentError as error:
        raise Refusal(*(f"{file}: {problem}" for problem in error.problems)) from error


def note(sentences: Iterable[str], name: str = "") -> None:
    """Say what is worth knowing and stops nothing, each sentence once."""
    for sentence in dict.fromkeys(sentences):
        print(f"{name}{sentence}", file=sys.stderr)


def refuse_file(folder: Path | None, option: str) -> None:
    """Raises a Refusal for a folder that cannot be made, since it or what it would lie in is a file."""
    for place in (folder, *folder.parents) if folder else ():
        if place.is_file():
            raise Refusal(f"{place} is a file; give a folder to {option}.")


def tell(refusal: Refusal, name: str = "") -> int:
    """Say what must change, each sentence with the name of its file; the exit status for that."""
    for sentence in refusal.sentences:
        print(f"{name}{sentence.removeprefix(name)}", file=sys.stderr)  # those about the file itself begin with it
    return REFUSED


def pretty(path: Path) -> Path:
    """A path as short as it can be said from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def leave(status: int) -> NoReturn:
    """End the process, also with a thread that hangs in a node that was given up: that would stop an orderly end."""
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal may not know every character
    leave(main())
