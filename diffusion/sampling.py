"""From a latent and a model to a new latent: `denoising` sets a run up, each `step` answers its sampler once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.conditioning import Conditioning, entries
from diffusion.guidance import Guidance, Model
from diffusion.latents import Latent, noise_mask_of, samples_of, with_channels
from diffusion.noise import SEEDS, BrownianNoise, NoiseSource, StreamNoise, initial_noise
from diffusion.parameterisation import Parameterisation
from diffusion.samplers import SAMPLERS, Answer, Ask, Params, Sampler, Sampling
from diffusion.sigmas import SamplingError, checked_sigmas, ksampler_sigmas, named, part_of

Denoiser = Callable[[Ask], Answer]


@dataclass(frozen=True, eq=False)
class _Kept:
    """The part of a latent that a mask keeps: put back before each question and after each answer."""

    mask: Tensor  # [B, 1, h, w]: 1 is made anew, 0 is kept
    latent: Tensor  # [B, C, h, w] on the model's scale
    noise: Tensor  # [B, C, h, w]
    parameterisation: Parameterisation

    def in_noisy(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x * self.mask + self.parameterisation.noised(self.latent, self.noise, sigma) * (1.0 - self.mask)

    def in_denoised(self, x: Tensor) -> Tensor:
        return x * self.mask + self.latent * (1.0 - self.mask)


class Denoising:
    """One run of one sampler. The driver calls `step` until it is False, then `result`; `close` at any time.

    A driver of several runs reads `pending`, answers many at once, and hands each its `answer`.

    denoise: answers an Ask; it sees x on `device`, [B, C, h, w] float32.
    sigmas: [n + 1] descending. One level or none: there is nothing to do, and the result is the latent as it was.
    latent: its samples, unscaled, are what the noise is added to and what a mask keeps; other keys are handed on.
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
        self.sampler = named("sampler", SAMPLERS, sampler_name)
        self.sigmas = checked_sigmas(sigmas)
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
        self.denoiser = denoise
        """What answers where this run goes alone; a `Guidance` can answer several runs at once."""
        self._latent = latent
        self._parameterisation = parameterisation
        self._scale_factor = scale_factor
        self._x: Tensor | None = None
        self._run: Sampling | None = None
        self._kept: _Kept | None = None
        samples = samples_of(latent)
        options = options or {}
        if unknown := set(options) - set(self.sampler.options):
            raise SamplingError(f"The sampler {sampler_name} has no option {', '.join(sorted(unknown))}.")
        if noise is not None and noise.shape != samples.shape:
            raise SamplingError(f"The noise is {list(noise.shape)}, but the latent is {list(samples.shape)}.")
        if index is not None and samples.shape[0] != 1:
            raise SamplingError(f"One picture of a batch is made alone, but the latent holds {samples.shape[0]}.")
        if self.total == 0:
            self._x, self._scale_factor = samples, 1.0
            return

        batch = (batch_size or samples.shape[0], *samples.shape[1:])
        with torch.inference_mode():
            if noise is None:
                noise = initial_noise(batch, seed, batch_index=latent.get("batch_index"), index=index)
            noise = noise.to(device, torch.float32)
            start = (samples * scale_factor).to(device)
            x = parameterisation.noised(start, noise, self.sigmas[0], start=True)
            mask = noise_mask_of(latent)
            if mask is not None:
                if offset := self.sampler.inpaint_seed_offset:
                    noise = initial_noise(batch, (seed + offset) % SEEDS, index=index).to(device)
                self._kept = _Kept(mask.to(device), start, noise, parameterisation)
            source = _noise_source(self.sampler, seed, batch, self.sigmas, index=index, device=device)
            params = Params(parameterisation)
            self._run = self.sampler.algorithm(x, self.sigmas, noise=source, params=params, **options)
            self._advance(None)

    def step(self) -> bool:
        """Answer what is pending. True while there is more to do. If the denoiser raises, the step can be repeated."""
        if self.pending is not None:
            with torch.inference_mode():
                answer = self.denoiser(self.pending)
            self.answer(answer)
        return self.pending is not None

    def answer(self, answer: Answer) -> None:
        """Hand the sampler the answer to what is pending, and go on to its next question."""
        if self.pending is None:
            raise RuntimeError("nothing is pending")
        with torch.inference_mode():
            self.passes += 1
            if self._kept is not None:
                answer = Answer(self._kept.in_denoised(answer.denoised), answer.uncond)
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
        self.pending = ask if self._kept is None else Ask(self._kept.in_noisy(ask.x, ask.sigma), ask.sigma)
        self.done = max(self.done, int((self.sigmas[1:] >= ask.sigma).sum()))

    def result(self) -> Latent:
        """The latent with new samples, [B, C, h, w] float32 on the CPU."""
        if self._x is None:
            raise RuntimeError("the run has not come to its end")
        with torch.inference_mode(mode=False):  # an ordinary tensor, which others may change or differentiate
            return {**self._latent, "samples": self._x.to("cpu", torch.float32).clone() / self._scale_factor}

    def close(self) -> None:
        """End the run. Safe at any time and more than once; a result that was there stays."""
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
    sampler = named("sampler", SAMPLERS, sampler_name)
    sigmas = ksampler_sigmas(model.parameterisation, sampler_name, scheduler, steps, denoise)
    sigmas = part_of(sigmas, start_step, last_step, to_zero=force_full_denoise)
    latent = with_channels(latent, model.latent_channels)
    if not math.isfinite(cfg):
        raise SamplingError(f"cfg is a finite number, usually 1 to 15; this is {cfg}.")
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
