"""Comparisons with sets a and b of the reference: sigmas, noise, and samplers on a toy denoiser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from diffusion.guidance import guided
from diffusion.noise import initial_noise
from diffusion.parameterisation import ContinuousEDM, ContinuousV, DiscreteEps, DiscreteV, Flow, Parameterisation
from diffusion.samplers import SAMPLERS, Answer, Ask
from diffusion.sampling import Denoising
from diffusion.schedules import SCHEDULES
from diffusion.sigmas import ksampler_sigmas, part_of
from lab.cases import Case, Difference, absolute
from lab.toy import denoised

PARAMETERISATIONS: Mapping[str, Parameterisation] = {
    "sd15_eps": DiscreteEps(),
    "sdxl_eps": DiscreteEps(),
    "sd21_v": DiscreteV(),
    "sdxl_v_zsnr": DiscreteV(zero_terminal_snr=True),
    "edm_v": ContinuousV(),
    "flow_shift3": Flow(shift=3.0),
}
MODEL_SAMPLINGS: Mapping[str, Parameterisation] = {
    "eps": DiscreteEps(),
    "eps_zsnr": DiscreteEps(zero_terminal_snr=True),
    "v_prediction": DiscreteV(),
    "v_zsnr": DiscreteV(zero_terminal_snr=True),
    "x4_linear": DiscreteV(beta_first=0.0001, beta_last=0.02),
    "v_edm": ContinuousV(),
    "edm": ContinuousEDM(),
    "flow": Flow(shift=3.0),
}


def cases(folder: Path) -> Iterator[Case]:
    """Every case of the files a_sigmas, a_noise, b_samplers and features/f_model_sampling that the folder holds."""
    for stem, make in (
        ("a_sigmas", sigma_cases),
        ("a_noise", noise_cases),
        ("b_samplers", sampler_cases),
        ("features/f_model_sampling", model_sampling_cases),
    ):
        if (folder / f"{stem}.safetensors").exists():
            yield from make(folder / stem)


def _read(stem: Path) -> tuple[Any, dict[str, Tensor]]:
    return json.loads(stem.with_suffix(".json").read_text(encoding="utf-8")), load_file(
        stem.with_suffix(".safetensors")
    )


def _relative(ours: Tensor, reference: Tensor, limit: float) -> Difference:
    """The largest difference as a share of the reference's values."""
    if ours.shape != reference.shape:
        return Difference(float("inf"), limit, f"the shape is {list(ours.shape)}, not {list(reference.shape)}")
    ours, reference = ours.double(), reference.double()
    share = (ours - reference).abs() / reference.abs()
    share[ours == reference] = 0.0
    return Difference(share.max().item() if share.numel() else 0.0, limit, "relative")


# ── a: sigmas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def sigma_cases(stem: Path) -> Iterator[Case]:
    """A case for each model and schedule, over all its numbers of steps; and one for each model's conversions."""
    index, tensors = _read(stem)
    for model in index["models"]:
        for schedule in index["schedulers"]:
            rows = {key: row for key, row in tensors.items() if key.startswith(f"{model}/{schedule}/")}
            if rows:
                yield Case(f"a_sigmas {model}/{schedule}", partial(_sigmas, model, schedule, rows, index["denoise"]))
        conversions, table = index["conversions"].get(model, {}), tensors.get(f"{model}/table_sigmas")
        yield Case(f"a_sigmas {model} conversions", partial(_conversions, model, conversions, table))


def _sigmas(model: str, schedule: str, rows: Mapping[str, Tensor], denoise: float) -> list[Difference] | str:
    if model not in PARAMETERISATIONS:
        return "not covered yet: this model's parameterisation"
    if schedule not in SCHEDULES:
        return "not covered yet: this schedule"
    differences = []
    for key, reference in rows.items():
        steps, variant = int(key.split("/")[2]), key.split("/")[3]
        ours = ksampler_sigmas(
            PARAMETERISATIONS[model],
            "uni_pc" if variant == "discard" else "euler",  # uni_pc discards the penultimate sigma, as dpm_2 does
            schedule,
            steps,
            denoise if variant == "denoise" else 1.0,
        )
        if schedule == "kl_optimal" and reference.isnan().any():
            # One step is NaN in the reference and a whole step here.
            differences.append(Difference(0.0 if ours.isfinite().all() else float("nan"), 1e-6))
        else:
            differences.append(_relative(ours, reference, 1e-6))
    return differences


def _conversions(model: str, given: Mapping[str, Any], table: Tensor | None) -> list[Difference] | str:
    if model not in PARAMETERISATIONS:
        return "not covered yet: this model's parameterisation"
    parameterisation = PARAMETERISATIONS[model]

    def percent_to_sigma(percents: Tensor) -> Tensor:
        return torch.tensor([parameterisation.percent_to_sigma(percent) for percent in percents.tolist()])

    differences = [] if table is None else [_relative(parameterisation.sigmas, table, 1e-6)]
    for name, convert in (
        ("percent_to_sigma", percent_to_sigma),
        ("timestep", parameterisation.timestep),
        ("sigma_of_timestep", parameterisation.sigma),
    ):
        if pairs := given.get(name):
            at, reference = torch.tensor(pairs, dtype=torch.float64).T
            differences.append(_relative(convert(at if name == "percent_to_sigma" else at.float()), reference, 1e-6))
    return differences


# ── a: noise ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def noise_cases(stem: Path) -> Iterator[Case]:
    """A case for each draw."""
    index, tensors = _read(stem)
    for name, case in index["cases"].items():
        yield Case(f"a_noise {name}", partial(_noise, case, tensors[name]))


def _noise(case: Any, reference: Tensor) -> list[Difference]:
    return absolute(initial_noise(case["shape"], case["seed"], batch_index=case["noise_inds"]), reference, 1e-12)


# ── b: samplers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def sampler_cases(stem: Path) -> Iterator[Case]:
    """A case for each run of a sampler."""
    index, tensors = _read(stem)
    for key in index["runs"]:
        yield Case(f"b_samplers {key}", partial(_sampler, key, index, tensors))


def _sampler(key: str, index: Any, tensors: Mapping[str, Tensor]) -> list[Difference] | str:
    case, sampler, schedule, seed = key.split("/")
    if sampler not in SAMPLERS:
        return "not covered yet: this sampler"
    text = index["cases"][case]

    def setting(pattern: str, default: Any) -> Any:
        found = re.search(pattern, text)
        return type(default)(found.group(1)) if found else default

    parameterisation: Parameterisation = DiscreteEps()
    if "Flow" in text:
        parameterisation = Flow(shift=setting(r"shift ([\d.]+)", 3.0))
    elif "V_PREDICTION" in text:
        parameterisation = DiscreteV(zero_terminal_snr="zsnr" in text)
    shape = json.loads(
        setting(r"shape of (\[[\d, ]+\])", "") or setting(r"of shape (\[[\d, ]+\])", str(index["shape"]))
    )
    latent = {"samples": tensors["in/latent"] if "in/latent" in text else torch.zeros(shape)}
    if "noise_mask" in text:
        latent["noise_mask"] = tensors["in/mask"]
    steps = setting(r"\bsteps=(\d+)", index["steps"])
    sigmas = ksampler_sigmas(parameterisation, sampler, schedule, steps, setting(r"denoise ([\d.]+)", 1.0))
    start, last = setting(r"start_step (\d+)", 0), setting(r"last_step (\d+)", steps)
    sigmas = part_of(sigmas, start, last, to_zero="force_full_denoise True" in text)
    scale = setting(r"cfg=([\d.]+)", float(index["cfg"]))

    def answer(ask: Ask) -> Answer:
        sigma = ask.sigma.expand(len(ask.x))
        cond, uncond = (denoised(ask.x, sigma, torch.tensor(index[side])) for side in ("cond_p", "uncond_p"))
        if scale == 1.0 and not SAMPLERS[sampler].wants_uncond:
            return Answer(cond)
        return Answer(guided(cond, uncond, scale), uncond)

    run = Denoising(
        answer,
        sampler,
        sigmas,
        latent,
        parameterisation=parameterisation,
        seed=int(seed),
        noise=torch.zeros_like(latent["samples"]) if "noise zeros" in text else None,
    )
    asked = []
    while run.pending is not None:
        asked.append(float(run.pending.sigma))
        run.step()
    called = torch.tensor(index["runs"][key]["sigmas_called"])
    return [*absolute(run.result()["samples"], tensors[key], 1e-5), _relative(torch.tensor(asked), called, 1e-5)]


# ── f: parameterisations ──────────────────────────────────────────────────────────────────────────────────────────────


def model_sampling_cases(stem: Path) -> Iterator[Case]:
    """A case for each parameterisation of a network's input and output."""
    index, tensors = _read(stem)
    for name in index["cases"]:
        given = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        yield Case(f"f_model_sampling {name}", partial(_model_sampling, name, given))


def _model_sampling(name: str, given: Mapping[str, Tensor]) -> list[Difference] | str:
    if name not in MODEL_SAMPLINGS:
        return "not covered yet: this parameterisation"
    model, x, sigma = MODEL_SAMPLINGS[name], given["x"], given["sigma"]
    ends = torch.tensor([model.sigma_min, model.sigma_max])
    noised = torch.stack([model.noised(*each) for each in zip(given["latent"], x, sigma, strict=True)])
    return [
        *absolute(model.scale_input(x, sigma), given["input"], 2e-5 * given["input"].std().item()),
        *absolute(noised, given["noised"], 2e-5 * given["noised"].std().item()),
        *absolute(model.finished(given["latent"], torch.tensor(0.5)), given["inverse"], 1e-6),
        *absolute(model.denoised(given["out"], x, sigma), given["denoised"], 2e-5 * given["denoised"].std().item()),
        _relative(model.timestep(sigma), given["timestep"], 1e-6),
        _relative(ends, given["range"], 1e-6),
    ]
