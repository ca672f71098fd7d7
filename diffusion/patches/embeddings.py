"""Textual inversion (Gal et al. 2022, arXiv:2208.01618): an embedding file in, the vectors of its word out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffusion.checkpoint import CheckpointError, read_pickle, read_state_dict

_log = logging.getLogger(__name__)

_BUNDLED = ("bundle_emb.", ".string_to_param.*")


def read_embedding(path: Path, encoder: str, width: int) -> Tensor:
    """The vectors [N, width] of a file for one text encoder, by its name (`clip_l`, `clip_g`, `clip_h`) and width.

    None of them, and a warning in the log, if the file is for an encoder of another width. Raises CheckpointError if it
    is no embedding file.
    """
    content = read_state_dict(path) if path.suffix.lower() in (".safetensors", ".sft") else read_pickle(path)
    found = [tensor for tensor in _candidates(content, encoder) if tensor.ndim in (1, 2)]
    if not found:
        raise CheckpointError(f"{path.name}: there is no embedding in this file; choose another.")
    vectors = [tensor.float().reshape(-1, tensor.shape[-1]) for tensor in found]
    fitting = [each for each in vectors if each.shape[-1] == width]
    if not fitting:
        found_width = vectors[0].shape[-1]
        _log.warning("%s is left out: its vectors are %d wide, this model's %d", path, found_width, width)
        return torch.empty(0, width)
    return torch.cat(fitting)


def _candidates(content: Any, encoder: str) -> list[Tensor]:
    """The tensors that a file of any of the known forms means for an encoder."""
    if isinstance(content, list | tuple):  # one table per encoder
        return [tensor for table in content for tensor in _tensors(table)]
    if isinstance(content, Tensor):
        return [content]
    if not isinstance(content, Mapping):
        return []
    if "string_to_param" in content:
        return list(_tensors(content["string_to_param"]))[:1]
    if isinstance(content.get(encoder), Tensor):
        return [content[encoder]]
    start, end = _BUNDLED
    bundled = [content[name] for name in content if str(name).startswith(start) and str(name).endswith(end)]
    return bundled or list(_tensors(content))[:1]


def _tensors(table: Any) -> Iterator[Tensor]:
    if isinstance(table, Mapping | nn.ParameterDict):
        yield from (value for value in table.values() if isinstance(value, Tensor))
