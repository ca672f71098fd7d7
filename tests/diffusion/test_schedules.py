"""Schedules: which noise levels a run goes through."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion.parameterisation import ContinuousV, DiscreteEps, DiscreteV, Flow, Parameterisation
from diffusion.schedules import SCHEDULE_NAMES, SCHEDULES, schedule
from diffusion.sigmas import SamplingError, checked_sigmas, ksampler_sigmas, part_of
from lab.cases import Case
from lab.parity_sampling import sigma_cases

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = [DiscreteEps(), DiscreteV(zero_terminal_snr=True), ContinuousV(), Flow()]
models = st.sampled_from(MODELS)
names = st.sampled_from(SCHEDULE_NAMES)


@pytest.mark.parametrize("case", list(sigma_cases(GOLDEN / "sigmas")), ids=lambda case: case.name)
def test_the_sigmas_are_those_of_the_reference(case: Case) -> None:
    differences = case.run()
    assert not isinstance(differences, str)
    assert [str(each) for each in differences if not each.within] == []


def test_every_schedule_is_there_in_comfyuis_order() -> None:
    assert SCHEDULE_NAMES == (
        "simple",
        "sgm_uniform",
        "karras",
        "exponential",
        "ddim_uniform",
        "beta",
        "normal",
        "linear_quadratic",
        "kl_optimal",
    )


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two schedules are called 'karras'"):
        schedule("karras")(SCHEDULES["normal"])


@given(model=models, name=names, n=st.integers(1, 300))
@settings(deadline=None, max_examples=300)
def test_sigmas_fall_to_zero(model: Parameterisation, name: str, n: int) -> None:
    sigmas = SCHEDULES[name](model, n)
    assert sigmas.dtype == torch.float32
    assert torch.isfinite(sigmas).all()
    assert (sigmas.diff() < 0).all()
    assert sigmas[-1] == 0
    assert sigmas[0] <= model.sigma_max * (1 + 1e-5)
    if name == "ddim_uniform":  # whole strides do not divide every n
        assert len(sigmas) - 1 == len(range(1, 1000, max(1000 // n, 1)))
    elif name == "beta":  # two steps on one trained level count once
        assert n * 0.9 <= len(sigmas) - 1 <= n
    else:
        assert len(sigmas) == n + 1


@given(model=models, name=st.sampled_from([name for name in SCHEDULE_NAMES if name not in ("ddim_uniform", "beta")]))
@settings(deadline=None, max_examples=40)
def test_a_schedule_starts_at_the_noisiest_level(model: Parameterisation, name: str) -> None:
    # kl_optimal's tangent of an arc tangent near a right angle rounds most.
    assert SCHEDULES[name](model, 10)[0].item() == pytest.approx(model.sigma_max, rel=2e-4)


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_ten_thousand_steps_still_fall(model: Parameterisation, name: str) -> None:
    checked_sigmas(SCHEDULES[name](model, 10000))


def test_one_optimal_step_is_a_whole_step() -> None:
    assert SCHEDULES["kl_optimal"](DiscreteEps(), 1).tolist() == [DiscreteEps().sigma_max, 0.0]


@given(name=names, steps=st.integers(1, 60), denoise=st.floats(0.05, 0.999))
@settings(deadline=None, max_examples=100)
def test_less_denoise_is_the_end_of_a_longer_schedule(name: str, steps: int, denoise: float) -> None:
    model = DiscreteEps()
    sigmas = ksampler_sigmas(model, "euler", name, steps, denoise)
    assert torch.equal(sigmas, SCHEDULES[name](model, int(steps / denoise))[-(steps + 1) :])


def test_denoise_at_its_ends() -> None:
    model = DiscreteEps()
    assert torch.equal(ksampler_sigmas(model, "euler", "karras", 7, 0.99995), SCHEDULES["karras"](model, 7))
    assert ksampler_sigmas(model, "euler", "karras", 7, 0.0).tolist() == []


def test_some_samplers_do_without_the_level_before_zero() -> None:
    model = DiscreteEps()
    longer = SCHEDULES["karras"](model, 8).tolist()
    assert ksampler_sigmas(model, "uni_pc", "karras", 7).tolist() == [*longer[:-2], 0.0]


def test_a_part_of_the_steps() -> None:
    sigmas = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert part_of(sigmas, 1, 3, to_zero=False).tolist() == [4, 3, 2]
    assert part_of(sigmas, 1, 3, to_zero=True).tolist() == [4, 3, 0]
    assert part_of(sigmas, None, None, to_zero=True).tolist() == sigmas.tolist()
    assert part_of(sigmas, 2, 10000, to_zero=True).tolist() == [3, 2, 1, 0]
    assert part_of(sigmas, 3, 3, to_zero=True).tolist() == []
    assert part_of(sigmas, 5, None, to_zero=True).tolist() == []
    assert sigmas.tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("sigmas", "sentence"),
    [
        ([1.0, float("nan"), 0.0], "not all finite"),
        ([float("inf"), 1.0], "not all finite"),
        ([1.0, 2.0, 0.0], "fall from step"),
        ([1.0, 1.0, 0.0], "fall from step"),
        ([1.0, 0.0, -1.0], "fall from step"),
        ([[1.0, 0.0]], "a row of numbers"),
    ],
)
def test_sigmas_that_cannot_be_are_said_so(sigmas: list[float], sentence: str) -> None:
    with pytest.raises(SamplingError, match=sentence):
        checked_sigmas(torch.tensor(sigmas))


def test_unknown_names_and_no_steps_are_said_so() -> None:
    with pytest.raises(SamplingError, match=r"no scheduler called 'karas'; there is karras"):
        ksampler_sigmas(DiscreteEps(), "euler", "karas", 5)
    with pytest.raises(SamplingError, match=r"no sampler called 'euler_a'; there is .*euler"):
        ksampler_sigmas(DiscreteEps(), "euler_a", "karras", 5)
    with pytest.raises(SamplingError, match="at least one"):
        ksampler_sigmas(DiscreteEps(), "euler", "karras", 0)
