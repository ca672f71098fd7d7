"""What the source must not do: evaluate text, unpickle, start programs, or ask other machines for anything."""

import ast
import asyncio
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import serving
from web.app import declared_routes

HOUSE = Path(__file__).resolve().parents[2]
ROOMS = ("graph", "web", "nodes", "diffusion", "compat")
FILES = sorted(path for room in ROOMS for path in (HOUSE / room).rglob("*.py")) + sorted(HOUSE.glob("*.py"))
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
RUNS_FILES = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load",
    "joblib.load", "numpy.load", "np.load", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle", "torch.jit.load",
    "torch.hub.load", "torch.package.PackageImporter", "torch.load", "runpy.run_path", "runpy.run_module",
    "importlib.util.spec_from_file_location", "importlib.import_module", "import_module", "code.interact",
    "sqlite3.enable_load_extension", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "os.startfile",
    "os.fork", "pty.spawn", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "webbrowser.open",
}  # fmt: skip
PROGRAMS = {"subprocess", "multiprocessing", "pty", "pip", "ensurepip", "venv"}
# Every place that does one of these, and why it may.
ALLOWED = {
    ("compat/packs.py", "runpy.run_path"): "a pack's own script, of packs that somebody asked for at the command line",
    ("compat/packs.py", "importlib.util.spec_from_file_location"): "such a pack",
    ("compat/shims/__init__.py", "importlib.import_module"): "stand-ins that packs import, by names in the source",
    ("diffusion/plugins.py", "import_module"): "samplers and schedules of this program, found in its own folder",
    ("diffusion/families/__init__.py", "import_module"): "model families, in the same way",
    ("graph/registry.py", "importlib.import_module"): "nodes, in the same way",
    ("web/app.py", "importlib.import_module"): "routes, in the same way",
    ("graph/read/python.py", "compile"): "a file of Python that a person gives to the command line, and",
    ("graph/read/python.py", "exec"): "nothing else, which the next test holds",
    ("diffusion/checkpoint.py", "torch.load"): "with weights_only, which the next test holds",
}
CLIENTS = {
    "urllib.request", "http.client", "requests", "httpx", "ftplib", "smtplib", "telnetlib", "xmlrpc", "imaplib",
    "poplib", "nntplib", "huggingface_hub", "socketserver", "aiohttp.client", "websockets", "websocket", "paramiko",
}  # fmt: skip
CALLS_OUT = {
    "ClientSession", "aiohttp.ClientSession", "aiohttp.request", "urlopen", "socket.create_connection",
    "asyncio.open_connection", "socket.getaddrinfo", "socket.gethostbyname", "socket.getfqdn", "loop.create_connection",
}  # fmt: skip


@cache
def trees() -> list[tuple[str, ast.Module]]:
    return [(path.relative_to(HOUSE).as_posix(), ast.parse(path.read_text("utf-8"))) for path in FILES]


@cache
def calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    """Every call by the name it is called by."""
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_cve_2024_21576_and_cve_2024_21577_no_text_is_evaluated() -> None:
    found = {(file, name) for file, tree in trees() for name, _ in calls(tree) if name in RUNS_TEXT | RUNS_FILES}
    assert found == ALLOWED.keys()
    # nor is any of them given away under another name
    called = {id(node.func) for _, tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {
        (file, node.id)
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id in RUNS_TEXT and isinstance(node.ctx, ast.Load)
        if id(node) not in called
    }
    assert names == set()


def test_what_runs_a_file_of_python_source_is_for_the_command_line_alone() -> None:
    assert {file for file, tree in trees() for name in imported(tree) if name == "graph.read.python"} == {
        "converting.py"
    }
    assert {file for file, tree in trees() for name in imported(tree) if name == "converting"} == {"main.py"}


def test_torch_loads_weights_only() -> None:
    for file, tree in trees():
        for name, call in calls(tree):
            if name.endswith("torch.load"):
                given = {each.arg: ast.unparse(each.value) for each in call.keywords}
                assert given.get("weights_only") == "True", file
                assert "pickle_module" not in given


def test_no_program_is_started() -> None:
    assert {
        (file, name) for file, tree in trees() for name in imported(tree) if name.split(".")[0] in PROGRAMS
    } == set()
    assert {
        file for file, tree in trees() for name, _ in calls(tree) if name.endswith((".Popen", ".subprocess_exec"))
    } == set()


def test_numpy_and_torch_are_given_no_other_way_to_unpickle() -> None:
    assert {
        (file, each.arg)
        for file, tree in trees()
        for _, call in calls(tree)
        for each in call.keywords
        if each.arg in {"allow_pickle", "pickle_module"}
    } == set()


def test_nothing_asks_other_machines() -> None:
    modules = {
        (file, name)
        for file, tree in trees()
        for name in imported(tree)
        if any(f"{name}.".startswith(f"{each}.") for each in CLIENTS)
    }
    assert modules == set()
    assert {(file, name) for file, tree in trees() for name, _ in calls(tree) if name in CALLS_OUT} == set()


def test_a_server_that_is_asked_everything_connects_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        asked.append(address)
        real(self, address)

    def look_up(host: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{host} was looked up")

    async def run() -> None:
        async with serving(tmp_path) as (client, _):
            monkeypatch.setattr(socket.socket, "connect", connect)
            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            monkeypatch.setattr(socket, "gethostbyname", look_up)
            urls = {"url": "http://192.0.2.1/a.png", "filename": "http://192.0.2.1/a.png", "name": "//192.0.2.1/a"}
            for each in declared_routes():
                if each.path in {"/ws", "/jobs/{id}/events"}:
                    continue
                path = (
                    each.path.replace("{filename:.*}", "a").replace("{path:.*}", "a").replace("{", "").replace("}", "")
                )
                body = None if each.method in {"GET", "HEAD"} else urls
                async with client.request(each.method, path, params=urls, json=body, allow_redirects=False) as answer:
                    await answer.read()
                    assert answer.status < 500, path
            prompt = {
                "1": {"class_type": "Toy", "inputs": {"name": "http://192.0.2.1/", "value": 1}},
                "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
            }
            async with client.post("/prompt", json={"prompt": prompt, "extra_data": urls}) as answer:
                job_id = (await answer.json())["prompt_id"]
            async with asyncio.timeout(60):
                while not await (await client.get(f"/history/{job_id}")).json():
                    await asyncio.sleep(0.02)
            assert {address[:2] for address in asked} <= {("127.0.0.1", client.port)}

    asyncio.run(run())
