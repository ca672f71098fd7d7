"""Runs in one pass of a network: how each still gets the numbers that it gets alone, and how many rows memory takes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

SUMMING: dict[Callable[..., Any], int] = {
    F.linear: 1,
    F.conv2d: 1,
    torch.ops.mkldnn._convolution_pointwise: 1,
    F.group_norm: 1,
    F.layer_norm: 1,
    F.scaled_dot_product_attention: 3,
}
"""What adds numbers up, in an order that may depend on the number of rows; how many arguments hold these rows."""

POINTWISE = frozenset({F.silu, F.gelu, torch.Tensor.cos, torch.Tensor.sin})
"""What has an exact and a vector form for single numbers; where a thread's share ends, the last few get the other."""


class Sharing:
    """What holds for runs that share passes on one device.

    loose: a run may differ in its last bits from what it gives alone. Otherwise it does not on the CPU, and runs whose
    own pass has a single row take no part; on an accelerator bits depend on the company in any case.
    """

    def __init__(self, device: torch.device | str = "cpu", *, loose: bool = False) -> None:
        self.loose = loose
        self._exact = torch.device(device).type == "cpu" and not loose
        self._findings: dict[Hashable, dict[Hashable, bool]] = {}
        self._limits: dict[Hashable, int] = {}

    def pass_of(self, sizes: Sequence[int]) -> AbstractContextManager[object]:
        """Around a pass whose rows belong to runs of these numbers of rows, one after another."""
        if len(sizes) == 1 or not self._exact:
            return nullcontext()
        key = (*sizes, torch.get_num_threads())
        return _AsAlone(sizes, self._findings.setdefault(key, {}))

    def limit(self, kind: Hashable, rows: int) -> None:
        """Passes of a kind have no more rows than this from now on, since there was no memory for more."""
        self._limits[kind] = rows

    def most_rows(self, kind: Hashable) -> int | None:
        """How many rows a pass of a kind may have; None if nothing is known against any number."""
        return self._limits.get(kind)

    def forget_limits(self) -> None:
        """Memory has become free: try again."""
        self._limits.clear()


class _AsAlone(TorchFunctionMode):
    """Within it, every run in a pass gets what it would get in a pass of its own, bit for bit.

    Which kernels add up in another order when there are more rows depends on shapes, threads and the processor, and no
    document tells. So each is tried both ways when it is first met, and from then on computed for all runs at once
    where that made no difference, run by run where it did. With two rows a run, in float32 on two threads, it
    is few: at 16 × 16 latents the bundled checkpoint has but the first product of the time embedding, SD1.5 at 32 × 32
    the products over 64 tokens and fewer. Convolutions, norms of layers and attention have not been seen to differ.
    """

    def __init__(self, sizes: Sequence[int], findings: dict[Hashable, bool]) -> None:
        super().__init__()
        self._sizes = list(sizes)
        self._rows = sum(sizes)
        self._findings = findings  # whether all at once is the same, by function and shapes

    def __torch_function__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in POINTWISE and len(args[0]) == self._rows:
            parts = [function(part, *args[1:], **kwargs) for part in args[0].split(self._sizes)]
            return args[0] if kwargs.get("inplace") else torch.cat(parts)
        if function not in SUMMING or len(args[0]) != self._rows:
            return function(*args, **kwargs)
        key = (function, *map(_facts, args))
        same = self._findings.get(key)
        if same is None:
            same = self._findings[key] = self._try(function, args, kwargs)
        return function(*args, **kwargs) if same else self._apart(function, args, kwargs)

    def _apart(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        count = SUMMING[function]
        runs = zip(*(argument.split(self._sizes) for argument in args[:count]), strict=True)
        return torch.cat([function(*run, *args[count:], **kwargs) for run in runs])

    def _try(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether all runs at once give the same as one by one. The numbers at hand may be too round to show it."""
        count, generator = SUMMING[function], torch.Generator(args[0].device).manual_seed(0)
        drawn = tuple(torch.empty_like(argument).normal_(generator=generator) for argument in args[:count])
        apart = self._apart(function, drawn + args[count:], kwargs)
        shows = not torch.equal(apart[:1], apart[-1:])  # weights that are all 0 do not
        return shows and torch.equal(apart, function(*drawn, *args[count:], **kwargs))


def _facts(argument: object) -> Hashable:
    """What a kernel is chosen by."""
    if isinstance(argument, Tensor):
        return argument.shape, None if argument.is_mkldnn else argument.stride(), argument.dtype
    return tuple(argument) if isinstance(argument, list) else argument
