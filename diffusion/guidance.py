"""Guidance: what a sampler asks → rows for the network → passes that rows share → the answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from diffusion.conditioning import Entry, repeat_to_batch, repeat_tokens
from diffusion.parameterisation import Parameterisation
from diffusion.samplers import Answer, Ask

LONGEST_REPEAT = 4
"""Prompts share a pass if none has to be repeated more often than this."""

EMPTY_WEIGHT = 1e-37
"""What sums of weights begin with, so that where no prompt has any the result is 0."""


class Model(Protocol):
    """What guidance and sampling need of a model; `diffusion.model.Model` is one."""

    @property
    def parameterisation(self) -> Parameterisation: ...
    @property
    def scale_factor(self) -> float: ...
    @property
    def latent_channels(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    def network(self) -> nn.Module:
        """The network: (x [B, C, h, w], time steps [B], context [B, T, D]) → [B, C, h, w]."""
        ...


@dataclass(frozen=True, eq=False)
class Row:
    """Work for the network: the pictures of one run under one prompt."""

    x: Tensor  # [B, C, h, w] float32
    sigma: Tensor  # 0-dim
    context: Tensor  # [B, T, D]
    weight: float  # in the average of its side
    conditional: bool  # side: the positive prompt's, or the negative's


def passes(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows in groups that can be one pass each: same picture size, same token width, and token counts that meet in
    a common multiple which repeats none of them more than LONGEST_REPEAT times."""
    groups: list[list[Row]] = []
    for row in rows:
        for group in groups:
            if group[0].x.shape[1:] == row.x.shape[1:] and group[0].context.shape[2] == row.context.shape[2]:
                counts = [member.context.shape[1] for member in (*group, row)]
                if math.lcm(*counts) <= LONGEST_REPEAT * min(counts):
                    group.append(row)
                    break
        else:
            groups.append([row])
    return groups


def denoise_rows(model: Model, rows: Sequence[Row]) -> list[Tensor]:
    """The denoised pictures of each row, [B, C, h, w] float32, in as few passes of the network as can be."""
    denoised: dict[int, Tensor] = {}
    with torch.inference_mode(mode=False):  # a network that is first built here outlives the run
        network = model.network()
    for group in passes(rows):
        sizes = [len(row.x) for row in group]
        x = torch.cat([row.x for row in group])
        sigma = torch.cat([row.sigma.expand(size) for row, size in zip(group, sizes, strict=True)]).to(x.device)
        count = math.lcm(*(row.context.shape[1] for row in group))
        context = torch.cat([repeat_tokens(row.context, count) for row in group])
        scaled = model.parameterisation.scale_input(x, sigma).to(model.dtype)
        output = network(scaled, model.parameterisation.timestep(sigma), context).float()
        parts = torch.split(model.parameterisation.denoised(output, x, sigma), sizes)
        denoised.update((id(row), part) for row, part in zip(group, parts, strict=True))
    return [denoised[id(row)] for row in rows]


class Guidance:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598): a Denoiser for `diffusion.sampling`.

    scale: how far to go from the negative prompt's picture to the positive one's and beyond; at 1 the negative prompt
    makes no difference and is left out, unless the sampler wants it.
    """

    def __init__(
        self,
        model: Model,
        positive: Sequence[Entry],
        negative: Sequence[Entry],
        *,
        scale: float,
        wants_uncond: bool = False,
    ) -> None:
        self.model, self.scale = model, scale
        self._guided = wants_uncond or not math.isclose(scale, 1.0)
        sides = [(False, negative), (True, positive)] if self._guided else [(True, positive)]
        self._prompts = [
            (conditional, entry.strength, entry.tokens.to(model.device, model.dtype))
            for conditional, side in sides
            for entry in side
        ]

    def __call__(self, ask: Ask) -> Answer:
        rows = self.rows(ask)
        return self.combine(rows, denoise_rows(self.model, rows))

    def rows(self, ask: Ask) -> list[Row]:
        """What the network must be shown to answer: the negative side's rows, then the positive's."""
        size = len(ask.x)
        return [
            Row(ask.x, ask.sigma, repeat_to_batch(tokens, size), strength, conditional)
            for conditional, strength, tokens in self._prompts
        ]

    def combine(self, rows: Sequence[Row], denoised: Sequence[Tensor]) -> Answer:
        """The answer from the denoised pictures of `rows`."""
        pairs = list(zip(rows, denoised, strict=True))
        cond = _average([(row.weight, picture) for row, picture in pairs if row.conditional])
        if not self._guided:
            return Answer(cond)
        uncond = _average([(row.weight, picture) for row, picture in pairs if not row.conditional])
        return Answer(guided(cond, uncond, self.scale), uncond)


def guided(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """arXiv:2207.12598, eq. 6, in denoised pictures, with the guidance strength w = scale − 1."""
    return uncond + (cond - uncond) * scale


def _average(weighted: Sequence[tuple[float, Tensor]]) -> Tensor:
    total = EMPTY_WEIGHT + sum(weight for weight, _ in weighted)
    return sum((picture * weight for weight, picture in weighted[1:]), weighted[0][1] * weighted[0][0]) / total
