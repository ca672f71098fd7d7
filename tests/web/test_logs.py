"""Logs: lines that cannot be forged and say which job and node they belong to, and the last of them for clients."""

import asyncio
import io
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from hypothesis import given
from hypothesis import strategies as st

from graph import Context, Int, Node, Registry
from tests.web.server import Client, serving, toy_classes
from web.logs import ENTRIES, ENTRY_MOST, JsonForm, Ring, Tee, TextForm, current_ring, plain, set_up

PATIENCE_S = 60


class Talk(Node[int], category="toys"):
    """Logs and prints."""

    value: int = Int(default=0)

    pure = False

    def run(self, ctx: Context) -> int:
        logging.getLogger("pack").info("a node says %d", self.value)
        print("a node", "prints", self.value)
        return self.value


class TalkLater(Node[int], category="toys"):
    """Logs while others run."""

    value: int = Int(default=0)

    pure = False
    lane = "async"

    async def run(self, ctx: Context) -> int:
        await asyncio.sleep(0)
        await asyncio.to_thread(logging.getLogger("pack").info, "an async node says %d", self.value)
        return self.value


TALK = {
    "1": {"class_type": "Talk", "inputs": {"value": 3}},
    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    "3": {"class_type": "TalkLater", "inputs": {"value": 4}},
    "4": {"class_type": "Show", "inputs": {"value": ["3", 0]}},
}
FAIL = {
    "1": {"class_type": "Divide", "inputs": {"a": 5, "b": 0}},
    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
}


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, out, err = root.handlers[:], root.level, sys.stdout, sys.stderr
    yield
    root.handlers[:], sys.stdout, sys.stderr = handlers, out, err
    root.setLevel(level)
    logging.captureWarnings(False)


def record(message: str, *args: object, error: Exception | None = None, **extra: object) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("web.some", logging.WARNING, __file__, 1, message, args, exc_info)
    made.__dict__.update(extra)
    return made


def raised(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


async def send(client: Client, prompt: object) -> str:
    answer = await client.post("/prompt", json={"prompt": prompt})
    assert answer.status == 200, await answer.text()
    return str((await answer.json())["prompt_id"])


async def line(entries: asyncio.Queue[str], what: str) -> str:
    """The next line with this in it."""
    async with asyncio.timeout(PATIENCE_S):
        while what not in (found := await entries.get()):
            pass
        return found


def queue_of(ring: Ring) -> asyncio.Queue[str]:
    """Where new lines arrive."""
    entries: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for each in ring.entries():
        entries.put_nowait(each.text)
    ring.subscribe(lambda entry: loop.call_soon_threadsafe(entries.put_nowait, entry.text))
    return entries


def registry() -> Registry:
    return Registry(*toy_classes().values(), Talk, TalkLater)


# ── forms ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(), st.text())
def test_a_record_is_one_line_whatever_it_says(text: str, error: str) -> None:
    made = record("%s", text, error=raised(error), job_id=text, node_id=text)
    lines = TextForm().format(made).splitlines()
    assert "WARNING web.some: " in lines[0]
    assert all(each.startswith("    ") for each in lines[1:])
    assert not any(re.search(r"[\x00-\x1f\x7f-\x9f]", each) for each in lines)
    assert len(JsonForm().format(made).splitlines()) == 1
    assert len(plain(text).splitlines()) <= 1


def test_json_has_job_node_and_error() -> None:
    found = json.loads(JsonForm().format(record("it is %d", 5, error=raised("bad\nluck"), job_id="j", node_id="n")))
    assert (found["level"], found["logger"], found["message"]) == ("warning", "web.some", "it is 5")
    assert (found["job_id"], found["node_id"]) == ("j", "n")
    assert found["error"].startswith("Traceback")
    assert found["error"].endswith("ValueError: bad\nluck\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found["time"])
    assert json.loads(JsonForm().format(record("plain"))).keys() == {"time", "level", "logger", "message"}


def test_an_error_that_cannot_say_what_it_is_does_not_break_the_log() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    for form in (TextForm(), JsonForm()):
        assert "Mute" in form.format(record("it failed", error=Mute()))


# ── what jobs log ─────────────────────────────────────────────────────────────────────────────────────────────────────


def logged(folder: Path, prompt: object, end: str) -> tuple[str, list[dict[str, Any]], Ring]:
    """A job's id and all that was logged as JSON until a line with its end, and the ring."""
    stream = io.StringIO()
    ring = set_up("json", stream=stream)

    async def run() -> str:
        async with serving(folder, registry=registry()) as (client, _):
            entries = queue_of(ring)
            job_id = await send(client, prompt)
            await line(entries, end)
            return job_id

    job_id = asyncio.run(run())
    return job_id, [json.loads(each) for each in stream.getvalue().splitlines()], ring


def test_what_a_node_logs_and_prints_is_there_with_its_job(tmp_path: Path) -> None:
    job_id, found, ring = logged(tmp_path, TALK, "has succeeded")
    said = {each["message"]: (each.get("job_id"), each.get("node_id")) for each in found}
    assert said["a node says 3"] == (job_id, "1")
    assert said["an async node says 4"] == (job_id, "3")
    assert said["The job begins."] == (job_id, None)
    assert "a node prints 3\n" in [each.text for each in ring.entries()]


def test_a_failed_node_is_told_with_its_traceback_and_then_the_job(tmp_path: Path) -> None:
    job_id, found, _ = logged(tmp_path, FAIL, "has failed")
    failures = [each for each in found if each["level"] == "warning"]
    assert [(each["job_id"], each.get("node_id")) for each in failures] == [(job_id, "1"), (job_id, None)]
    assert "Divide" in failures[0]["message"]
    assert "ZeroDivisionError" in failures[0]["error"]


def test_a_cancelled_job_is_told(tmp_path: Path) -> None:
    ring = set_up("text", stream=io.StringIO())

    async def check() -> None:
        async with serving(tmp_path) as (client, services):
            entries = queue_of(ring)
            held = {"1": {"class_type": "Held", "inputs": {"name": "a"}},
                    "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}}}  # fmt: skip
            job_id = await send(client, held)
            await line(entries, "The job begins.")
            await services.scheduler.cancel(job_id, "Somebody\nwanted it.")
            found = await line(entries, "has been cancelled")
            assert f"[job {job_id}]" in found
            assert "Somebody\\nwanted it." in found

    asyncio.run(check())


# ── the ring ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_ring_keeps_the_last_entries_and_none_is_long() -> None:
    ring = Ring()
    for number in range(ENTRIES + 5):
        ring.put(f"{number}\n")
    ring.put("x" * (ENTRY_MOST * 2))
    texts = [each.text for each in ring.entries()]
    assert len(texts) == ENTRIES
    assert texts[0] == "6\n"
    assert len(texts[-1]) == ENTRY_MOST + 2


def test_a_listener_that_fails_or_logs_does_no_harm() -> None:
    ring = set_up("text", stream=io.StringIO())
    heard: list[str] = []

    def fail(entry: object) -> None:
        logging.getLogger("listener").error("I log, too")
        raise RuntimeError("no")

    ring.subscribe(fail)
    ring.subscribe(lambda entry: heard.append(entry.text))
    logging.getLogger("some").info("one")
    ring.unsubscribe(fail)
    logging.getLogger("some").info("two")
    assert [each.split(": ")[1] for each in heard] == ["one\n", "two\n"]
    assert "I log, too" in "".join(each.text for each in ring.entries())


def test_requests_are_logged_without_crowding_the_ring() -> None:
    stream = io.StringIO()
    ring = set_up("text", stream=stream)
    logging.getLogger("web.access").info("GET /")
    assert "GET /" in stream.getvalue()
    assert ring.entries() == []
    assert current_ring() is ring


def test_what_is_printed_arrives_and_is_kept_line_by_line() -> None:
    ring, stream = Ring(), io.StringIO()
    tee = Tee(stream, ring)
    print("one", 2, "three", file=tee)
    print("begun, ", end="", file=tee)
    tee.writelines(["ended\nfour\r", "\x1b[31mred\n", "open"])
    tee.flush()
    assert stream.getvalue() == "one 2 three\nbegun, ended\nfour\r\x1b[31mred\nopen"
    assert [each.text for each in ring.entries()] == ["one 2 three\n", "begun, ended\n", "four\n", "\\x1b[31mred\n"]
    assert tee.isatty() is False
    tee.write("x" * (ENTRY_MOST + 1))
    assert len(ring.entries()) == 5


def test_lines_that_threads_print_at_the_same_time_are_not_mixed() -> None:
    ring = Ring()
    tee = Tee(io.StringIO(), ring)
    print("one ", end="", file=tee)
    other = threading.Thread(target=lambda: print("two two", file=tee))
    other.start()
    other.join(PATIENCE_S)
    print("one", file=tee)
    assert [each.text for each in ring.entries()] == ["two two\n", "one one\n"]


def test_a_stream_that_is_gone_does_not_fail_who_prints() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    ring = Ring()
    print("still here", file=Tee(Gone(), ring))
    assert [each.text for each in ring.entries()] == ["still here\n"]


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def told(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """The entries of the next message with lines of the log."""
    while True:
        message = await socket.receive_json(timeout=PATIENCE_S)
        if message["type"] == "logs":
            assert message["data"]["size"].keys() == {"cols", "rows"}
            return list(message["data"]["entries"])


def test_clients_read_the_last_lines_and_hear_of_new_ones_when_they_ask(tmp_path: Path) -> None:
    set_up("text", stream=io.StringIO())

    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            log = logging.getLogger("some")
            log.info("first")
            text = await (await client.get("/internal/logs")).json()
            assert re.search(r"\d - INFO    some: first\n", text)
            raw = await (await client.get("/internal/logs/raw")).json()
            assert "INFO    some: first\n" in [each["m"] for each in raw["entries"]]
            assert raw["size"].keys() == {"cols", "rows"}
            async with client.ws_connect("/ws?clientId=me") as socket, client.ws_connect("/ws?clientId=you") as other:
                await socket.receive_json(timeout=PATIENCE_S)
                answer = await client.patch("/internal/logs/subscribe", json={"clientId": "me", "enabled": True})
                assert answer.status == 200
                log.info("second")
                assert "INFO    some: second\n" in [each["m"] for each in await told(socket)]
                await client.patch("/internal/logs/subscribe", json={"clientId": "me", "enabled": False})
                await client.patch("/internal/logs/subscribe", json={"clientId": "you", "enabled": True})
                log.info("third")
                assert "third" in "".join(each["m"] for each in await told(other))
                await client.patch("/internal/logs/subscribe", json={"clientId": "me", "enabled": True})
                log.info("fourth")
                texts = ""
                while "fourth" not in texts:
                    texts += "".join(each["m"] for each in await told(socket))
                assert "third" not in texts

    asyncio.run(check())


def test_what_cannot_be_a_subscription_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            long = {"clientId": "x" * 201, "enabled": True}
            for body in ({}, {"clientId": 1, "enabled": True}, {"clientId": "me"}, [], long):
                assert (await client.patch("/internal/logs/subscribe", json=body)).status == 400
            answer = await client.patch("/internal/logs/subscribe", json={"clientId": "nobody", "enabled": True})
            assert answer.status == 200
            for path in ("logs", "logs/raw", "folder_paths", "files/output"):
                assert (await client.get(f"/internal/{path}")).status == 200
                assert (await client.get(f"/api/internal/{path}")).status == 404

    asyncio.run(check())


def test_folders_of_models_and_the_newest_files_are_listed(tmp_path: Path) -> None:
    async def check() -> None:
        async with serving(tmp_path) as (client, _):
            folders = await (await client.get("/internal/folder_paths")).json()
            assert str(tmp_path / "models/loras") in folders["loras"]
            (tmp_path / "output/below").mkdir(parents=True)
            for name in ("old.png", "new.png", "middle.png", ".hidden"):
                (tmp_path / "output" / name).touch()
            for name, at_s in (("old.png", 1), ("middle.png", 2), ("new.png", 3)):
                os.utime(tmp_path / "output" / name, (at_s, at_s))
            answer = await client.get("/internal/files/output")
            assert await answer.json() == ["new.png", "middle.png", "old.png"]
            assert await (await client.get("/internal/files/input")).json() == []
            answer = await client.get("/internal/files/models")
            assert answer.status == 400
            assert "Invalid directory type" in (await answer.json())["error"]["message"]

    asyncio.run(check())
