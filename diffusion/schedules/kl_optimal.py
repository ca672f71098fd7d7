"""The schedule that minimises a bound on the KL divergence for Gaussian data."""

import math

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("kl_optimal")
def kl_optimal(parameterisation: Parameterisation, n: int) -> Tensor:
    """arctan sigma falls evenly from sigma_max to sigma_min, then 0 (Sabour et al. 2024, Align Your Steps,
    arXiv:2404.14507, theorem 3.1). One step goes straight from sigma_max to 0, where ComfyUI gives NaN."""
    if n == 1:
        return torch.tensor([parameterisation.sigma_max, 0.0])
    share = torch.linspace(0, 1, n)
    low, high = math.atan(parameterisation.sigma_min), math.atan(parameterisation.sigma_max)
    sigmas = torch.tan(share * low + (1 - share) * high)
    return torch.cat([sigmas, sigmas.new_zeros(1)])
