"""Evenly spaced time steps, the last one trained included."""

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("normal")
def normal(parameterisation: Parameterisation, n: int) -> Tensor:
    """Evenly spaced time steps from the noisiest to the cleanest ("linspace" in table 2 of arXiv:2305.08891), then 0.

    Where the cleanest trained step is already free of noise (a flow model told time 0), it is the end itself.
    """
    first, last = parameterisation.timestep(torch.tensor([parameterisation.sigma_max, parameterisation.sigma_min]))
    ends_in_zero = bool(parameterisation.sigma(last).abs() <= 1e-5)
    steps = torch.linspace(float(first), float(last), n + 1 if ends_in_zero else n)
    sigmas = parameterisation.sigma(steps)
    if ends_in_zero:
        sigmas[-1] = 0.0
        return sigmas
    return torch.cat([sigmas, sigmas.new_zeros(1)])
