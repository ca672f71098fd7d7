"""Names of samplers and noise schedules as A1111 and its kin write them, and as KSampler takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Names(NamedTuple):
    """A sampler and a schedule. `schedule` is empty where none is said."""

    sampler: str
    schedule: str


SAMPLERS: Mapping[str, str] = {  # A1111's name: KSampler's; of several with one meaning the first is written
    "Euler": "euler",
    "Euler CFG++": "euler_cfg_pp",
    "Euler a": "euler_ancestral",
    "Euler a CFG++": "euler_ancestral_cfg_pp",
    "Heun": "heun",
    "HeunPP2": "heunpp2",
    "DPM2": "dpm_2",
    "DPM2 a": "dpm_2_ancestral",
    "LMS": "lms",
    "DPM fast": "dpm_fast",
    "DPM adaptive": "dpm_adaptive",
    "DPM++ 2S a": "dpmpp_2s_ancestral",
    "DPM++ 2S a CFG++": "dpmpp_2s_ancestral_cfg_pp",
    "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M": "dpmpp_2m",
    "DPM++ 2M CFG++": "dpmpp_2m_cfg_pp",
    "DPM++ 2M SDE": "dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "dpmpp_2m_sde_heun",
    "DPM++ 3M SDE": "dpmpp_3m_sde",
    "DDPM": "ddpm",
    "LCM": "lcm",
    "IPNDM": "ipndm",
    "IPNDM_V": "ipndm_v",
    "DEIS": "deis",
    "Res Multistep": "res_multistep",
    "Res Multistep CFG++": "res_multistep_cfg_pp",
    "Res Multistep a": "res_multistep_ancestral",
    "Res Multistep a CFG++": "res_multistep_ancestral_cfg_pp",
    "Gradient Estimation": "gradient_estimation",
    "Gradient Estimation CFG++": "gradient_estimation_cfg_pp",
    "ER SDE": "er_sde",
    "SEEDS 2": "seeds_2",
    "SEEDS 3": "seeds_3",
    "SA Solver": "sa_solver",
    "SA Solver PECE": "sa_solver_pece",
    "DDIM": "ddim",
    "UniPC": "uni_pc",
    "UniPC BH2": "uni_pc_bh2",
    "DDIM CFG++": "euler_cfg_pp",  # one step of either is the same
}
ON_DEVICE: Mapping[str, str] = {  # KSampler's names for drawing noise on the device; A1111 has no names of their own
    "dpmpp_sde_gpu": "dpmpp_sde",
    "dpmpp_2m_sde_gpu": "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun_gpu": "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde_gpu": "dpmpp_3m_sde",
}
SCHEDULES: Mapping[str, str] = {  # as above
    "Simple": "simple",
    "SGM Uniform": "sgm_uniform",
    "Karras": "karras",
    "Exponential": "exponential",
    "DDIM": "ddim_uniform",
    "Beta": "beta",
    "Normal": "normal",
    "Linear Quadratic": "linear_quadratic",
    "KL Optimal": "kl_optimal",
    "Uniform": "normal",
    "DDIM Uniform": "ddim_uniform",
    "Polyexponential": "exponential",  # with rho 1, which it is unless somebody sets another
}
AUTOMATIC: Mapping[str, str] = {  # the schedule that "Automatic" means for a sampler, where it is not "normal"
    "dpmpp_2m": "karras",
    "dpmpp_sde": "karras",
    "dpmpp_2s_ancestral": "karras",
    "dpm_2": "karras",
    "dpm_2_ancestral": "karras",
    "dpmpp_2m_sde": "exponential",
    "dpmpp_2m_sde_heun": "exponential",
    "dpmpp_3m_sde": "exponential",
    "ddim": "ddim_uniform",
    "euler_cfg_pp": "ddim_uniform",
}
PLAIN: Mapping[str, str] = {"ddim": "ddim_uniform"}  # the same for those whose name says no schedule, as older ones do


def from_a1111(sampler: str, schedule: str = "") -> Names | None:
    """KSampler's names for A1111's, written apart or, as older versions do, in one: "DPM++ 2M SDE Karras".

    KSampler's own names are understood, too, as other programs write them. None for a sampler that it does not have;
    a schedule that it does not have comes back empty.
    """
    wanted = _plain(sampler)
    samplers = {_plain(name): own for name, own in reversed([*SAMPLERS.items(), *_own(SAMPLERS), *_own(ON_DEVICE)])}
    schedules = {_plain(name): own for name, own in reversed([*SCHEDULES.items(), *_own(SCHEDULES)])}
    found = samplers.get(wanted)
    inside = ""
    if found is None:
        for name, own in schedules.items():
            if wanted.endswith(name) and wanted[: -len(name)] in samplers:
                found, inside = samplers[wanted[: -len(name)]], own
                break
        else:
            return None
    said = _plain(schedule)
    if said == "automatic":
        return Names(found, inside or AUTOMATIC.get(found, "normal"))
    if said:
        return Names(found, schedules.get(said, ""))
    return Names(found, inside or PLAIN.get(found, "normal"))


def to_a1111(sampler: str, schedule: str) -> Names | None:
    """A1111's names for KSampler's, or None if it has none for one of them."""
    named = {own: name for name, own in list(SAMPLERS.items())[::-1]}
    scheduled = {own: name for name, own in list(SCHEDULES.items())[::-1]}
    found = named.get(ON_DEVICE.get(sampler, sampler))
    return Names(found, scheduled[schedule]) if found and schedule in scheduled else None


def _own(names: Mapping[str, str]) -> list[tuple[str, str]]:
    own = names if names is ON_DEVICE else dict.fromkeys(names.values())
    return [(name, name) for name in own]


def _plain(name: str) -> str:
    """A name without what programs write differently: case, spaces, the letters for "ancestral" and for "++"."""
    words = name.lower().replace("++", "pp").replace("_", " ").replace("-", " ").split()
    words = ["ancestral" if word == "a" else word for word in words if word != "k"]
    return "".join(words)
