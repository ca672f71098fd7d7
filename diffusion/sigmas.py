"""Which noise levels a run goes through: those of a KSampler's settings, a part of them, and the check of any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.samplers import SAMPLERS, Sampler
from diffusion.schedules import SCHEDULES

Named = TypeVar("Named")


class SamplingError(ValueError):
    """A run that cannot be: one sentence that says what is wrong and what would be right."""


def named(kind: str, registry: Mapping[str, Named], name: str) -> Named:
    """An entry of a registry. Raises SamplingError with the nearest names."""
    if name in registry:
        return registry[name]
    near = get_close_matches(name, registry, n=3) or sorted(registry)
    raise SamplingError(f"There is no {kind} called {name!r}; there is {', '.join(near)}.")


def ksampler_sigmas(
    parameterisation: Parameterisation, sampler_name: str, scheduler: str, steps: int, denoise: float = 1.0
) -> Tensor:
    """The noise levels of a KSampler, [steps + 1], the last one 0; none at all where denoise is 0.

    A denoise under 1 keeps the last steps + 1 levels of a schedule of int(steps / denoise) steps.
    """
    sampler, schedule = named("sampler", SAMPLERS, sampler_name), named("scheduler", SCHEDULES, scheduler)
    if steps < 1:
        raise SamplingError(f"A run has at least one step; {steps} were asked for.")
    if not denoise > 0:
        return torch.empty(0)
    if denoise > 0.9999:
        return _levels(schedule, sampler, parameterisation, steps)
    return _levels(schedule, sampler, parameterisation, int(steps / denoise))[-(steps + 1) :]


def _levels(
    schedule: Callable[[Parameterisation, int], Tensor], sampler: Sampler, parameterisation: Parameterisation, n: int
) -> Tensor:
    if not sampler.discards_penultimate_sigma:
        return schedule(parameterisation, n)
    sigmas = schedule(parameterisation, n + 1)
    return torch.cat([sigmas[:-2], sigmas[-1:]])


def part_of(sigmas: Tensor, start_step: int | None, last_step: int | None, *, to_zero: bool) -> Tensor:
    """The levels between two steps, or none if the first is not before the last. `to_zero`: a part that stops early
    goes to sigma 0 in its last step."""
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: max(last_step, 0) + 1].clone()
        if to_zero:
            sigmas[-1] = 0.0
    start = max(start_step or 0, 0)
    return sigmas[start:] if start < len(sigmas) - 1 else sigmas[:0]


def checked_sigmas(sigmas: Tensor) -> Tensor:
    """The sigmas as samplers take them, float32 on the CPU. Raises SamplingError unless they fall to 0 or above."""
    if sigmas.ndim != 1:
        raise SamplingError(f"Sigmas are a row of numbers; these have the shape {list(sigmas.shape)}.")
    if not torch.isfinite(sigmas).all():
        raise SamplingError("The sigmas are not all finite numbers; choose another scheduler or number of steps.")
    if (sigmas < 0).any() or (sigmas.diff() >= 0).any():
        listed = ", ".join(f"{sigma:.4g}" for sigma in sigmas[:12].tolist()) + (", …" if len(sigmas) > 12 else "")
        raise SamplingError(f"Sigmas fall from step to step and not below 0; these are {listed}.")
    return sigmas.to("cpu", torch.float32)
