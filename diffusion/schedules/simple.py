"""Every (N/n)-th of the trained noise levels, from the noisiest."""

from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("simple")
def simple(parameterisation: Parameterisation, n: int) -> Tensor:
    """Strides of N / n down the row of the N trained levels, rounded down, then 0 (arXiv:2010.02502, section C.1, from
    the noisy end). More steps than there are levels come out as one for each."""
    trained = parameterisation.sigmas.flip(0)
    indices = [int(step * len(trained) / n) for step in range(n)] if n < len(trained) else list(range(len(trained)))
    return trained.new_tensor([*trained[indices].tolist(), 0.0])
