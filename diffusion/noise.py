"""Noise by seed, drawn on the CPU so that a seed is the same picture on every device: the start and the way.

Picture k of a batch can be made alone: the whole batch's noise is drawn, and its row taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
import torchsde
from torch import Tensor

SEEDS = 2**64
"""Seeds are 0 … 2^64 − 1; arithmetic on them wraps around."""

NoiseKind = Literal["stream", "brownian"]


def _generator(seed: int) -> torch.Generator:
    if not 0 <= seed < SEEDS:
        raise ValueError(f"Seeds go from 0 to 2^64 − 1; this is {seed}.")
    return torch.Generator("cpu").manual_seed(seed)


def _row(noise: Tensor, index: int | None) -> Tensor:
    """All of a batch's noise, or one picture's, [1, C, h, w]."""
    if index is None:
        return noise
    if not 0 <= index < noise.shape[0]:
        raise ValueError(f"There is no picture {index} in a batch of {noise.shape[0]}; they count from 0.")
    return noise[index : index + 1]


def initial_noise(
    shape: Sequence[int], seed: int, *, batch_index: Sequence[int] | None = None, index: int | None = None
) -> Tensor:
    """Unit noise [B, C, h, w] float32 to start from: one draw for the whole batch.

    batch_index: the pictures' places in the batch that they were taken from. Their noises are drawn one by one up to
    the highest place, so that a picture keeps its noise (if C · h · w is a multiple of 16, that of the whole batch;
    torch fills in blocks of 16). Pictures with the same place get the same noise.
    index: only this picture's noise, [1, C, h, w]; shape is the whole batch's.
    """
    generator = _generator(seed)
    if batch_index is None:
        noise = torch.randn(tuple(shape), generator=generator)
    else:
        if len(batch_index) != shape[0]:
            raise ValueError(f"batch_index names {len(batch_index)} pictures, but the latent has {shape[0]}.")
        if min(batch_index) < 0:
            raise ValueError(f"batch_index holds {min(batch_index)}, but places in a batch count from 0.")
        wanted = set(batch_index)
        drawn: dict[int, Tensor] = {}
        for place in range(max(wanted) + 1):
            one = torch.randn((1, *shape[1:]), generator=generator)
            if place in wanted:
                drawn[place] = one
        noise = torch.cat([drawn[place] for place in batch_index])
    return _row(noise, index)


class NoiseSource(ABC):
    """Unit noise for the steps of a sampler: call it with the sigmas between which it is added.

    seed: of the whole run. shape: of the whole batch, [B, C, h, w]. index: the picture of the batch that is made alone,
    or None for all of them. device: where the noise is wanted.
    """

    def __init__(
        self, seed: int, shape: Sequence[int], *, index: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        self.seed, self.shape, self.index, self.device = seed, tuple(shape), index, device

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """[B, C, h, w], or [1, C, h, w] with an index."""
        return _row(self._batch(float(sigma), float(sigma_next)), self.index).to(self.device)

    @abstractmethod
    def _batch(self, sigma: float, sigma_next: float) -> Tensor:
        """The whole batch's noise."""


class StreamNoise(NoiseSource):
    """One draw after the other from one generator, whatever the sigmas."""

    def __init__(
        self, seed: int, shape: Sequence[int], *, index: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(seed, shape, index=index, device=device)
        self._stream = _generator(seed)

    def _batch(self, sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(self.shape, generator=self._stream)


class BrownianNoise(NoiseSource):
    """Increments of one Brownian motion over sigma, so that other steps of the same seed walk the same path.

    A path is a binary tree of midpoints, each seeded by its place (Li et al. 2020, arXiv:2001.01328, section 4).
    sigmas: the run's, whose ends above 0 are the ends of the path.
    """

    def __init__(
        self,
        seed: int,
        shape: Sequence[int],
        sigmas: Tensor,
        *,
        index: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(seed, shape, index=index, device=device)
        _generator(seed)  # for its check
        above = sigmas[sigmas > 0]
        # The tree rounds its ends so, and what is asked of it must lie between them.
        self._low, self._high = round(float(above.min()), 6), round(float(above.max()), 6)
        self._tree = torchsde.BrownianTree(self._low, torch.zeros(self.shape), self._high, entropy=seed)

    def _batch(self, sigma: float, sigma_next: float) -> Tensor:
        low, high = (min(max(level, self._low), self._high) for level in sorted((sigma, sigma_next)))
        step: Tensor = self._tree(low, high) / abs(sigma - sigma_next) ** 0.5
        return step if sigma < sigma_next else -step
