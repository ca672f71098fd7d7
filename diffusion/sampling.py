"""From a latent and a model to a new latent: `denoising` sets a run up, each `step` answers its sampler once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

import torch
from torch import Tensor

from diffusion.conditioning import Conditioning, entries
from diffusion.guidance import Guidance, Model
from diffusion.latents import Latent, noise_mask_of, samples_of, with_channels
from diffusion.noise import SEEDS, BrownianNoise, NoiseSource, StreamNoise, initial_noise
from diffusion.parameterisation import Parameterisation
from diffusion.samplers import SAMPLERS, Answer, Ask, Params, Sampler, Sampling
from diffusion.schedules import SCHEDULES

Denoiser = Callable[[Ask], Answer]

Named = TypeVar("Named")


class SamplingError(ValueError):
    """A run that cannot be: one sentence that says what is wrong and what would be right."""


def _named(kind: str, registry: Mapping[str, Named], name: str) -> Named:
    if name in registry:
        return registry[name]
    near = get_close_matches(name, registry, n=3) or sorted(registry)
    raise SamplingError(f"there is no {kind} called {name!r}; there is {', '.join(near)}")


# ── which noise levels ────────────────────────────────────────────────────────────────────────────────────────────────


def ksampler_sigmas(
    parameterisation: Parameterisation, sampler_name: str, scheduler: str, steps: int, denoise: float = 1.0
) -> Tensor:
    """The noise levels of a KSampler, [steps + 1], the last one 0; none at all where denoise is 0.

    A denoise under 1 keeps the last steps + 1 levels of a schedule of int(steps / denoise) steps.
    """
    sampler, schedule = _named("sampler", SAMPLERS, sampler_name), _named("scheduler", SCHEDULES, scheduler)
    if steps < 1:
        raise SamplingError(f"{steps} steps were asked for, but a run has at least one")
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


def _checked_sigmas(sigmas: Tensor) -> Tensor:
    if sigmas.ndim != 1:
        raise SamplingError(f"the sigmas have the shape {list(sigmas.shape)}, but they are a row of numbers")
    if not torch.isfinite(sigmas).all():
        raise SamplingError("the sigmas are not all finite numbers; choose another scheduler or number of steps")
    if (sigmas < 0).any() or (sigmas.diff() >= 0).any():
        listed = ", ".join(f"{sigma:.4g}" for sigma in sigmas[:12].tolist()) + (", …" if len(sigmas) > 12 else "")
        raise SamplingError(f"the sigmas must fall from step to step and not below 0, but are {listed}")
    return sigmas.to("cpu", torch.float32)


# ── the run ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Denoising:
    """One run of one sampler. The driver calls `step` until it is False, then `result`; `close` at any time.

    A driver of several runs reads `pending`, answers many at once, and hands each its `answer`.

    denoise: answers an Ask; it sees x on `device`, [B, C, h, w] float32.
    sigmas: [n + 1] descending. One level or none: there is nothing to do, and the result is the latent as it was.
    latent: its samples are what the noise is added to, what a mask keeps, and unscaled; other keys are handed on.
    seed: of all noise. noise: another start than the seed's, [B, C, h, w]; zeros add none.
    scale_factor: samples times this is what the model works on.
    options: the sampler's own keywords, see `Sampler.options`.
    batch_size, index: the latent is picture `index` of a batch of that size, made alone.
    """

    def __init__(
        self,
        denoise: Denoiser,
        sampler_name: str,
        sigmas: Tensor,
        latent: Latent,
        *,
        parameterisation: Parameterisation,
        seed: int,
        noise: Tensor | None = None,
        scale_factor: float = 1.0,
        options: Mapping[str, object] | None = None,
        device: torch.device | str = "cpu",
        batch_size: int | None = None,
        index: int | None = None,
    ) -> None:
        self.sampler = _named("sampler", SAMPLERS, sampler_name)
        self.sigmas = _checked_sigmas(sigmas)
        self.total = max(len(self.sigmas) - 1, 0)
        """Steps from level to level. A step may take several passes of the network."""
        self.done = 0
        """Steps that are behind."""
        self.passes = 0
        """Answers given."""
        self.denoised: Tensor | None = None
        """The last answer, for previews: [B, C, h, w] on the model's scale."""
        self.pending: Ask | None = None
        """What the network is asked next; None at the end."""
        self._denoise = denoise
        self._latent = latent
        self._parameterisation = parameterisation
        self._scale_factor = scale_factor
        self._x: Tensor | None = None
        self._run: Sampling | None = None
        samples = samples_of(latent)
        batch = (batch_size or samples.shape[0], *samples.shape[1:])
        if unknown := set(options or ()) - set(self.sampler.options):
            raise SamplingError(f"the sampler {sampler_name} has no option {', '.join(sorted(unknown))}")
        if self.total == 0:
            self._x = samples
            self._scale_factor = 1.0
            return

        # Inference tensors end with the run: `result` hands out an ordinary one.
        with torch.inference_mode():
            if noise is None:
                noise = initial_noise(batch, seed, batch_index=latent.get("batch_index"), index=index)
            elif noise.shape != samples.shape:
                raise SamplingError(f"the noise is {list(noise.shape)}, but the latent is {list(samples.shape)}")
            # The factor would turn no zero into another number; a model whose latents are also moved would.
            self._kept = (samples * scale_factor if samples.any() else samples).to(device)
            self._noise = noise.to(device, torch.float32)
            self._mask = noise_mask_of(latent)
            if self._mask is not None:
                self._mask = self._mask.to(device)
            x = parameterisation.noised(self._kept, self._noise, self.sigmas[0], start=True)
            if self._mask is not None and self.sampler.inpaint_seed_offset:
                other = (seed + self.sampler.inpaint_seed_offset) % SEEDS
                self._noise = initial_noise(batch, other, index=index).to(device)
            source = _noise_source(self.sampler, seed, batch, self.sigmas, index=index, device=device)
            params = Params(parameterisation)
            self._run = self.sampler.algorithm(x, self.sigmas, noise=source, params=params, **(options or {}))
            self._advance(None)

    def step(self) -> bool:
        """Answer what is pending. True while there is more to do. If the denoiser raises, the step can be repeated."""
        if self.pending is not None:
            with torch.inference_mode():
                answer = self._denoise(self.pending)
            self.answer(answer)
        return self.pending is not None

    def answer(self, answer: Answer) -> None:
        """Hand the sampler the answer to what is pending, and go on to its next question."""
        if self.pending is None:
            raise RuntimeError("nothing is pending")
        with torch.inference_mode():
            self.passes += 1
            if self._mask is not None:
                answer = Answer(answer.denoised * self._mask + self._kept * (1.0 - self._mask), answer.uncond)
            self.denoised = answer.denoised
            self._advance(answer)

    def _advance(self, answer: Answer | None) -> None:
        assert self._run is not None
        try:
            ask = next(self._run) if answer is None else self._run.send(answer)
        except StopIteration as end:
            self._x = self._parameterisation.finished(end.value, self.sigmas[-1])
            self.pending, self.done = None, self.total
            return
        if self._mask is not None:
            kept = self._parameterisation.noised(self._kept, self._noise, ask.sigma)
            ask = Ask(ask.x * self._mask + kept * (1.0 - self._mask), ask.sigma)
        self.pending = ask
        self.done = max(self.done, int((self.sigmas[1:] >= ask.sigma).sum()))

    def result(self) -> Latent:
        """The latent with new samples, [B, C, h, w] float32 on the CPU."""
        if self._x is None:
            raise RuntimeError("the run has not come to its end")
        with torch.inference_mode(mode=False):
            return {**self._latent, "samples": self._x.to("cpu", torch.float32).clone() / self._scale_factor}

    def close(self) -> None:
        """Let go of everything. Safe at any time and more than once; a result that was there stays."""
        if self._run is not None:
            self._run.close()
        self.pending = None


def _noise_source(
    sampler: Sampler,
    seed: int,
    shape: tuple[int, ...],
    sigmas: Tensor,
    *,
    index: int | None,
    device: torch.device | str,
) -> NoiseSource:
    if sampler.noise == "brownian":
        return BrownianNoise(seed, shape, sigmas, index=index, device=device)
    return StreamNoise(seed, shape, index=index, device=device)


def denoising(
    model: Model,
    *,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    denoise: float = 1.0,
    add_noise: bool = True,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    batch_size: int | None = None,
    index: int | None = None,
) -> Denoising:
    """The run of a KSampler, or of a KSamplerAdvanced with add_noise, start_step, last_step and force_full_denoise.

    seed 0 … 2^64 − 1; denoise 0 … 1, the share of the schedule to run; cfg 1 follows the positive prompt alone.
    batch_size, index: see `Denoising`. Raises SamplingError, ConditioningError or another ValueError, each with a
    sentence for people.
    """
    sampler = _named("sampler", SAMPLERS, sampler_name)
    sigmas = ksampler_sigmas(model.parameterisation, sampler_name, scheduler, steps, denoise)
    sigmas = part_of(sigmas, start_step, last_step, to_zero=force_full_denoise)
    latent = with_channels(latent, model.latent_channels)
    if not math.isfinite(cfg):
        raise SamplingError(f"cfg is {cfg}, but it is a finite number, usually 1 to 15")
    guidance = Guidance(
        model,
        entries(positive, "positive"),
        entries(negative, "negative"),
        scale=cfg,
        wants_uncond=sampler.wants_uncond,
    )
    return Denoising(
        guidance,
        sampler_name,
        sigmas,
        latent,
        parameterisation=model.parameterisation,
        seed=seed,
        noise=None if add_noise else torch.zeros_like(samples_of(latent)),
        scale_factor=model.scale_factor,
        device=model.device,
        batch_size=batch_size,
        index=index,
    )
