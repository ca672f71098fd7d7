"""SDE-DPM-Solver++(2M)."""

from itertools import pairwise
from typing import Literal

from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler
from diffusion.samplers._log_snr import finite_start


@sampler("dpmpp_2m_sde", noise="brownian")
def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Tensor,
    *,
    noise: NoiseSource,
    params: Params,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Sampling:
    """SDE-DPM-Solver++(2M) of Lu et al. 2022 (arXiv:2211.01095, eq. 17 and section 5), with noise times eta.

    With λ = ln(α / σ), h = λ_next − λ, r = h_before / h and k = (1 + eta) h:
    x ← σ_next / σ · e^(−eta h) x + α_next (1 − e^−k) (D + (D − D_before) / 2r) + σ_next √(1 − e^(−2 eta h)) z.
    `heun` weighs the change of D by 1 − (1 − e^−k) / k over r instead of (1 − e^−k) / 2r.
    """
    model = params.parameterisation
    before: tuple[Tensor, Tensor] | None = None  # the last denoised picture, and the h of the step that it made
    for sigma, sigma_next in pairwise(finite_start(sigmas, model)):
        denoised = (yield Ask(x, sigma)).denoised
        if sigma_next == 0:
            x = denoised
            continue
        h = model.half_log_snr(sigma_next) - model.half_log_snr(sigma)
        alpha = sigma_next * model.half_log_snr(sigma_next).exp()
        k = h * (eta + 1)
        x = sigma_next / sigma * (-h * eta).exp() * x + alpha * (-k).expm1().neg() * denoised
        if before is not None:
            change = (denoised - before[0]) / (before[1] / h)
            weight = 0.5 * (-k).expm1().neg() if solver_type == "midpoint" else (-k).expm1() / k + 1
            x = x + alpha * weight * change
        if eta > 0 and s_noise > 0:
            x = x + noise(sigma, sigma_next) * sigma_next * (-2 * h * eta).expm1().neg().sqrt() * s_noise
        before = denoised, h
    return x
