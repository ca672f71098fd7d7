"""Samplers: generators that ask for denoised pictures. One file each, found by scanning this folder; copy euler.py.

The algorithm is the paper's. Progress, previews, cancelling, guidance, masks, dtype and devices belong to whoever
drives the generator (`diffusion.sampling.Denoising`). A sampler holds no resources, so closing it is always safe, and
because it only asks, a driver may answer several samplers with one pass of the network.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from diffusion.noise import NoiseKind
from diffusion.parameterisation import Parameterisation
from diffusion.plugins import import_all, in_order


@dataclass(frozen=True, eq=False)
class Ask:
    """A question: what is x without its noise? x is [B, C, h, w] float32, sigma is 0-dim and holds for all of it."""

    x: Tensor
    sigma: Tensor


@dataclass(frozen=True, eq=False)
class Answer:
    """The denoised picture for an Ask, and the one without the prompt if the sampler is marked `wants_uncond`."""

    denoised: Tensor
    uncond: Tensor | None = None


@dataclass(frozen=True)
class Params:
    """What a sampler may know about the run beside its sigmas."""

    parameterisation: Parameterisation


Sampling = Generator[Ask, Answer, Tensor]
"""Yields Asks, is sent Answers, returns x at the last sigma."""

Algorithm = Callable[..., Sampling]
"""(x, sigmas, *, noise: NoiseSource, params: Params, …its own options as keywords with defaults) → Sampling.

x is the noised start, [B, C, h, w]; sigmas is [n + 1] with n ≥ 1, strictly descending, on the CPU.
"""


@dataclass(frozen=True)
class Sampler:
    """An algorithm with what its driver must know."""

    name: str
    algorithm: Algorithm
    noise: NoiseKind
    discards_penultimate_sigma: bool
    wants_uncond: bool
    inpaint_seed_offset: int

    @property
    def options(self) -> Mapping[str, object]:
        """The algorithm's own keywords and their defaults."""
        parameters = inspect.signature(self.algorithm).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}


_FOUND: dict[str, Sampler] = {}


def sampler(
    name: str,
    *,
    noise: NoiseKind = "stream",
    discards_penultimate_sigma: bool = False,
    wants_uncond: bool = False,
    inpaint_seed_offset: int = 0,
) -> Callable[[Algorithm], Algorithm]:
    """Register a sampler under the name that workflows call it by.

    noise: where the noise that it adds on the way comes from, see `diffusion.noise`.
    discards_penultimate_sigma: schedules are made one step longer and lose their last level above 0.
    wants_uncond: guidance is computed, and the uncond answer given, even where the scale is 1.
    inpaint_seed_offset: what is added to the seed for the noise on the part of the picture that a mask keeps.
    """

    def register(algorithm: Algorithm) -> Algorithm:
        if name in _FOUND:
            raise ValueError(f"two samplers are called {name!r}")
        _FOUND[name] = Sampler(name, algorithm, noise, discards_penultimate_sigma, wants_uncond, inpaint_seed_offset)
        return algorithm

    return register


import_all(__name__, __path__)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType(_FOUND)
SAMPLER_NAMES = in_order(
    SAMPLERS,
    """
    euler euler_cfg_pp euler_ancestral euler_ancestral_cfg_pp heun heunpp2 dpm_2 dpm_2_ancestral lms dpm_fast
    dpm_adaptive dpmpp_2s_ancestral dpmpp_2s_ancestral_cfg_pp dpmpp_sde dpmpp_sde_gpu dpmpp_2m dpmpp_2m_cfg_pp
    dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu dpmpp_3m_sde dpmpp_3m_sde_gpu
    ddpm lcm ipndm ipndm_v deis res_multistep res_multistep_cfg_pp res_multistep_ancestral
    res_multistep_ancestral_cfg_pp gradient_estimation gradient_estimation_cfg_pp er_sde seeds_2 seeds_3
    sa_solver sa_solver_pece ddim uni_pc uni_pc_bh2
    """,
)
"""In the order in which ComfyUI lists them; workflows with an unknown name get the first there."""
