"""The guide to the API is so: its examples run, in order, against the server, and print what stands beside them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving import PATIENCE_S, Serving, serving
from tests.test_guide import HOUSE

GUIDE = HOUSE / "docs" / "guide" / "the-api.md"
ADDRESS = "http://127.0.0.1:8188"


def blocks(language: str) -> str:
    """The examples in that language, each line at the number that it has in the guide."""
    kept: list[str] = []
    fence: str | None = None
    for line in GUIDE.read_text().splitlines():
        is_fence = line.startswith("```")
        kept.append(line if fence == language and not is_fence else "")
        if is_fence:
            fence = None if fence is not None else line.removeprefix("```")
    return "\n".join(kept)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("served")
    shutil.copytree(HOUSE / "workflows", base / "workflows")
    with serving(base) as server:
        yield server


def test_the_examples_in_python_run_and_print_what_they_say(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(server.base)
    code = blocks("python").replace(ADDRESS, server.url)
    printed: list[str] = []
    names: dict[str, Any] = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    exec(compile(code, GUIDE, "exec"), names)
    assert printed == re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)
    assert (server.base / "darkroom_00001_.png").read_bytes().startswith(b"\x89PNG")


def test_the_examples_for_a_shell_run(server: Serving) -> None:
    commands = "set -e\n" + blocks("sh").replace(ADDRESS, server.url)
    done = subprocess.run(["sh"], input=commands, capture_output=True, text=True, cwd=server.base, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "event: job_finished" in done.stdout
    assert '"status":"completed"' in done.stdout


def test_every_path_that_it_names_is_there() -> None:
    from web.app import declared_routes
    from web.openapi import path_of

    there = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path_of(each)))) for each in declared_routes()]
    named = {each.split("?")[0].rstrip("/") for each in re.findall(r"[`\"](/[a-z][\w/{}.]*)", GUIDE.read_text())}
    assert len(named) > 5
    assert [each for each in named if each != "/api" and not any(known.fullmatch(each) for known in there)] == []
