"""Euler's method."""

from itertools import pairwise

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler


@sampler("euler")
def euler(x: Tensor, sigmas: Tensor, *, noise: NoiseSource, params: Params) -> Sampling:
    """Euler's method: algorithm 2 of Karras et al. 2022 (arXiv:2206.00364) without churn."""
    for sigma, sigma_next in pairwise(sigmas):
        answer = yield Ask(x, sigma)
        x = x + (x - answer.denoised) / sigma * (sigma_next - sigma)
    return x
