"""The guide to library use is so: its examples run, in order, and print what stands beside them."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[1]
GUIDE = HOUSE / "docs" / "guide" / "using-darkroom-as-a-library.md"


def examples(text: str) -> str:
    """The Python in a document, each line at the number that it has there."""
    parts = re.split(r"^```(?:python)?\n", text, flags=re.MULTILINE)
    return "".join(f"{part}\n" if number % 2 else "\n" * (part.count("\n") + 1) for number, part in enumerate(parts))


def test_the_examples_of_the_guide_run_and_print_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").symlink_to(HOUSE / "models")
    shutil.copytree(HOUSE / "workflows", tmp_path / "workflows")
    monkeypatch.chdir(tmp_path)
    code = examples(GUIDE.read_text())
    printed: list[str] = []
    names: dict[str, Any] = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    exec(compile(code, GUIDE, "exec"), names)
    assert printed == re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)
    assert (tmp_path / "output" / "darkroom_00001_.png").exists()
