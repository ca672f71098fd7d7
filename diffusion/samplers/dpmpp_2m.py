"""DPM-Solver++(2M)."""

from itertools import pairwise

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler


@sampler("dpmpp_2m")
def dpmpp_2m(x: Tensor, sigmas: Tensor, *, noise: NoiseSource, params: Params) -> Sampling:
    """DPM-Solver++(2M): algorithm 2 of Lu et al. 2022 (arXiv:2211.01095), with α = 1 and λ = −ln σ.

    With h = λ_next − λ and r = h_before / h, x ← σ_next / σ · x + (1 − e^−h) D, where D is the denoised picture
    carried on half a step along its last change: D_i + (D_i − D_before) / 2r. First order at the start and to σ = 0.
    """
    before: tuple[Tensor, Tensor] | None = None  # the last denoised picture, and the h of the step that it made
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield Ask(x, sigma)).denoised
        h = sigma.log() - sigma_next.log()
        ahead = denoised
        if before is not None and sigma_next > 0:
            r = before[1] / h
            ahead = (1 + 1 / (2 * r)) * denoised - (1 / (2 * r)) * before[0]
        x = sigma_next / sigma * x - (-h).expm1() * ahead
        before = denoised, h
    return x
