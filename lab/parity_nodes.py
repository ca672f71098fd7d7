"""Comparisons with set e of the reference: single calls of node classes, with their inputs and outputs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import nodes
from diffusion.memory import Memory
from graph.paths import Paths, Where
from graph.registry import Registry
from graph.saving import Series
from lab.cases import Case, Difference, absolute, relative
from lab.toy import ToyModel

MODELS: Mapping[str, Any] = {"toy_eps": ToyModel(), "toy_eps_sd15scale": ToyModel(scale_factor=0.18215)}
RANDOM_PREFIX = "random temp prefix"


class NotCoveredError(Exception):
    """The case needs something that is not built yet."""


@dataclass
class Alone:
    """The context of a node that runs by itself."""

    paths: Paths
    memory: Memory = field(default_factory=lambda: Memory(torch.device("cpu")))
    prompt: dict[str, Any] = field(default_factory=dict)
    extra_pnginfo: dict[str, Any] = field(default_factory=dict)
    node_id: str = "1"
    call: int = 0
    live: Any = None
    shown: dict[str, list[Any]] = field(default_factory=dict)

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        """Nobody watches."""

    def check_cancelled(self) -> None:
        """Nobody cancels."""

    def show(self, key: str, entries: Sequence[Any]) -> None:
        """Keep what the node shows."""
        self.shown.setdefault(key, []).extend(entries)

    def series(self, prefix: str, where: Where = "output", *, width: int = 0, height: int = 0) -> Series:
        """Names for files."""
        return self.paths.series(prefix, where, width=width, height=height)

    def resource(self, kind: type[Any]) -> Any:
        """Memory is all there is."""
        if kind is Memory:
            return self.memory
        raise LookupError(f"a node by itself has no {kind.__name__}")


@dataclass(frozen=True)
class Calls:
    """One file of recorded calls, and the node classes that there are."""

    path: Path
    paths: Paths
    model: Callable[[], Any]  # the full-size checkpoint's

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the file."""
        return load_file(self.path.with_suffix(".safetensors"))

    @cached_property
    def registry(self) -> Registry:
        """The node classes that there are."""
        return Registry.scan(nodes)

    def filled(self, value: Any) -> Any:
        """A recorded value with its tensors, models and nodes in their places."""
        match value:
            case {"$tensor": key}:
                return self.tensors[key].clone()
            case {"$tuple": entries}:
                return tuple(self.filled(each) for each in entries)
            case {"$float": number}:
                return float(number)
            case {"$model": "sd15_synth"}:
                return self.model()
            case {"$model": name} if name in MODELS:
                return MODELS[name]
            case {"$node": {"class": name, "inputs": inputs}, "out": output}:
                result = self.call(name, inputs)[0]
                return result[output] if isinstance(result, tuple) else result
            case dict() if any(key.startswith("$") for key in value):
                raise NotCoveredError(f"not covered yet: {json.dumps(value)[:80]}")
            case dict():
                return {key: self.filled(each) for key, each in value.items()}
            case list():
                return [self.filled(each) for each in value]
        return value

    def call(self, name: str, inputs: Mapping[str, Any]) -> tuple[Any, Alone]:
        """Run a node class by itself: its result, and its context with what it showed."""
        if name not in self.registry:
            raise NotCoveredError(f"not covered yet: the node {name}")
        ctx = Alone(self.paths)
        node = self.registry[name].build({key: self.filled(value) for key, value in inputs.items()})
        return node.run(ctx), ctx

    def compare(self, case: Mapping[str, Any]) -> list[Difference] | str:
        """Run a recorded call and compare what came out."""
        try:
            result, ctx = self.call(case["class"], case["inputs"])
        except NotCoveredError as reason:
            return str(reason)
        except Exception as error:  # of the node, in any way: that is a difference
            return [Difference(0.0 if "raises" in case else float("inf"), 0, f"raised {error}")]
        if "raises" in case:
            return "the reference fails here; Darkroom does not"
        expected = [self.filled(output["value"]) for output in case["outputs"]]
        if case.get("probe"):
            return self.compare_files(ctx.shown.get("images", []), expected)
        results = result if isinstance(result, tuple) else (result,)
        sampled = "KSampler" in case["class"]
        return [d for ours, theirs in zip(results, expected, strict=True) for d in differences(ours, theirs, sampled)]

    def compare_files(self, shown: list[Any], expected: list[Any]) -> list[Difference]:
        """Files that a node wrote: their names and pixels."""
        found = [Difference(abs(len(shown) - len(expected)), 0, "files")]
        for entry, theirs in zip(shown, expected, strict=False):
            if theirs["filename"] != RANDOM_PREFIX:
                keys = ("filename", "subfolder", "type")
                found.append(Difference(sum(entry[key] != theirs[key] for key in keys), 0, "name"))
            path = self.paths.folders[entry["type"]] / entry["subfolder"] / entry["filename"]
            with Image.open(path) as picture:
                size = (1, picture.height, picture.width, len(picture.getbands()))
                pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(size)
            found += absolute(pixels.float(), theirs["pixels"].float(), 0)
        return found


def differences(ours: Any, theirs: Any, sampled: bool) -> Iterator[Difference]:
    """Compare values of any kind that travels on a wire; sampled ones relative to their spread."""
    match theirs:
        case Tensor():
            yield from (
                relative(ours, theirs) if sampled and ours.shape == theirs.shape else absolute(ours, theirs, 2e-6)
            )
        case dict():
            yield Difference(len(ours.keys() ^ theirs.keys()), 0, "keys")
            for key in ours.keys() & theirs.keys():
                yield from differences(ours[key], theirs[key], sampled)
        case list() | tuple():
            yield Difference(abs(len(ours) - len(theirs)), 0, "entries")
            for a, b in zip(ours, theirs, strict=False):
                yield from differences(a, b, sampled)
        case _:
            yield Difference(float(ours != theirs), 0, "values")


def cases(folder: Path, model: Callable[[], Any]) -> Iterator[Case]:
    """Every recorded call in the folder `nodes`; `model` gives the full-size checkpoint's."""
    with tempfile.TemporaryDirectory() as base:
        for path in sorted((folder / "nodes").glob("e_*.json")):
            shutil.copytree(path.parent / "files", Path(base) / "input", dirs_exist_ok=True)
            calls = Calls(path, Paths(Path(base)), model)
            for case in json.loads(path.read_text())["cases"]:
                yield Case(f"e {case['id']}", partial(calls.compare, case))
