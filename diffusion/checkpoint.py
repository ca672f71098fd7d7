"""Model files: a path goes in, a lazy, memory-mapped mapping from tensor names to tensors comes out."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

Shape = tuple[int, ...]
Value = TypeVar("Value")

_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_TORCH_MAGIC = (b"PK\x03\x04", b"\x80")  # torch.save since 1.6, and before


class CheckpointError(ValueError):
    """A model file that cannot be used. The message says which, what is wrong with it and what to do.

    It has the file's name and not its folder: servers show it to people who need not know how their disks are laid out.
    """


@dataclass(frozen=True)
class FileIdentity:
    """A file as it was at one moment. Another identity means that its content may have changed."""

    path: Path  # absolute, symbolic links resolved
    size_bytes: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileIdentity:
        """Raises CheckpointError if there is no such file."""
        _require_file(path)
        resolved = path.resolve()
        status = resolved.stat()
        return cls(resolved, status.st_size, status.st_mtime_ns, status.st_ino)


class StateDict(Mapping[str, Tensor]):
    """The tensors of a model file by name. Their bytes are mapped, and read from disk when something uses them."""

    path: Path
    metadata: Mapping[str, str]  # what a safetensors header says beside names and shapes
    shapes: Mapping[str, Shape]  # known without reading tensors

    def __len__(self) -> int:
        return len(self.shapes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)


class _Safetensors(StateDict):
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework="pt")
            self.metadata = dict(self._file.metadata() or {})
            self.shapes = {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path.name}: {_what_it_is(path, error)}") from error

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.shapes:
            raise KeyError(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


class _Unpickled(StateDict):
    def __init__(self, path: Path, content: Mapping[Any, Any]) -> None:
        self.path = path
        self.metadata = {}
        self._tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a `.safetensors` file, or of a `.ckpt`, `.pt`, `.pth` or `.bin` file that torch wrote.

    Nothing in the file is run. Raises CheckpointError for whatever is no such file.
    """
    _require_file(path)
    match path.suffix.lower():
        case ".safetensors" | ".sft":
            state_dict: StateDict = _Safetensors(path)
        case suffix if suffix in _PICKLES:
            content = read_pickle(path)
            if isinstance(content, Mapping):
                content = content.get("state_dict", content)
            if not isinstance(content, Mapping):
                raise CheckpointError(
                    f"{path.name}: this file holds no tensors by name, so it is no model; choose another."
                )
            state_dict = _Unpickled(path, content)
        case _:
            raise CheckpointError(
                f"{path.name}: model files end in .safetensors or {', '.join(_PICKLES)}; this one cannot be read."
            )
    if not state_dict:
        raise CheckpointError(f"{path.name}: there are no tensors in this file, so it is no model; choose another.")
    return state_dict


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote: tensors in plain containers, memory-mapped where the file's format allows.

    Nothing in the file is run. Raises CheckpointError for a file with anything else in it.
    """
    _require_file(path)
    torch.serialization.add_safe_globals(_HARMLESS)
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch warns of here, it refuses next
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if _head(path).startswith(_TORCH_MAGIC):
            found = re.search(r"GLOBAL (\S+)|class (\S+)", str(error))
            what = f" ({found[1] or found[2]})" if found else ""
            raise CheckpointError(
                f"{path.name}: this file holds more than tensors{what}, and Darkroom runs no code from model files; "
                "use the .safetensors form of this model."
            ) from error
        raise CheckpointError(f"{path.name}: {_what_it_is(path, error)}") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise CheckpointError(f"{path.name}: {_what_it_is(path, error)}") from error


class _Ignored:
    """Stands in for a training program's object whose class is not here: takes its data and does nothing."""


# Stable Diffusion 1's first files name a class of their trainer beside the weights, the first embeddings one of torch.
_HARMLESS: list[Any] = [(_Ignored, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"), nn.ParameterDict]


def under(entries: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """The entries whose names start with a prefix, named without it. Of tensors, not a byte is read."""
    return {name.removeprefix(prefix): value for name, value in entries.items() if name.startswith(prefix)}


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path.name}: this is a folder, not a model file.")
    if not path.is_file():
        raise CheckpointError(f"{path.name}: there is no such file.")
    if not os.access(path, os.R_OK):
        raise CheckpointError(f"{path.name}: this file may not be read; change its permissions.")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _what_it_is(path: Path, error: Exception) -> str:
    """What a file seems to be that cannot be read as what its name says."""
    head = _head(path)
    pickle_name = path.suffix.lower() in _PICKLES
    if not head:
        return "this file is empty; download it again."
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer, not the model itself; run git lfs pull, or download the model."
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "this is a web page, not a model; the download probably needed a login."
    if head.startswith(_TORCH_MAGIC) and not pickle_name:
        return "this is a file of torch.save, not of safetensors; rename it to end in .ckpt."
    if head[8:9] == b"{" and pickle_name:
        return "this is a file of safetensors, not of torch.save; rename it to end in .safetensors."
    if "incomplete metadata" in str(error) or "header length" in str(error):
        return "this file does not have the size that its header says: it is cut off or damaged; download it again."
    return "this file is damaged, or no model file; download it again."
