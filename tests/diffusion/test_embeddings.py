"""Files of textual inversion, in the forms that training programs write."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from diffusion.checkpoint import CheckpointError
from diffusion.patches.embeddings import read_embedding

VECTORS = torch.arange(6.0).reshape(2, 3)
OTHER = torch.zeros(2, 5)


@pytest.mark.parametrize(
    "content",
    [
        {"string_to_token": {"*": 265}, "string_to_param": {"*": VECTORS}, "name": "x", "step": 1},
        {"string_to_param": nn.ParameterDict({"*": nn.Parameter(VECTORS)})},
        [{"a": OTHER}, {"b": VECTORS}],  # one table for each encoder: the one of our width
        {"<word>": VECTORS},
        {"clip_g": OTHER, "clip_l": VECTORS},
        VECTORS,
        VECTORS.half(),
    ],
    ids=["string_to_param", "parameter dict", "list", "one tensor", "encoder's name", "bare tensor", "half"],
)
def test_torch_files(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    read = read_embedding(tmp_path / "x.pt", "clip_l", 3)
    assert read.dtype == torch.float32
    assert torch.equal(read, VECTORS)


@pytest.mark.parametrize(
    "content",
    [
        {"emb_params": VECTORS},
        {"clip_g": OTHER, "clip_l": VECTORS},
        {"bundle_emb.x.string_to_param.*": VECTORS, "lora_up.weight": OTHER},
        {"emb_params": VECTORS.half()},
    ],
    ids=["emb_params", "encoder's name", "bundled", "half"],
)
def test_safetensors_files(content: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(content, tmp_path / "x.safetensors")
    assert torch.equal(read_embedding(tmp_path / "x.safetensors", "clip_l", 3), VECTORS)


def test_one_vector_may_have_one_dimension(tmp_path: Path) -> None:
    save_file({"emb_params": VECTORS[0].clone()}, tmp_path / "x.safetensors")
    assert torch.equal(read_embedding(tmp_path / "x.safetensors", "clip_l", 3), VECTORS[:1])


def test_vectors_of_another_width_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file({"emb_params": OTHER}, tmp_path / "x.safetensors")
    with caplog.at_level(logging.WARNING):
        assert read_embedding(tmp_path / "x.safetensors", "clip_l", 3).shape == (0, 3)
    assert "its vectors are 5 wide, this model's 3" in caplog.text


@pytest.mark.parametrize("content", [{"step": 3}, {"conv": torch.zeros(1, 2, 3)}, [1, 2], "text", {}])
def test_a_file_without_vectors_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="there is no embedding in this file"):
        read_embedding(tmp_path / "x.pt", "clip_l", 3)
