"""Guidance: what samplers ask → rows for the network → passes that the rows of several runs share → the answers."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from diffusion.batching import Sharing
from diffusion.conditioning import Entry, repeat_to_batch, repeat_tokens
from diffusion.devices import free_bytes, is_out_of_memory
from diffusion.parameterisation import Parameterisation
from diffusion.samplers import Answer, Ask

LONGEST_REPEAT = 4
"""Prompts share a pass if none has to be repeated more often than this."""

EMPTY_WEIGHT = 1e-37
"""What sums of weights begin with, so that where no prompt has any the result is 0."""


ROOM = 0.5
"""The share of the free memory that runs may plan to fill together: how much a pass takes is only known about."""


class Model(Protocol):
    """What guidance and sampling need of a model; `diffusion.model.Model` is one.

    Equal models have networks of equal weights, if their `sharing` is the same.
    """

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
    @property
    def sharing(self) -> Sharing: ...
    def row_bytes(self, height: int, width: int) -> int:
        """About what a row of a pass takes beside the weights, at a latent's height and width."""
        ...

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


@dataclass(frozen=True, eq=False)
class _Part:
    """What one run shows the network in one pass, alone or in company."""

    rows: Sequence[Row]
    x: Tensor  # [B, C, h, w]
    sigma: Tensor  # [B]
    scaled: Tensor  # as x; these three are what the network takes
    timestep: Tensor  # [B]
    context: Tensor  # [B, T, D]

    @classmethod
    def of(cls, rows: Sequence[Row], model: Model) -> _Part:
        x = torch.cat([row.x for row in rows])
        sigma = torch.cat([row.sigma.expand(len(row.x)) for row in rows]).to(x.device)
        count = math.lcm(*(row.context.shape[1] for row in rows))
        context = torch.cat([repeat_tokens(row.context, count) for row in rows])
        scaled = model.parameterisation.scale_input(x, sigma).to(model.dtype)
        return cls(rows, x, sigma, scaled, model.parameterisation.timestep(sigma), context)

    def halves(self) -> tuple[_Part, _Part]:
        middle = len(self.x) // 2
        first, second = (
            {name: getattr(self, name)[half] for name in ("x", "sigma", "scaled", "timestep", "context")}
            for half in (slice(middle), slice(middle, None))
        )
        return replace(self, **first), replace(self, **second)

    def denoised(self, output: Tensor, model: Model) -> list[Tensor]:
        pictures = model.parameterisation.denoised(output.float(), self.x, self.sigma)
        return list(torch.split(pictures, [len(row.x) for row in self.rows]))


def denoise_rows(model: Model, runs: Sequence[Sequence[Row]]) -> list[list[Tensor]]:
    """The denoised pictures of each row of each run, [B, C, h, w] float32, in as few passes of the network as can be.

    A run's rows are put together as if it were alone, then runs share passes of equal size and token count.
    """
    denoised: dict[int, Tensor] = {}
    with torch.inference_mode(mode=False):  # a network that is first built here outlives the run
        network = model.network()
    shared: dict[Hashable, list[_Part]] = {}
    for rows in runs:
        for group in passes(rows):
            part = _Part.of(group, model)
            shared.setdefault((part.x.shape[1:], part.context.shape[1:]), []).append(part)
    for parts in shared.values():
        for part, output in zip(parts, _outputs(model, network, parts), strict=True):
            denoised.update(zip(map(id, part.rows), part.denoised(output, model), strict=True))
    return [[denoised[id(row)] for row in rows] for rows in runs]


def _outputs(model: Model, network: nn.Module, parts: Sequence[_Part]) -> list[Tensor]:
    """What the network makes of each part: in one pass if there is memory for it, else half by half."""
    sizes = [len(part.x) for part in parts]
    rows, kind = sum(sizes), (model, parts[0].x.shape[1:])
    most = model.sharing.most_rows(kind)
    if most is None or rows <= most:
        try:
            inputs = [torch.cat(each) for each in zip(*((p.scaled, p.timestep, p.context) for p in parts), strict=True)]
            with model.sharing.pass_of(sizes):
                return list(torch.split(network(*inputs), sizes))
        except Exception as error:  # devices report a lack of memory by errors of many classes
            if rows == 1 or not is_out_of_memory(error):
                raise
        model.sharing.limit(kind, max(rows // 2, 1))  # not sooner: with the error goes what the pass still held
    if len(parts) == 1:
        return [torch.cat([output for half in parts[0].halves() for output in _outputs(model, network, [half])])]
    middle = len(parts) // 2
    return _outputs(model, network, parts[:middle]) + _outputs(model, network, parts[middle:])


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
        [answer] = answers([(self, ask)])
        return answer

    def company(self, ask: Ask) -> Hashable | None:
        """Equal for runs whose passes can be one; None for a run that goes alone, see `Sharing`."""
        alone = passes(self.rows(ask))
        if not self.model.sharing.loose and any(sum(len(row.x) for row in rows) == 1 for rows in alone):
            return None
        tokens = tuple((math.lcm(*(row.context.shape[1] for row in rows)), rows[0].context.shape[2]) for rows in alone)
        return self.model, self.model.sharing, ask.x.shape[1:], tokens

    def most(self, ask: Ask) -> int:
        """How many runs like this one, itself included, memory has room for in one pass."""
        rows = max(sum(len(row.x) for row in group) for group in passes(self.rows(ask)))
        free = free_bytes(self.model.device)
        fit = rows if free is None else int(free * ROOM / self.model.row_bytes(*ask.x.shape[2:]))
        known = self.model.sharing.most_rows((self.model, ask.x.shape[1:]))
        return max(min(fit, fit if known is None else known) // rows, 1)

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


def answers(asked: Sequence[tuple[Guidance, Ask]]) -> list[Answer]:
    """The answers to what several runs of one model ask, from passes that they share."""
    runs = [guidance.rows(ask) for guidance, ask in asked]
    denoised = denoise_rows(asked[0][0].model, runs)
    return [
        guidance.combine(rows, pictures) for (guidance, _), rows, pictures in zip(asked, runs, denoised, strict=True)
    ]


def guided(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """arXiv:2207.12598, eq. 6, in denoised pictures, with the guidance strength w = scale − 1."""
    return uncond + (cond - uncond) * scale


def _average(weighted: Sequence[tuple[float, Tensor]]) -> Tensor:
    total = EMPTY_WEIGHT + sum(weight for weight, _ in weighted)
    return sum((picture * weight for weight, picture in weighted[1:]), weighted[0][1] * weighted[0][0]) / total
