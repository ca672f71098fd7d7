"""DDIM without noise on the way."""

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Params, Sampling, sampler
from diffusion.samplers.euler import euler


@sampler("ddim", inpaint_seed_offset=1)
def ddim(x: Tensor, sigmas: Tensor, *, noise: NoiseSource, params: Params) -> Sampling:
    """DDIM with η = 0 (Song et al. 2020, arXiv:2010.02502). In units of x / √ᾱ its step is Euler's (eq. 13), so that
    what sets it apart is what surrounds it: the part that a mask keeps gets noise of its own."""
    return (yield from euler(x, sigmas, noise=noise, params=params))
