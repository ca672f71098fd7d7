"""Tensors to files and back, exactly: numbers, strides, and which of them share memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

DTYPES = frozenset(  # those of safetensors
    {
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32,
        torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
        torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz,
    }
)  # fmt: skip


Layout = tuple[tuple[int, ...], tuple[int, ...], int]  # shape, stride, offset


def pack(tensors: Sequence[Tensor]) -> tuple[list[Any], Iterable[bytes]]:
    """For each tensor [number of the file, shape, stride, offset in it], and the files, each one flat tensor.

    Tensors of one block of memory go into one file, with what lies between them, unless that is more than their own
    numbers; then each part that is used has a file of its own. The offset is None where there would be gaps within one
    tensor as well: then its numbers are stored without the gaps.
    """
    facts: list[Any] = [None] * len(tensors)
    pieces: list[Tensor] = []
    for group in _groups(tensors):
        members = [tensors[place] for place in group]
        first, start = members[0], None
        if _pays(members):
            start, end = _span(members)
            pieces.append(first.as_strided((end - start,), (1,), start))
        else:
            pieces.append(first[_once(first.stride())])
        for place, member in zip(group, members, strict=True):
            offset = None if start is None else member.storage_offset() - start
            facts[place] = [len(pieces) - 1, list(member.shape), list(member.stride()), offset]
    return facts, (save({"numbers": piece.reshape(-1).contiguous()}) for piece in pieces)


def unpack(facts: Sequence[Any], contents: Sequence[bytes]) -> list[Tensor]:
    """The tensors of pack()."""
    # Copied into torch's own memory: how numbers are aligned may decide the last bits of what is computed from them.
    pieces = [load(content)["numbers"].clone() for content in contents]
    return [
        _spread(pieces[number], shape, stride) if offset is None else pieces[number].as_strided(shape, stride, offset)
        for number, shape, stride, offset in facts
    ]


def _groups(tensors: Sequence[Tensor]) -> Iterator[list[int]]:
    """Places of the tensors that go into one file: those of a block of memory, or of the same part of it."""
    blocks: dict[Any, list[int]] = {}
    for place, tensor in enumerate(tensors):
        block = (tensor.untyped_storage().data_ptr(), tensor.dtype) if tensor.numel() else place
        blocks.setdefault(block, []).append(place)
    for places in blocks.values():
        if _pays([tensors[place] for place in places]):
            yield places
            continue
        equal: dict[Layout, list[int]] = {}
        for place in places:
            equal.setdefault(_layout(tensors[place]), []).append(place)
        yield from equal.values()


def _layout(tensor: Tensor) -> Layout:
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())


def _span(members: Sequence[Tensor]) -> tuple[int, int]:
    """From the first number that one of them has to one past the last, in their block of memory."""
    ends = [
        offset + 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        for shape, stride, offset in map(_layout, members)
    ]
    return min(int(tensor.storage_offset()) for tensor in members), max(ends)


def _pays(members: Sequence[Tensor]) -> bool:
    """Whether all between their first and last number is no more than their own numbers, repeated ones once."""
    if not members[0].numel():
        return False
    start, end = _span(members)
    own = {_layout(tensor): tensor[_once(tensor.stride())].numel() for tensor in members}
    return end - start <= sum(own.values())


def _spread(numbers: Tensor, shape: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Numbers without gaps laid out with them again."""
    length = 1 + sum(max(n - 1, 0) * step for n, step in zip(shape, stride, strict=True))
    laid = numbers.new_zeros(length).as_strided(shape, stride)
    each_once = laid[_once(stride)]
    each_once.copy_(numbers.view(each_once.shape))
    return laid


def _once(stride: Sequence[int]) -> tuple[slice, ...]:
    """Picks each number once from a tensor that repeats some along an axis without holding them several times."""
    return tuple(slice(1) if step == 0 else slice(None) for step in stride)
