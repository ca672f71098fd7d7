"""The schedule of Movie Gen: linear, then quadratic."""

import torch
from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule

THRESHOLD = 0.025


@schedule("linear_quadratic")
def linear_quadratic(parameterisation: Parameterisation, n: int) -> Tensor:
    """The share of noise removed rises to 2.5 % in even steps over the first half and on a parabola over the second
    (Movie Gen, arXiv:2410.13720, section 3.4.2), times sigma_max.

    With m = n // 2 and q = n − m: removed(i) = 0.025 · i / m up to m; beyond, the parabola a i² + b i + c that goes
    through 0.025 at i = m with the slope 0.025 / m, and through 1 at i = n.
    """
    m = n // 2
    if m == 0:
        removed = [0.0]
    else:
        q = n - m
        slope = THRESHOLD / m
        curvature = (1 - THRESHOLD - slope * q) / q**2
        removed = [slope * i for i in range(m)]
        removed += [THRESHOLD + slope * j + curvature * j**2 for j in range(q)]
    return torch.tensor([1.0 - share for share in removed] + [0.0]) * parameterisation.sigma_max
