"""The split of a step into a deterministic part and fresh noise, shared by the ancestral samplers."""

from torch import Tensor


def ancestral_step(sigma: Tensor, sigma_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up) with down² + up² = sigma_next²: step to `down`, then add noise of `up`.

    eta 1 is the posterior of the diffusion (Ho et al. 2020, arXiv:2006.11239, eq. 7: up² = sigma_next² (sigma² −
    sigma_next²) / sigma²), eta 0 adds nothing (Song et al. 2020, arXiv:2010.02502, eq. 16).
    """
    # As a product, since the difference of the squares loses digits that `down` is made of.
    up = eta * (sigma_next / sigma) * ((sigma - sigma_next) * (sigma + sigma_next)) ** 0.5
    up = up.minimum(sigma_next)
    return (sigma_next**2 - up**2) ** 0.5, up
