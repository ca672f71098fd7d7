"""Euler steps that go too far and add noise again."""

from itertools import pairwise

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler
from diffusion.samplers._ancestral import ancestral_step


@sampler("euler_ancestral")
def euler_ancestral(
    x: Tensor, sigmas: Tensor, *, noise: NoiseSource, params: Params, eta: float = 1.0, s_noise: float = 1.0
) -> Sampling:
    """Euler to a lower level, then fresh noise up to the wanted one: ancestral sampling, the stochastic end of DDIM
    (arXiv:2010.02502, eq. 12 and 16) in units of added noise.

    Flow models mix, (1 − σ) · latent + σ · noise: the step ends at `down`, x is scaled so that its latent has the share
    1 − sigma_next again, and noise fills what is missing to the variance sigma_next².
    """
    for sigma, sigma_next in pairwise(sigmas):
        denoised = (yield Ask(x, sigma)).denoised
        if sigma_next == 0:
            x = denoised
        elif params.parameterisation.flow:
            down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
            scale = (1 - sigma_next) / (1 - down)
            x = scale * (down / sigma * x + (1 - down / sigma) * denoised)
            if eta > 0:
                up = (sigma_next**2 - down**2 * scale**2) ** 0.5
                x = x + noise(sigma, sigma_next) * s_noise * up
        else:
            down, up = ancestral_step(sigma, sigma_next, eta)
            x = x + (x - denoised) / sigma * (down - sigma)
            if eta > 0:
                x = x + noise(sigma, sigma_next) * s_noise * up
    return x
