"""The command line at work in a folder of its own, for the tests of it."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import main

HOUSE = Path(__file__).resolve().parents[1]
Workflow = dict[str, Any]


def workflow() -> Workflow:
    """Text to picture on the small checkpoint, 64 × 64 in two steps."""
    text = (HOUSE / "workflows" / "text_to_image.json").read_text().replace("darkroom-tiny", "small")
    nodes: Workflow = json.loads(text)
    nodes["latent"]["inputs"] |= {"width": 64, "height": 64}
    nodes["sampler"]["inputs"]["steps"] = 2
    return nodes


@dataclass
class House:
    """A folder of models and inputs, and the command line at work in it."""

    base: Path
    capsys: pytest.CaptureFixture[str] = field(repr=False)

    def write(self, nodes: Workflow, name: str = "workflow.json") -> Path:
        path = self.base / name
        path.write_text(json.dumps(nodes))
        return path

    def files(self) -> set[Path]:
        return {path for path in self.base.rglob("*") if path.is_file()}

    def call(self, command: str, *arguments: object) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of a command, in this process."""
        self.capsys.readouterr()
        status = main.main([command, "--base", str(self.base), *map(str, arguments)])
        said = self.capsys.readouterr()
        return status, said.out, said.err


def start(*arguments: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    command = [sys.executable, HOUSE / "main.py", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOUSE,
        # Tests that were started in the background ignore Ctrl-C, and what they start would, too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
