"""A server process under measurement, and clients that count what they get."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")  # per second
LISTENS = "Darkroom is at "
FEATURES = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
PATIENCE_S = 60.0  # a server that takes longer for anything is broken

Prompt = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    url: str
    process: subprocess.Popen[str]
    started_s: float  # on the clock of time.perf_counter

    @property
    def cpu_s(self) -> float:
        """What it has used so far, user and system, of all its threads. Linux only."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def facts(self) -> dict[str, int]:
        """Anonymous memory in bytes, threads and open files."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return {
            "anonymous_bytes": int(lines["RssAnon"].split()[0]) * 1024,
            "threads": int(lines["Threads"]),
            "files": sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir()),
        }


@contextmanager
def server(*command: str) -> Iterator[Server]:
    """`python COMMAND`, from when it says where it is until it is told to stop. Raises AssertionError if it fails."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        stderr, said = process.stderr, []
        try:
            for line in stderr:
                said.append(line)
                if LISTENS in line:
                    break
            else:
                raise AssertionError(f"the server did not start: {''.join(said)}")
            threading.Thread(target=lambda: said.extend(stderr), daemon=True).start()
            yield Server(line.split(LISTENS, 1)[1].split()[0].rstrip("/"), process, began)
            process.terminate()
            status = process.wait(PATIENCE_S)
            assert status == 0, f"the server ended with {status}: {''.join(said)}"
            assert "Traceback" not in "".join(said), "".join(said)
        finally:
            process.kill()


@contextmanager
def toys(folder: Path, *options: str) -> Iterator[Server]:
    """A server with trivial nodes."""
    with server("-m", "lab.serve_toys", str(folder), *options) as found:
        yield found


# -- clients


class Said(msgspec.Struct):
    """What a message says of which job."""

    prompt_id: str | None = None
    node: str | None = ""
    nodes: Any = None


class Told(msgspec.Struct):
    """A message of the server's."""

    type: str
    data: Said


@dataclass
class Listener:
    """A client with a WebSocket. What comes is kept, and looked at later."""

    id: str
    messages: list[str] = field(default_factory=list)
    previews: int = 0
    received_bytes: int = 0
    over: int = 0  # jobs whose last message came
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take what comes until the socket is closed."""
        async for message in socket:
            self.received_bytes += len(message.data)
            if message.type is aiohttp.WSMsgType.TEXT:
                self.messages.append(message.data)
                if message.data.startswith('{"type":"executing","data":{"node":null'):
                    self.over += 1
                    self.changed.set()
            else:
                self.previews += 1

    async def until_over(self, jobs: int) -> None:
        """Wait for the ends of so many jobs. Raises TimeoutError."""
        while self.over < jobs:
            self.changed.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self.changed.wait()

    def check_order(self, jobs: int) -> None:
        """Raises AssertionError if the messages of its jobs are out of order, or mixed with those of another."""
        current: str | None = None
        seen: set[str] = set()
        begun: set[str] = set()
        previous = ""
        for text in self.messages:
            told = msgspec.json.decode(text, type=Told)
            job_id = told.data.prompt_id
            if job_id is None or told.type == "execution_interrupted":  # those of others are told, too
                continue
            if told.type == "execution_start":
                assert current is None, f"{job_id} begins before {current} has ended"
                assert job_id not in seen, f"{job_id} begins twice"
                seen.add(job_id)
                current, begun = job_id, set()
            assert job_id == current, f"{told.type} of {job_id} comes amid {current}"
            if told.type == "executing" and told.data.node is not None:
                assert told.data.node not in begun, f"node {told.data.node} of {job_id} begins twice"
                begun.add(told.data.node)
            elif told.type == "executing":
                assert previous == "execution_success", f"{job_id} ends after {previous}"
                current = None
            previous = told.type
        assert len(seen) == jobs, f"{len(seen)} of {jobs} jobs"


@asynccontextmanager
async def browsing(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that opens as many connections as it needs, to a server that is ready."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(PATIENCE_S)
    async with aiohttp.ClientSession(server.url, connector=connector, timeout=timeout) as session:
        await until_ready(session)
        yield session


async def until_ready(session: aiohttp.ClientSession) -> None:
    """Wait until prompts are taken. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get("/readyz") as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(session: aiohttp.ClientSession, client: str) -> AsyncIterator[Listener]:
    """A listener for this client that knows of previews."""
    found = Listener(client)
    async with session.ws_connect("/ws", params={"clientId": client}, max_msg_size=0) as socket:
        await socket.send_json(FEATURES)
        listening = asyncio.create_task(found.listen(socket))
        yield found
    await listening


@asynccontextmanager
async def listeners(session: aiohttp.ClientSession, ids: Sequence[str]) -> AsyncIterator[list[Listener]]:
    """A listener for each of these clients."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(session, each)) for each in ids]


async def send(session: aiohttp.ClientSession, client: str, body: bytes) -> str:
    """Put a prompt into the queue; its id. Raises AssertionError if it is refused."""
    async with session.post("/prompt", data=body, headers={"Content-Type": "application/json"}) as answer:
        text = await answer.read()
        assert answer.status == 200, f"{client}: {answer.status} {text.decode()}"
        return str(msgspec.json.decode(text)["prompt_id"])


def body_of(client: str, prompt: Prompt) -> bytes:
    """The body of POST /prompt."""
    return msgspec.json.encode({"prompt": prompt, "client_id": client})


async def states(session: aiohttp.ClientSession) -> Counter[str]:
    """How many of the jobs that are over ended how."""
    async with session.get("/history", params={"max_items": "10000"}) as answer:
        history = await answer.json()
    return Counter(entry["status"]["status_str"] for entry in history.values())
