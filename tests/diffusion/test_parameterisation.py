"""What a network's input and output mean, against recorded numbers and against what the words mean."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion.parameterisation import (
    ContinuousEDM,
    ContinuousV,
    DiscreteEps,
    DiscreteV,
    Flow,
    Parameterisation,
)
from lab.cases import Case
from lab.parity_sampling import model_sampling_cases

GOLDEN = Path(__file__).parents[1] / "golden"
ADDED_NOISE = [DiscreteEps(), DiscreteV(), DiscreteV(zero_terminal_snr=True), ContinuousV(), ContinuousEDM()]
ALL = [*ADDED_NOISE, Flow()]


def name(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


@pytest.mark.parametrize("case", list(model_sampling_cases(GOLDEN / "parameterisations")), ids=name)
def test_the_numbers_are_those_of_the_reference(case: Case) -> None:
    differences = case.run()
    assert not isinstance(differences, str)
    assert [str(each) for each in differences if not each.within] == []


def test_stable_diffusions_range_is_the_published_one() -> None:
    model = DiscreteEps()
    assert len(model.sigmas) == 1000
    assert model.sigma_min == pytest.approx(0.02916716, rel=1e-6)
    assert model.sigma_max == pytest.approx(14.614641, rel=1e-6)
    assert DiscreteV(zero_terminal_snr=True).sigma_max == pytest.approx(4518.76, rel=1e-6)


@pytest.mark.parametrize("model", ALL, ids=name)
def test_a_perfect_network_gives_the_latent_back(model: Parameterisation) -> None:
    """The output that each kind of prediction should have for a known latent and noise, worked out by hand."""
    generator = torch.Generator().manual_seed(3)
    latent, noise = (torch.randn((4, 2, 3, 3), generator=generator) for _ in range(2))
    sigma = torch.tensor([0.05, 0.3, 0.7, 0.95])
    s = sigma.view(-1, 1, 1, 1)
    x = torch.stack([model.noised(*each) for each in zip(latent, noise, sigma, strict=True)])
    d = 0.5 if isinstance(model, ContinuousEDM) else 1.0
    v = (s / d * latent - d * noise) / (s**2 + d**2) ** 0.5  # (c_skip x − latent) / c_out, turned
    output = {
        DiscreteEps: noise,
        DiscreteV: -v,
        ContinuousV: -v,
        ContinuousEDM: v,
        Flow: noise - latent,
    }[type(model)]
    torch.testing.assert_close(model.denoised(output, x, sigma), latent, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ADDED_NOISE, ids=name)
def test_the_network_sees_unit_variance(model: Parameterisation) -> None:
    generator = torch.Generator().manual_seed(3)
    data = 0.5 if isinstance(model, ContinuousEDM) else 1.0
    latent = data * torch.randn((1, 4, 100, 100), generator=generator)
    sigma = torch.tensor([2.0])
    x = model.noised(latent, torch.randn(latent.shape, generator=generator), sigma[0])
    assert model.scale_input(x, sigma).std().item() == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("model", [DiscreteEps(), DiscreteV(zero_terminal_snr=True)], ids=name)
def test_each_trained_level_has_its_own_time_step(model: Parameterisation) -> None:
    steps = torch.arange(1000).float()
    assert torch.equal(model.timestep(model.sigmas), steps)
    torch.testing.assert_close(model.sigma(steps), model.sigmas, rtol=1e-5, atol=0)


@pytest.mark.parametrize("model", ALL, ids=name)
@given(share=st.floats(0.001, 0.999))
@settings(deadline=None, max_examples=40)
def test_percent_runs_from_noise_to_picture(model: Parameterisation, share: float) -> None:
    assert model.percent_to_sigma(0.0) >= model.sigma_max
    assert model.percent_to_sigma(1.0) == 0.0
    assert model.percent_to_sigma(share) > model.percent_to_sigma(share + 0.001)
    assert 0 < model.percent_to_sigma(share) <= model.sigma_max


@pytest.mark.parametrize("model", ALL, ids=name)
@given(sigma=st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=40)
def test_half_log_snr_is_the_log_of_signal_over_noise(model: Parameterisation, sigma: float) -> None:
    level = torch.tensor(sigma, dtype=torch.float64)
    alpha = 1 - level if model.flow else torch.ones_like(level)
    torch.testing.assert_close(model.half_log_snr(level), (alpha / level).log())
    torch.testing.assert_close(model.sigma_at(model.half_log_snr(level)), level)


def test_a_run_from_the_top_starts_with_the_spread_of_pure_noise() -> None:
    model = DiscreteEps()
    latent, noise = torch.full((1, 4, 2, 2), 0.5), torch.ones((1, 4, 2, 2))
    top, below = torch.tensor(model.sigma_max * (1 - 5e-6)), torch.tensor(model.sigma_max * (1 - 5e-5))
    torch.testing.assert_close(model.noised(latent, noise, top, start=True), (1 + top**2).sqrt() * noise + latent)
    torch.testing.assert_close(model.noised(latent, noise, below, start=True), below * noise + latent)
    torch.testing.assert_close(model.noised(latent, noise, top), top * noise + latent)


def test_a_flow_that_ends_early_gives_its_latent_back() -> None:
    model, latent, sigma = Flow(), torch.full((1, 4, 2, 2), 0.5), torch.tensor(0.25)
    x = model.noised(latent, torch.zeros_like(latent), sigma)
    torch.testing.assert_close(model.finished(x, sigma), latent)


def test_parameterisations_are_values() -> None:
    assert DiscreteV(zero_terminal_snr=True) == DiscreteV(zero_terminal_snr=True)
    assert len({DiscreteEps(), DiscreteEps(), DiscreteV(), DiscreteV(zero_terminal_snr=True)}) == 3
