"""The start of the samplers that step in λ = ln(α / σ), where pure noise would be −∞."""

from torch import Tensor

from diffusion.parameterisation import Parameterisation

START_PERCENT = 1e-4


def finite_start(sigmas: Tensor, parameterisation: Parameterisation) -> Tensor:
    """The sigmas with a first one of 1 (pure noise of a flow model) moved 0.01 % of the way towards the picture."""
    if parameterisation.flow and sigmas[0] >= 1:
        sigmas = sigmas.clone()
        sigmas[0] = parameterisation.percent_to_sigma(START_PERCENT)
    return sigmas
