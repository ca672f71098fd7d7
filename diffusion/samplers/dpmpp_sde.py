"""DPM-Solver++(2S) with noise."""

from itertools import pairwise

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler
from diffusion.samplers._ancestral import ancestral_step
from diffusion.samplers._log_snr import finite_start


@sampler("dpmpp_sde", noise="brownian")
def dpmpp_sde(
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    params: Params,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Sampling:
    """DPM-Solver++(2S), algorithm 1 of Lu et al. 2022 (arXiv:2211.01095), each of its two stages made ancestral.

    Stage one goes the share r of the step in λ = ln(α / σ), stage two the whole step with the denoised picture
    (1 − 1/2r) D + 1/2r D_middle. A stage from λ to λ' steps down to where noise of eta brings it back to λ', in units
    of x / α: e^−λ' = √(down² + up²); x' = α' (down / e^−λ · x / α + (1 − down / e^−λ) D + up z).
    """
    model = params.parameterisation

    def stage(x: Tensor, denoised: Tensor, start: Tensor, end: Tensor) -> Tensor:
        from_, to = model.half_log_snr(start), model.half_log_snr(end)
        alpha, alpha_end = start * from_.exp(), end * to.exp()
        down, up = ancestral_step((-from_).exp(), (-to).exp(), eta)
        h = -down.log() - from_
        x = alpha_end / alpha * (-h).exp() * x - alpha_end * (-h).expm1() * denoised
        if eta > 0 and s_noise > 0:
            x = x + alpha_end * noise(start, end) * s_noise * up
        return x

    for sigma, sigma_next in pairwise(finite_start(sigmas, model)):
        denoised = (yield Ask(x, sigma)).denoised
        if sigma_next == 0:
            x = denoised
            continue
        from_, to = model.half_log_snr(sigma), model.half_log_snr(sigma_next)
        middle = model.sigma_at(from_ + r * (to - from_))
        x_middle = stage(x, denoised, sigma, middle)
        denoised_middle = (yield Ask(x_middle, middle)).denoised
        share = 1 / (2 * r)
        x = stage(x, (1 - share) * denoised + share * denoised_middle, sigma, sigma_next)
    return x
