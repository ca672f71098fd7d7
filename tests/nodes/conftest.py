"""What node tests share: recorded reference cases, and a context that remembers what a node did."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from diffusion.memory import Memory
from graph.paths import Paths, Where
from graph.saving import Series

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclass
class RecordingContext:
    """A run of one node by itself."""

    paths: Paths
    resources: Sequence[object] = ()
    prompt: dict[str, Any] = field(default_factory=dict)
    extra_pnginfo: dict[str, Any] = field(default_factory=dict)
    node_id: str = "1"
    shown: list[Any] = field(default_factory=list)
    reported: list[tuple[float, float]] = field(default_factory=list)
    previews: list[Any] = field(default_factory=list)  # one for each report

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        self.reported.append((value, total))
        self.previews.append(preview)

    def check_cancelled(self) -> None:
        pass

    def show(self, key: str, entries: Sequence[Any]) -> None:
        self.shown += [(key, entry) for entry in entries]

    def series(self, prefix: str, where: Where = "output", *, width: int = 0, height: int = 0) -> Series:
        return self.paths.series(prefix, where, width=width, height=height)

    def resource(self, kind: type[Any]) -> Any:
        for each in self.resources:
            if isinstance(each, kind):
                return each
        raise LookupError(f"there is no {kind.__name__}")


@pytest.fixture
def ctx(tmp_path: Path) -> RecordingContext:
    return RecordingContext(Paths(tmp_path), [Memory(torch.device("cpu"))])


@pytest.fixture(scope="session")
def golden_tensors() -> dict[str, Tensor]:
    return load_file(GOLDEN / "nodes.safetensors")


@pytest.fixture(scope="session")
def golden(golden_tensors: dict[str, Tensor]) -> Callable[[str], list[dict[str, Any]]]:
    """The recorded cases of a node class, tensors in their places."""
    cases = json.loads((GOLDEN / "nodes.json").read_text())["cases"]

    def filled(value: Any) -> Any:
        if isinstance(value, dict) and "$tensor" in value:
            return golden_tensors[value["$tensor"]].clone()
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return value

    return lambda name: [filled(case) for case in cases if case["class"] == name]
