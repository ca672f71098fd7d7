"""`main.py serve` in a process of its own, for tests that speak to it as the rest of the world does."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]
PATIENCE_S = 120.0  # how long a busy machine may take; a test that works never waits so long
LISTENS = "Darkroom is at "
FAULT = re.compile(r"Traceback|[\d-]+ [\d:]+ (ERROR|CRITICAL)")  # what nobody foresaw; errors of nodes are warnings


@dataclass
class Serving:
    """A server that listens."""

    url: str  # http://127.0.0.1:PORT
    base: Path  # where its models, input, output, temp and user lie
    process: subprocess.Popen[str]
    said: list[str]  # the lines of its stderr so far

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"


@contextmanager
def serving(base: Path, *options: object, ends: int = 0) -> Iterator[Serving]:
    """A server on a free port that is ready, with the project's models; it must end well when it is told to.

    ends: the exit status of one that the test itself stops, such as minus the number of a signal.
    """
    if not (base / "models").exists():
        (base / "models").symlink_to(HOUSE / "models")
    command = [sys.executable, str(HOUSE / "main.py"), "serve", "--port", "0", "--base", str(base), *map(str, options)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=base, env=environment) as process:
        try:
            server = _listening(process, base)
            _wait_until_ready(server)
            yield server
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == ends, "".join(server.said)
            assert [line for line in server.said if FAULT.match(line)] == [], "".join(server.said)
        finally:
            process.kill()


def _listening(process: subprocess.Popen[str], base: Path) -> Serving:
    """The server once it has said where it is. Its stderr is read on, so that it never waits for a reader."""
    said: list[str] = []
    found: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if LISTENS in line:
                found.put(line.split(LISTENS, 1)[1].split()[0])
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    url = found.get(timeout=PATIENCE_S)
    assert url is not None, "".join(said)
    return Serving(url.rstrip("/"), base, process, said)


def _wait_until_ready(server: Serving) -> None:
    for _ in range(int(PATIENCE_S / 0.1)):
        if _status(f"{server.url}/readyz") == 200:
            return
        try:
            server.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError("The server does not become ready:\n" + "".join(server.said))


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
