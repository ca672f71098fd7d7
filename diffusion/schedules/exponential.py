"""The schedule that is even on a log scale."""

import math

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("exponential")
def exponential(parameterisation: Parameterisation, n: int) -> Tensor:
    """ln sigma falls evenly: uniform steps in λ, as DPM-Solver uses them (arXiv:2206.00927, section 3.4)."""
    high, low = math.log(parameterisation.sigma_max), math.log(parameterisation.sigma_min)
    sigmas = torch.linspace(high, low, n).exp()
    return torch.cat([sigmas, sigmas.new_zeros(1)])
