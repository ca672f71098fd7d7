"""Reading model files: lazily, without running anything, and with a sentence for what is none."""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from diffusion.checkpoint import CheckpointError, FileIdentity, read_pickle, read_state_dict

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor([1, 2])}


def same(path: Path) -> bool:
    read = read_state_dict(path)
    return dict(read.shapes) == {"a": (2, 3), "b.c": (2,)} and all(
        torch.equal(read[name], TENSORS[name]) for name in read
    )


def test_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"darkroom": "{}"})
    assert same(tmp_path / "x.safetensors")
    assert dict(read_state_dict(tmp_path / "x.safetensors").metadata) == {"darkroom": "{}"}


@pytest.mark.parametrize("content", [TENSORS, {"state_dict": TENSORS, "epoch": 3}], ids=["bare", "in state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".CKPT"])
def test_files_of_torch(content: object, zipped: bool, suffix: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / f"x{suffix}", _use_new_zipfile_serialization=zipped)
    assert same(tmp_path / f"x{suffix}")


def test_a_tensor_that_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")
    read = read_state_dict(tmp_path / "x.safetensors")
    assert "z" not in read
    with pytest.raises(KeyError):
        read["z"]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="says what is mapped on Linux only")
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_tensors_are_mapped_from_the_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    big = {"a": torch.zeros(1_000_000)}
    save_file(big, path) if suffix == ".safetensors" else torch.save(big, path)
    tensor = read_state_dict(path)["a"]
    address = tensor.data_ptr()
    ranges = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    assert any(int(low, 16) <= address < int(high, 16) for low, high in (each.split("-") for each in ranges))


def test_the_classic_checkpoint_with_its_trainers_callback_loads(tmp_path: Path) -> None:
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    module = types.ModuleType(name)
    module.ModelCheckpoint = callback  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        for each in (name.rsplit(".", 2)[0], name.rsplit(".", 1)[0], name):
            patch.setitem(sys.modules, each, module)
        torch.save({"callbacks": {callback: {"best": 1.0}}, "state_dict": TENSORS}, tmp_path / "x.ckpt")
    assert same(tmp_path / "x.ckpt")


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("way", ["zip", "legacy", "plain pickle"])
def test_code_in_a_pickle_is_refused_and_not_run(way: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.ckpt"
    content = {"state_dict": TENSORS, "extra": Code(marker)}
    if way == "plain pickle":
        path.write_bytes(pickle.dumps(Code(marker)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=way == "zip")
    for read in (read_state_dict, read_pickle):
        with pytest.raises(CheckpointError, match=r"holds more than tensors.*runs no code"):
            read(path)
    assert not marker.exists()


def test_a_pickled_module_is_refused_and_its_class_named(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"more than tensors \(torch\.nn\.modules\.linear\.Linear\)"):
        read_state_dict(tmp_path / "x.pt")


def header(content: object) -> bytes:
    encoded = json.dumps(content).encode()
    return struct.pack("<Q", len(encoded)) + encoded


WHOLE = save({"a": torch.zeros(100)})
TORCH = b"PK\x03\x04" + bytes(200)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.safetensors", b"", "is empty"),
        ("x.safetensors", WHOLE[:-100], "cut off or damaged"),
        ("x.safetensors", WHOLE[:20], "cut off or damaged"),
        ("x.safetensors", WHOLE + b"more", "cut off or damaged"),
        ("x.safetensors", WHOLE[:5], "damaged, or no model"),
        ("x.safetensors", b"just some text that is longer than a header", "damaged, or no model"),
        ("x.safetensors", struct.pack("<Q", 2**62) + b"{}", "damaged, or no model"),
        ("x.safetensors", struct.pack("<Q", 10**9) + b"{}" * 99, "damaged, or no model"),
        ("x.safetensors", header([1]), "damaged, or no model"),
        (
            "x.safetensors",
            header({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}) + bytes(99),
            "cut off or damaged",
        ),
        (
            "x.safetensors",
            header({"a": {"dtype": "F32", "shape": [5, 5], "data_offsets": [0, 40]}}) + bytes(40),
            "damaged, or no model",
        ),
        ("x.safetensors", header({}), "no tensors in this file"),
        ("x.safetensors", b"<!DOCTYPE html><html></html>", "is a web page"),
        ("x.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        ("x.safetensors", TORCH, "rename it to end in .ckpt"),
        ("x.ckpt", WHOLE, "rename it to end in .safetensors"),
        ("x.ckpt", b"", "is empty"),
        ("x.ckpt", TORCH, "damaged, or no model"),
        ("x.ckpt", b"just some text", "damaged, or no model"),
        ("x.gguf", b"GGUF", "end in .safetensors or .ckpt"),
    ],
)
def test_what_is_no_model_file(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert said in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "said"), [([1, 2], "no tensors by name"), ({"a": 1}, "no tensors in this file")])
def test_torch_files_without_tensors(content: object, said: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=said):
        read_state_dict(tmp_path / "x.ckpt")


def test_a_torch_file_that_is_cut_off(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "x.ckpt")
    content = (tmp_path / "x.ckpt").read_bytes()
    for length in range(10, len(content) - 1, 97):
        (tmp_path / "x.ckpt").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            read_state_dict(tmp_path / "x.ckpt")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for use in (read_state_dict, read_pickle, FileIdentity.of):
        with pytest.raises(CheckpointError, match="there is no such file"):
            use(tmp_path / "x.safetensors")
        with pytest.raises(CheckpointError, match="this is a folder"):
            use(tmp_path)


def test_a_files_identity_follows_links_and_changes_with_the_file(tmp_path: Path) -> None:
    path, link = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    path.write_bytes(b"one")
    link.symlink_to(path)
    before = FileIdentity.of(path)
    assert FileIdentity.of(link) == before
    other = tmp_path / "other"
    other.write_bytes(b"two")
    other.replace(path)
    assert FileIdentity.of(path) != before
