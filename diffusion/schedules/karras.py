"""The schedule of Karras et al. 2022."""

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule

RHO = 7.0


@schedule("karras")
def karras(parameterisation: Parameterisation, n: int) -> Tensor:
    """sigma^(1/ρ) falls evenly, ρ = 7: short steps where little noise is left (arXiv:2206.00364, eq. 5)."""
    low, high = parameterisation.sigma_min ** (1 / RHO), parameterisation.sigma_max ** (1 / RHO)
    sigmas = (high + torch.linspace(0, 1, n) * (low - high)) ** RHO
    return torch.cat([sigmas, sigmas.new_zeros(1)])
