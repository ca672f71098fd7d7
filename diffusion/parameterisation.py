"""What a network's input and output mean: sigma ↔ time step, input scaling, output → denoised picture, noise → start.

A parameterisation joins two things: what the network predicts (`Eps`, `V`, `EDM`, `Flow`'s velocity) and the range of
noise levels it was trained on (`Discrete`, `Continuous`, `Flow`'s). All are frozen values, so a model can carry one as
a setting. Sigma is the standard deviation of the noise in x = latent + sigma · noise; for flow models the share of
noise in x = (1 − sigma) · latent + sigma · noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

ZERO_SNR_ALPHA = 4.8973451890853435e-08
"""ᾱ of the last step of a zero-terminal-SNR model. Exactly 0 would be an infinite sigma; this is sigma 4518.76."""

BEFORE_ALL_NOISE = 999999999.9
"""What `percent_to_sigma(0)` gives: above every sigma, so that a range that starts at 0 % holds every step."""


class Parameterisation(Protocol):
    """What samplers, schedules and guidance know about a model. Tensors of sigmas are float32; x is [B, C, h, w]."""

    @property
    def sigmas(self) -> Tensor:
        """The trained noise levels, ascending, [N]; an even row on a log scale where the range is continuous."""
        ...

    @property
    def sigma_min(self) -> float: ...

    @property
    def sigma_max(self) -> float: ...

    @property
    def flow(self) -> bool:
        """True for x = (1 − sigma) · latent + sigma · noise, False for x = latent + sigma · noise."""
        ...

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time step that the network is told for a sigma (any shape, as float32)."""
        ...

    def sigma(self, timestep: Tensor) -> Tensor:
        """The inverse of `timestep`, between the trained steps too."""
        ...

    def percent_to_sigma(self, percent: float) -> float:
        """The sigma at a share of the way from pure noise (0.0) to the finished picture (1.0)."""
        ...

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """What the network is shown for x; sigma is [B]."""
        ...

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised picture that the network's output for x stands for; sigma is [B]."""
        ...

    def noised(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, start: bool = False) -> Tensor:
        """The latent with unit noise at level sigma (0-dim). `start`: this is where sampling begins, see `Eps`."""
        ...

    def finished(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The latent to hand on when sampling ends at sigma (0-dim), which need not be 0."""
        ...

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        """λ = ln(alpha / sigma), the time in which the DPM-Solver family steps."""
        ...

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        """The inverse of `half_log_snr`."""
        ...


def _per_item(sigma: Tensor, x: Tensor) -> Tensor:
    """sigma [B] in a shape that broadcasts over x [B, …]."""
    return sigma.view(sigma.shape[:1] + (1,) * (x.ndim - 1)) if sigma.ndim else sigma


# ── what the network predicts ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _AddedNoise:
    """x = latent + sigma · noise (Karras et al. 2022, arXiv:2206.00364): alpha is 1 and sigma has no upper bound."""

    flow = False
    sigma_data = 1.0

    @property
    def sigma_max(self) -> float:
        raise NotImplementedError  # the noise range beside it in the class says

    def noised(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, start: bool = False) -> Tensor:
        """At the start of a run from sigma_max, noise · √(1 + sigma²): a trained model knows x at its last step as
        √ᾱ · latent + √(1 − ᾱ) · noise, which in these units has that spread even where the latent says nothing."""
        if start and (float(sigma) > self.sigma_max or math.isclose(float(sigma), self.sigma_max, rel_tol=1e-5)):
            return noise * torch.sqrt(1.0 + sigma**2) + latent
        return noise * sigma + latent

    def finished(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        return -sigma.log()

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        return (-half_log_snr).exp()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """c_in of Karras et al., table 1: the network sees unit variance."""
        return x / (_per_item(sigma, x) ** 2 + self.sigma_data**2) ** 0.5


class Eps(_AddedNoise):
    """The network predicts the noise (Ho et al. 2020, arXiv:2006.11239): denoised = x − sigma · output."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x - output * _per_item(sigma, x)


class V(_AddedNoise):
    """The network predicts v (Salimans & Ho 2022, arXiv:2202.00512, appendix D), here in units of added noise."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = _per_item(sigma, x)
        total = sigma**2 + self.sigma_data**2
        return x * self.sigma_data**2 / total - output * sigma * self.sigma_data / total**0.5


class EDM(V):
    """c_skip and c_out of Karras et al. 2022, table 1: V with the sign of the output turned."""

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return super().denoised(-output, x, sigma)


# ── the noise levels it knows ─────────────────────────────────────────────────────────────────────────────────────────


class _Range:
    """Ends of the row of sigmas, as its float32 values are."""

    @cached_property
    def sigmas(self) -> Tensor:
        raise NotImplementedError

    @cached_property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @cached_property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])


@dataclass(frozen=True)
class _Discrete(_Range):
    """Stable Diffusion's steps: betas whose roots rise evenly, sigma² = (1 − ᾱ) / ᾱ (arXiv:2112.10752, section B.1).

    `zero_terminal_snr` moves and scales √ᾱ so that the last step is pure noise (Lin et al. 2023, arXiv:2305.08891,
    algorithm 1).
    """

    beta_first: float = 0.00085
    beta_last: float = 0.012
    steps: int = 1000
    zero_terminal_snr: bool = False

    @cached_property
    def sigmas(self) -> Tensor:
        betas = torch.linspace(self.beta_first**0.5, self.beta_last**0.5, self.steps, dtype=torch.float64) ** 2
        alphas = torch.cumprod(1.0 - betas, dim=0)
        if self.zero_terminal_snr:
            roots = alphas.sqrt()
            alphas = ((roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))) ** 2
            alphas[-1] = ZERO_SNR_ALPHA
        return ((1 - alphas) / alphas).pow(0.5).float()

    @cached_property
    def _log_sigmas(self) -> Tensor:
        return self.sigmas.log()

    def timestep(self, sigma: Tensor) -> Tensor:
        """The trained step whose log sigma is nearest."""
        log_sigma = sigma.float().log()
        distances = (log_sigma.unsqueeze(-1) - self._log_sigmas.to(sigma.device)).abs()  # [..., steps]
        return distances.argmin(dim=-1).float()

    def sigma(self, timestep: Tensor) -> Tensor:
        """log sigma is interpolated linearly between the trained steps."""
        steps = timestep.float().clamp(0, self.steps - 1)
        low, share = steps.floor().long(), steps.frac()
        log_sigmas = self._log_sigmas.to(timestep.device)
        return ((1 - share) * log_sigmas[low] + share * log_sigmas[steps.ceil().long()]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return BEFORE_ALL_NOISE
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - percent) * 999.0)))


@dataclass(frozen=True)
class _Continuous(_Range):
    """Every sigma of a range, told to the network as ln(sigma) / 4 (Karras et al. 2022, table 1)."""

    lowest: float = 0.002
    highest: float = 120.0

    @cached_property
    def sigmas(self) -> Tensor:
        return torch.linspace(math.log(self.lowest), math.log(self.highest), 1000).exp()

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return BEFORE_ALL_NOISE
        if percent >= 1.0:
            return 0.0
        low, high = math.log(self.lowest), math.log(self.highest)
        return math.exp((high - low) * (1.0 - percent) + low)


# ── the models there are ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class DiscreteEps(_Discrete, Eps):
    """Stable Diffusion 1.x, 2.x base and XL."""


@dataclass(frozen=True)
class DiscreteV(_Discrete, V):
    """Stable Diffusion 2.x at 768 pixels, v-prediction models of XL."""


@dataclass(frozen=True)
class ContinuousV(_Continuous, V):
    """v prediction over a continuous range."""


@dataclass(frozen=True)
class ContinuousEDM(_Continuous, EDM):
    """The form of Karras et al. itself, as Playground 2.5 uses it."""

    highest: float = 80.0
    sigma_data: float = 0.5


@dataclass(frozen=True)
class Flow(_Range):
    """Rectified flow (Liu et al. 2022, arXiv:2209.03003) with the time shift of Stable Diffusion 3 (arXiv:2403.03206,
    eq. 23): the network predicts noise − latent, sigma = shift · t / (1 + (shift − 1) · t)."""

    shift: float = 3.0
    multiplier: float = 1000.0
    flow = True

    def _shifted(self, t: Tensor) -> Tensor:
        return self.shift * t / (1 + (self.shift - 1) * t)

    @cached_property
    def sigmas(self) -> Tensor:
        return self._shifted(torch.arange(1, 1001) / 1000)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        t = 1.0 - min(max(percent, 0.0), 1.0)
        return self.shift * t / (1 + (self.shift - 1) * t)

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        return x - output * _per_item(sigma, x)

    def noised(self, latent: Tensor, noise: Tensor, sigma: Tensor, *, start: bool = False) -> Tensor:
        return sigma * noise + (1.0 - sigma) * latent

    def finished(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1.0 - sigma)

    def half_log_snr(self, sigma: Tensor) -> Tensor:
        return -sigma.logit()

    def sigma_at(self, half_log_snr: Tensor) -> Tensor:
        return (-half_log_snr).sigmoid()
