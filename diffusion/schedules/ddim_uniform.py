"""Every k-th of the trained noise levels, as DDIM was published with."""

from torch import Tensor

from diffusion.parameterisation import Parameterisation
from diffusion.schedules import schedule


@schedule("ddim_uniform")
def ddim_uniform(parameterisation: Parameterisation, n: int) -> Tensor:
    """One whole-numbered stride k = N // n through the N trained levels, beginning at the second (arXiv:2010.02502,
    section C.1). A stride that does not divide N gives more than n steps: 7 of 1000 are 8."""
    trained = parameterisation.sigmas
    stride = max(len(trained) // n, 1)
    return trained.new_tensor([0.0, *trained[1::stride].tolist()]).flip(0)
