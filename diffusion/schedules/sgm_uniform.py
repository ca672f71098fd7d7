"""Evenly spaced time steps, leaving room for the step to 0."""

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("sgm_uniform")
def sgm_uniform(parameterisation: Parameterisation, n: int) -> Tensor:
    """n + 1 evenly spaced time steps of which the cleanest is replaced by 0: always starts at the noisiest trained
    level and takes steps of one length ("trailing" in table 2 of arXiv:2305.08891)."""
    first, last = parameterisation.timestep(torch.tensor([parameterisation.sigma_max, parameterisation.sigma_min]))
    sigmas = parameterisation.sigma(torch.linspace(float(first), float(last), n + 1)[:-1])
    return torch.cat([sigmas, sigmas.new_zeros(1)])
