"""Samplers on denoisers whose answers are known: recorded runs, and data that is exactly Gaussian."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion.noise import BrownianNoise, NoiseSource, StreamNoise
from diffusion.parameterisation import DiscreteEps, Flow, Parameterisation
from diffusion.samplers import SAMPLER_NAMES, SAMPLERS, Answer, Params, sampler
from diffusion.schedules import SCHEDULES
from lab.cases import Case
from lab.parity_sampling import sampler_cases

GOLDEN = Path(__file__).parents[1] / "golden"
SPREAD = 0.6  # of the Gaussian data
DETERMINISTIC = ["euler", "dpmpp_2m", "ddim", "uni_pc"]
STOCHASTIC = ["euler_ancestral", "dpmpp_sde", "dpmpp_2m_sde"]
SHAPE = (1, 4, 32, 32)


def gaussian(x: Tensor, sigma: Tensor, *, flow: bool) -> Tensor:
    """The mean of a latent drawn from N(0, SPREAD²) that looks like x under noise of sigma."""
    alpha = 1 - sigma if flow else 1.0
    return x * alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)


def source(name: str, sigmas: Tensor, seed: int) -> NoiseSource:
    return BrownianNoise(seed, SHAPE, sigmas) if SAMPLERS[name].noise == "brownian" else StreamNoise(seed, SHAPE)


def solve(
    name: str, sigmas: Tensor, x: Tensor, *, model: Parameterisation | None = None, seed: int = 1, **options: object
) -> Tensor:
    """Run a sampler on the Gaussian, from x."""
    model = model or DiscreteEps()
    run = SAMPLERS[name].algorithm(x, sigmas, noise=source(name, sigmas, seed), params=Params(model), **options)
    ask = next(run)
    while True:
        try:
            ask = run.send(Answer(gaussian(ask.x, ask.sigma, flow=model.flow)))
        except StopIteration as end:
            return end.value


def start(sigma: float, seed: int = 0) -> Tensor:
    """What data under noise of sigma looks like."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) * (SPREAD**2 + sigma**2) ** 0.5


@pytest.mark.parametrize("case", list(sampler_cases(GOLDEN / "samplers")), ids=lambda case: case.name)
def test_runs_are_those_of_the_reference(case: Case) -> None:
    differences = case.run()
    assert not isinstance(differences, str)
    assert [str(each) for each in differences if not each.within] == []


def test_names_are_in_comfyuis_order() -> None:
    assert SAMPLER_NAMES == (
        "euler",
        "euler_ancestral",
        "dpmpp_sde",
        "dpmpp_2m",
        "dpmpp_2m_sde",
        "ddim",
        "uni_pc",
    )


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="two samplers are called 'euler'"):
        sampler("euler")(SAMPLERS["ddim"].algorithm)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_says_where_it_comes_from(name: str) -> None:
    assert "arXiv:" in (SAMPLERS[name].algorithm.__doc__ or "")


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(sigma=st.floats(1.0, 14.0), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=8)
def test_many_steps_solve_the_probability_flow(name: str, sigma: float, seed: int) -> None:
    """Gaussian data has an exact solution: x shrinks with the spread of the noisy data (Karras et al., eq. 4)."""
    tolerance = 0.05 if name in ("euler", "ddim") else 0.005
    sigmas = torch.cat([torch.linspace(sigma**0.2, 0.01**0.2, 200) ** 5, torch.zeros(1)])
    x = start(sigma, seed)
    exact = x * SPREAD / (SPREAD**2 + sigma**2) ** 0.5
    torch.testing.assert_close(solve(name, sigmas, x), exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("dpmpp_2m", 2), ("uni_pc", 2)])
def test_the_error_falls_with_the_order_of_the_method(name: str, order: int) -> None:
    """Twice the steps: half the error for order 1, a quarter for order 2. Ends above 0, where no step is special."""
    x, high, low = start(4.0), 4.0, 0.2
    exact = x * ((SPREAD**2 + low**2) / (SPREAD**2 + high**2)) ** 0.5
    errors = [
        (solve(name, torch.logspace(*torch.tensor([high, low]).log10().tolist(), n + 1), x) - exact).abs().max().item()
        for n in (32, 64, 128)
    ]
    for coarse, fine in pairwise(errors):
        assert coarse / fine > 2**order * 0.85


@pytest.mark.parametrize("model", [DiscreteEps(), Flow()], ids=str)
@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_the_results_have_the_spread_of_the_data(name: str, model: Parameterisation) -> None:
    sigmas = SCHEDULES["simple"](model, 240 if name == "euler_ancestral" else 60)
    if model.flow:
        x = start(0.0) / SPREAD  # sigma 1 is pure noise
    else:
        x = start(float(sigmas[0]))
    result = solve(name, sigmas, x, model=model)
    assert result.mean().item() == pytest.approx(0.0, abs=0.03)
    assert result.std().item() == pytest.approx(SPREAD, rel=0.07)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_noise_on_the_way_follows_the_seed(name: str) -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 8)
    x = start(float(sigmas[0]))
    one, again, other = (solve(name, sigmas, x, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert (one - other).std() > 0.1


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_others_draw_nothing(name: str) -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 8)
    x = start(float(sigmas[0]))
    assert torch.equal(solve(name, sigmas, x, seed=1), solve(name, sigmas, x, seed=2))


@pytest.mark.parametrize(("noisy", "plain"), [("euler_ancestral", "euler"), ("dpmpp_2m_sde", "dpmpp_2m")])
def test_without_noise_an_sde_sampler_is_its_plain_form(noisy: str, plain: str) -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 12)
    x = start(float(sigmas[0]))
    torch.testing.assert_close(solve(noisy, sigmas, x, eta=0.0), solve(plain, sigmas, x), rtol=0, atol=1e-5)


def test_the_heun_form_differs_in_the_second_order_only() -> None:
    def difference(n: int) -> float:
        sigmas = SCHEDULES["exponential"](DiscreteEps(), n)
        x = start(float(sigmas[0]))
        forms = (solve("dpmpp_2m_sde", sigmas, x, eta=0.0, solver_type=form) for form in ("heun", "midpoint"))
        return (next(forms) - next(forms)).abs().max().item()

    assert 0 < difference(80) < difference(40) / 3 < difference(20) / 9


@pytest.mark.parametrize("name", SAMPLER_NAMES)
@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_closing_is_safe_at_any_time(name: str, stop_after: int) -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 6)
    run = SAMPLERS[name].algorithm(
        start(float(sigmas[0])), sigmas, noise=source(name, sigmas, 1), params=Params(DiscreteEps())
    )
    if stop_after:
        ask = next(run)
        for _ in range(stop_after):
            ask = run.send(Answer(gaussian(ask.x, ask.sigma, flow=False)))
    run.close()
    run.close()


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_a_sampler_leaves_what_it_is_given(name: str) -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 6)
    x = start(float(sigmas[0]))
    before = x.clone(), sigmas.clone()
    answers: list[tuple[Tensor, Tensor]] = []
    run = SAMPLERS[name].algorithm(x, sigmas, noise=source(name, sigmas, 1), params=Params(DiscreteEps()))
    finish(run, lambda asked, sigma: gaussian(asked, sigma, flow=False), answers)
    assert torch.equal(x, before[0])
    assert torch.equal(sigmas, before[1])
    assert all(torch.equal(given, copy) for given, copy in answers)


def finish(run: object, denoise: Callable[[Tensor, Tensor], Tensor], answers: list[tuple[Tensor, Tensor]]) -> None:
    """Answer to the end, keeping each answer beside a copy."""
    ask = next(run)
    while True:
        denoised = denoise(ask.x, ask.sigma)
        answers.append((denoised, denoised.clone()))
        try:
            ask = run.send(Answer(denoised))
        except StopIteration:
            return


def test_options_are_read_off_the_function() -> None:
    assert dict(SAMPLERS["dpmpp_sde"].options) == {"eta": 1.0, "s_noise": 1.0, "r": 0.5}
    assert dict(SAMPLERS["euler"].options) == {}
