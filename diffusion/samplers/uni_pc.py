"""UniPC."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion.noise import NoiseSource
from diffusion.samplers import Ask, Params, Sampling, sampler

ORDER = 3

END = 0.001
"""The step to sigma 0 ends here, since λ = −ln 0 has no value."""

END_LAMBDA = 10 * math.log(2)
"""λ at END as float32 has it: σ² = 1 − α² is the last few digits of a number near 1, and comes out as 2^−20."""


@sampler("uni_pc", discards_penultimate_sigma=True)
def uni_pc(x: Tensor, sigmas: Tensor, *, noise: NoiseSource, params: Params) -> Sampling:
    """UniPC-3 with B₁(h) = h: Zhao et al. 2023 (arXiv:2302.04867), algorithms 5 to 8, in the paper's units x · α with
    α² = 1 / (1 + σ²).

    A step is predicted (UniP) from the last points, and once the network has seen where it leads, taken again (UniC)
    with that as one more point. The order grows from 1 with the points there are and falls to 1 at the end. One step
    alone has order 0: x is rescaled and stays noise, as in ComfyUI.
    """
    to_zero = bool(sigmas[-1] == 0)
    levels = torch.cat([sigmas[:-1], sigmas.new_tensor([END])]) if to_zero else sigmas
    lambdas = [-math.log(sigma) for sigma in levels.tolist()]
    if to_zero:
        lambdas[-1] = END_LAMBDA
    alphas, scales = (0.5 * (1 / (levels**2 + 1)).log()).exp(), (levels**2 + 1) ** 0.5  # one over the other, rounded

    steps = len(levels) - 1
    known: list[Tensor] = []  # denoised at the levels so far, oldest first
    x = x / scales[0]
    start, order = x, 0
    for i, (sigma, alpha) in enumerate(zip(levels[:-1], alphas[:-1], strict=True)):
        asked = x * scales[i]
        answer = yield Ask(asked, sigma)
        # The paper's x_θ = (x − σ ε_θ) / α from a network that predicts ε. It differs from the answer by rounding
        # alone, which shows where sigma is in the thousands.
        epsilon = (asked - answer.denoised) / sigma
        denoised = (x - sigma * alpha * epsilon) / alpha
        if i > 0:
            points = slice(i - order, i + 1)
            x = _step(start, lambdas[points], alphas[points], [*known[-order:], denoised], at=order - 1)
        known = [*known[1 - ORDER :], denoised]
        start, order = x, min(ORDER, steps - 1, i + 1, steps - i)
        if order > 0:
            points = slice(i + 1 - order, i + 2)
            x = _step(start, lambdas[points], alphas[points], known[-order:], at=order - 1)
    x = x / alphas[-1]
    return params.parameterisation.finished(x, levels[-1]) if to_zero else x


def _step(x: Tensor, lambdas: Sequence[float], alphas: Tensor, denoised: Sequence[Tensor], *, at: int) -> Tensor:
    """x' = σ'/σ x − α' (e^h̃ − 1) D − α' h̃ Σ a_m (D_m − D) / r_m, the update of UniP and UniC for data prediction with
    h̃ = −h, r_m = (λ_m − λ) / h.

    x and D belong to lambdas[at], x' to the last of the lambdas; D_m are the denoised pictures at the other ones.
    """
    h = lambdas[-1] - lambdas[at]
    others = [m for m in range(len(denoised)) if m != at]
    ratios = [(lambdas[m] - lambdas[at]) / h for m in others]
    new = alphas[-1] / alphas[at] * math.exp(-h) * x - alphas[-1] * math.expm1(-h) * denoised[at]
    for m, r, a in zip(others, ratios, _weights(ratios, -h), strict=True):
        new = new + alphas[-1] * h * a / r * (denoised[m] - denoised[at])
    return new


def _weights(ratios: Sequence[float], h: float) -> list[float]:
    """The a with Σ a_m r_m^(i−1) = i! φ_(i+1)(h) for i = 1, 2, …, where φ_k(h) = Σ h^j / (j + k)!; for a single point
    1/2, which its order allows."""
    if len(ratios) <= 1:
        return [0.5] * len(ratios)
    n = range(len(ratios))
    powers = torch.tensor([[r**i for r in ratios] for i in n], dtype=torch.float64)
    phi = [sum(h**j / math.factorial(j + i + 2) for j in range(60)) for i in n]
    wanted = torch.tensor([math.factorial(i + 1) * phi[i] for i in n], dtype=torch.float64)
    solved: list[float] = torch.linalg.solve(powers, wanted).tolist()
    return solved
