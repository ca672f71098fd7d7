"""`main.py serve` as a process: how it starts, how it refuses to, how it ends, and what is there afterwards."""

import asyncio
import json
import signal
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cli import HOUSE, start
from tests.serving import PATIENCE_S, Serving, serving
from web.serve import run_to_end


def ask(server: Serving, path: str, body: object = None, method: str | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        server.url + path, data, {"Content-Type": "application/json"} if data else {}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else None


def endless() -> dict[str, Any]:
    """A workflow that takes longer than any test."""
    nodes: dict[str, Any] = json.loads((HOUSE / "workflows" / "text_to_image.json").read_text())
    nodes["sampler"]["inputs"]["steps"] = 10_000
    return nodes


def begin(server: Serving) -> str:
    """The id of a job that is in the middle of its work."""
    status, answer = ask(server, "/prompt", {"prompt": endless()})
    assert status == 200, answer
    job_id = str(answer["prompt_id"])
    url = f"{server.url}/jobs/{job_id}/events"
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as stream:
        for line in stream:
            if line.strip() == b"event: node_progress":
                return job_id
    raise AssertionError("the job ended before it did anything")


def refused(*options: object) -> str:
    """What a server says that does not start."""
    process = start("serve", *options)
    out, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, said
    assert out == ""
    assert "Traceback" not in said
    return said.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_job_that_runs_when_the_server_ends_goes_on_at_the_next_start(tmp_path: Path, number: signal.Signals) -> None:
    ends = -number if number == signal.SIGKILL else 0
    with serving(tmp_path, ends=ends) as server:
        job_id = begin(server)
        server.process.send_signal(number)
        server.process.wait(PATIENCE_S)
    assert not list((tmp_path / "output").glob("*")), "a job that did not end has left files"
    with serving(tmp_path) as server:
        status, job = ask(server, f"/jobs/{job_id}")
        assert (status, job["status"]) in {(200, "pending"), (200, "in_progress")}
        assert ask(server, f"/jobs/{job_id}/cancel", {}, "POST")[0] == 200
        assert ask(server, f"/jobs/{job_id}")[1]["status"] == "cancelled"


def test_it_answers_before_it_is_ready_and_says_when_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert ask(server, "/healthz")[0] == 200
        assert ask(server, "/readyz")[0] == 200
        assert server.url.startswith("http://127.0.0.1:")


def test_what_lay_in_the_temp_folder_is_gone_and_other_files_are_not(tmp_path: Path) -> None:
    for name in ("temp", "output", "input"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "left.png").write_bytes(b"")
    (tmp_path / "temp" / "below").mkdir()
    with serving(tmp_path):
        assert list((tmp_path / "temp").iterdir()) == []
        (tmp_path / "temp" / "new.png").write_bytes(b"")
    assert list((tmp_path / "temp").iterdir()) == []
    assert (tmp_path / "output" / "left.png").exists()
    assert (tmp_path / "input" / "left.png").exists()


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--base", tmp_path, "--port", port)
    assert f"127.0.0.1 port {port}" in said
    assert "--port" in said


def test_a_queue_that_another_server_has_is_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path):
        said = refused("--base", tmp_path, "--port", 0)
    assert "queue.sqlite" in said


def test_another_address_needs_a_token_or_the_word_insecure(tmp_path: Path) -> None:
    assert "--token" in refused("--base", tmp_path, "--listen", "0.0.0.0", "--port", 0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--front-end", "nowhere"), "--front-end"),
        (("--port", "many"), "port"),
        (("--token", "a=1", "--token", "a=2"), "--token"),
        (("--token", ""), "--token"),
        (("--at-once", "0"), "--at-once"),
        (("--max-upload-size", "nan"), "--max-upload-size"),
        (("--queue", "/dev/null/queue"), "/dev/null"),
    ],
)
def test_options_that_will_not_do_are_named(tmp_path: Path, options: tuple[str, ...], named: str) -> None:
    assert named in refused("--base", tmp_path, "--port", "0", *options)


def test_what_does_not_end_though_it_is_cancelled_does_not_keep_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.serve.LEFT_S", 0.05)
    left: list[asyncio.Task[None]] = []
    may_end = asyncio.Event()

    async def hangs() -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    async def work() -> None:
        left.append(asyncio.create_task(hangs()))
        await asyncio.sleep(0)

    ending = threading.Thread(target=run_to_end, args=(work(),), daemon=True)
    ending.start()
    ending.join(PATIENCE_S)
    assert not ending.is_alive()
    loop = left[0].get_loop()
    may_end.set()
    loop.run_until_complete(left[0])
    loop.close()
