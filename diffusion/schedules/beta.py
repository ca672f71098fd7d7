"""Time steps spaced by a beta distribution: dense at both ends."""

import numpy as np
from scipy.special import betaincinv
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule

ALPHA = BETA = 0.6


@schedule("beta")
def beta(parameterisation: Parameterisation, n: int) -> Tensor:
    """Quantiles of Beta(0.6, 0.6) over the trained time steps (Lee et al. 2024, arXiv:2407.12173, section 4).

    Time steps are rounded to trained ones; two that meet count once, so very many steps come out as fewer."""
    trained = parameterisation.sigmas
    quantiles = betaincinv(ALPHA, BETA, 1 - np.linspace(0, 1, n, endpoint=False))
    steps = dict.fromkeys(np.rint(quantiles * (len(trained) - 1)).astype(int).tolist())  # a set that keeps its order
    return trained.new_tensor([*trained[list(steps)].tolist(), 0.0])
