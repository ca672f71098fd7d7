"""Whole runs on a small random network: from a latent to a latent, step by step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion.conditioning import ConditioningError
from diffusion.latents import LatentError, noise_mask_of
from diffusion.noise import initial_noise
from diffusion.parameterisation import DiscreteEps, Flow
from diffusion.samplers import SAMPLER_NAMES, Answer, Ask
from diffusion.sampling import Denoising, denoising
from diffusion.schedules import SCHEDULES
from diffusion.sigmas import SamplingError
from tests.diffusion.stand_in import StandIn, prompt


@pytest.fixture(scope="module")
def model() -> StandIn:
    return StandIn()


def setting(model: StandIn, latent: dict[str, Any], **changes: Any) -> Denoising:
    """A short run; changes are `denoising`'s keywords."""
    usual = {
        "seed": 7,
        "steps": 3,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "karras",
        "positive": prompt(1),
        "negative": prompt(2),
    }
    return denoising(model, latent=latent, **(usual | changes))


def draw(model: StandIn, latent: dict[str, Any], **changes: Any) -> Tensor:
    """The samples at the end of a run."""
    run = setting(model, latent, **changes)
    while run.step():
        pass
    return run.result()["samples"]


def empty(batch: int = 1, channels: int = 4, size: tuple[int, int] = (8, 8)) -> dict[str, Any]:
    return {"samples": torch.zeros((batch, channels, *size))}


def picture(batch: int = 1, size: tuple[int, int] = (8, 8)) -> dict[str, Any]:
    return {"samples": torch.randn((batch, 4, *size), generator=torch.Generator().manual_seed(11)) * 5}


def toy(ask: Ask) -> Answer:
    """A denoiser of exact operations on each number by itself."""
    return Answer(ask.x / (1 + ask.sigma**2) + 0.3)


def test_a_run_step_by_step(model: StandIn) -> None:
    run = setting(model, empty(), sampler_name="dpmpp_sde", steps=3)
    seen = [(run.done, run.total, run.passes)]
    while run.step():
        seen.append((run.done, run.total, run.passes))
    seen.append((run.done, run.total, run.passes))
    # Two passes a step, one in the last.
    assert seen == [(0, 3, 0), (0, 3, 1), (1, 3, 2), (1, 3, 3), (2, 3, 4), (3, 3, 5)]
    assert run.pending is None
    assert run.step() is False
    assert run.denoised is not None
    assert run.denoised.shape == (1, 4, 8, 8)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_the_same_settings_give_the_same_picture(model: StandIn, name: str) -> None:
    one, again = (draw(model, empty(), sampler_name=name) for _ in range(2))
    other = draw(model, empty(), sampler_name=name, seed=8)
    assert torch.equal(one, again)
    assert torch.isfinite(one).all()
    assert not torch.allclose(one, other)


def test_the_result_is_an_ordinary_latent(model: StandIn) -> None:
    latent = {**picture(), "batch_index": [4], "note": "kept"}
    before = latent["samples"].clone()
    run = setting(model, latent)
    while run.step():
        pass
    result = run.result()
    assert result["note"] == "kept"
    assert result["batch_index"] == [4]
    assert result["samples"].dtype == torch.float32
    assert result["samples"].device.type == "cpu"
    assert not result["samples"].is_inference()
    assert torch.equal(latent["samples"], before)
    assert "samples" in latent
    assert latent is not result


def test_no_global_random_numbers_are_drawn(model: StandIn) -> None:
    before = torch.get_rng_state()
    draw(model, empty(), sampler_name="dpmpp_2m_sde")
    draw(model, empty(), sampler_name="euler_ancestral")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SAMPLER_NAMES)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), size=st.integers(1, 4))
@settings(deadline=None, max_examples=8)
def test_a_picture_of_a_batch_can_be_made_alone(name: str, data: st.DataObject, seed: int, size: int) -> None:
    k = data.draw(st.integers(0, size - 1))
    latent = {**picture(size, (3, 5)), "noise_mask": torch.linspace(0, 1, 15).reshape(1, 3, 5)}
    one = {**latent, "samples": latent["samples"][k : k + 1]}

    def run(latent: dict[str, Any], **place: int) -> Tensor:
        sigmas = SCHEDULES["karras"](DiscreteEps(), 4)
        run = Denoising(toy, name, sigmas, latent, parameterisation=DiscreteEps(), seed=seed, **place)
        while run.step():
            pass
        return run.result()["samples"]

    assert torch.equal(run(one, batch_size=size, index=k), run(latent)[k : k + 1])


def test_pictures_from_a_batch_keep_their_noise(model: StandIn) -> None:
    whole = draw(model, empty(4))
    part = draw(model, {**empty(2), "batch_index": [2, 3]})
    torch.testing.assert_close(part, whole[2:], rtol=0, atol=1e-4 * whole.std().item())


def test_the_noise_goes_on_the_scaled_latent(model: StandIn) -> None:
    latent = picture()
    run = setting(model, latent, denoise=0.5)
    assert run.pending is not None
    noise = initial_noise((1, 4, 8, 8), 7)
    expected = latent["samples"] * model.scale_factor + noise * run.sigmas[0]
    assert torch.equal(run.pending.x, expected)


def test_without_added_noise_the_latent_is_the_start(model: StandIn) -> None:
    latent = picture()
    run = setting(model, latent, add_noise=False, start_step=1)
    assert run.pending is not None
    assert torch.equal(run.pending.x, latent["samples"] * model.scale_factor)


@pytest.mark.parametrize("name", ["euler", "ddim"])
def test_two_halves_are_the_whole(model: StandIn, name: str) -> None:
    """The first hands over a noisy latent, the second adds no noise: the way KSamplerAdvanced nodes are chained."""
    whole = draw(model, empty(), sampler_name=name, steps=4)
    half = {"samples": draw(model, empty(), sampler_name=name, steps=4, last_step=2)}
    rest = draw(model, half, sampler_name=name, steps=4, start_step=2, add_noise=False, seed=99)
    torch.testing.assert_close(rest, whole, rtol=1e-4, atol=1e-4)


def test_a_run_that_stops_early_can_be_made_to_finish(model: StandIn) -> None:
    noisy, finished = (
        setting(model, empty(), steps=4, last_step=2, force_full_denoise=force) for force in (False, True)
    )
    assert noisy.sigmas[-1] > 0
    assert finished.sigmas[-1] == 0
    assert torch.equal(noisy.sigmas[:-1], finished.sigmas[:-1])


@pytest.mark.parametrize(
    "changes",
    [{"denoise": 0.0}, {"start_step": 3}, {"start_step": 9}, {"start_step": 2, "last_step": 2}, {"last_step": 0}],
)
def test_nothing_to_do_leaves_the_latent_as_it_is(model: StandIn, changes: dict[str, Any]) -> None:
    latent = {**picture(), "noise_mask": torch.ones(8, 8)}
    run = setting(model, latent, **changes)
    assert (run.pending, run.total, run.step()) == (None, 0, False)
    assert torch.equal(run.result()["samples"], latent["samples"])
    assert run.result()["noise_mask"] is latent["noise_mask"]


@pytest.mark.parametrize("name", SAMPLER_NAMES)
def test_what_a_mask_keeps_comes_back(model: StandIn, name: str) -> None:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    latent = {**picture(2), "noise_mask": mask}
    result = draw(model, latent, sampler_name=name, steps=4)
    # The two columns at the seam are neither, since the mask is resized smoothly. uni_pc ends just above sigma 0.
    torch.testing.assert_close(
        result[..., :3], latent["samples"][..., :3], rtol=0, atol=0.02 if name == "uni_pc" else 1e-4
    )
    assert (result[..., 5:] - latent["samples"][..., 5:]).abs().mean() > 1


def test_a_mask_is_put_to_the_latents_size_and_batch(model: StandIn) -> None:
    mask = torch.zeros(2, 4, 4)
    mask[1, :, 2:] = 1  # the first picture is kept, the second half made anew
    run = setting(model, {**picture(3), "noise_mask": mask})
    while run.step():
        pass
    result, before = run.result()["samples"], picture(3)["samples"]
    assert torch.allclose(result[0], before[0], atol=1e-4)
    assert torch.allclose(result[2], before[2], atol=1e-4)  # masks repeat from the first
    assert torch.allclose(result[1, :, :, :3], before[1, :, :, :3], atol=1e-4)
    assert not torch.allclose(result[1, :, :, 5:], before[1, :, :, 5:], atol=0.1)


def test_a_mask_is_resized_smoothly() -> None:
    mask = noise_mask_of({**empty(size=(4, 4)), "noise_mask": torch.tensor([[0.0, 1.0], [0.0, 1.0]])})
    assert mask is not None
    assert mask.tolist() == [[[[0.0, 0.25, 0.75, 1.0]] * 4]]


def test_ddim_hides_what_it_keeps_under_other_noise() -> None:
    latent = {**picture(), "noise_mask": torch.zeros(8, 8)}
    sigmas = SCHEDULES["karras"](DiscreteEps(), 3)

    def hidden(name: str, seed: int) -> Tensor:
        run = Denoising(toy, name, sigmas, latent, parameterisation=DiscreteEps(), seed=seed)
        assert run.pending is not None
        return run.pending.x

    assert torch.equal(hidden("ddim", 6), hidden("euler", 7))
    assert torch.equal(hidden("ddim", 2**64 - 1), hidden("euler", 0))


def test_an_empty_latent_takes_the_models_channels(model: StandIn) -> None:
    assert torch.equal(draw(model, empty(channels=16)), draw(model, empty()))


def test_a_flow_model_runs_from_pure_noise(model: StandIn) -> None:
    flow = StandIn(parameterisation=Flow(), scale_factor=1.5, recording=model.recording)
    run = setting(flow, picture(), scheduler="simple")
    assert run.pending is not None
    assert torch.equal(run.pending.x, initial_noise((1, 4, 8, 8), 7))
    for name in SAMPLER_NAMES:
        assert torch.isfinite(draw(flow, picture(), scheduler="simple", sampler_name=name)).all()


def test_a_step_that_fails_can_be_repeated() -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 3)
    failures = iter([True, False, False, True, False])

    def flaky(ask: Ask) -> Answer:
        if next(failures):
            raise MemoryError
        return toy(ask)

    run = Denoising(flaky, "dpmpp_2m", sigmas, picture(), parameterisation=DiscreteEps(), seed=1)
    failed = 0
    while run.pending is not None:
        try:
            run.step()
        except MemoryError:
            failed += 1
    steady = Denoising(toy, "dpmpp_2m", sigmas, picture(), parameterisation=DiscreteEps(), seed=1)
    while steady.step():
        pass
    assert failed == 2
    assert torch.equal(run.result()["samples"], steady.result()["samples"])


def test_answers_can_come_from_outside() -> None:
    """As from a driver that gathers what several runs ask."""
    sigmas = SCHEDULES["karras"](DiscreteEps(), 3)
    names = ["euler", "dpmpp_sde", "uni_pc"]
    runs = [Denoising(toy, name, sigmas, picture(), parameterisation=DiscreteEps(), seed=1) for name in names]
    alone = [Denoising(toy, name, sigmas, picture(), parameterisation=DiscreteEps(), seed=1) for name in names]
    while waiting := [run for run in runs if run.pending is not None]:
        for run in waiting:
            run.answer(toy(run.pending))
    for run, single in zip(runs, alone, strict=True):
        while single.step():
            pass
        assert torch.equal(run.result()["samples"], single.result()["samples"])


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_closing_is_safe_at_any_time(model: StandIn, steps: int) -> None:
    run = setting(model, empty())
    for _ in range(steps):
        run.step()
    run.close()
    run.close()
    assert run.step() is False
    if steps < 3:
        with pytest.raises(RuntimeError, match="not come to its end"):
            run.result()
    else:
        run.result()


def test_a_samplers_own_options_reach_it() -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 4)

    def run(name: str, options: dict[str, object]) -> Tensor:
        run = Denoising(toy, name, sigmas, picture(), parameterisation=DiscreteEps(), seed=1, options=options)
        while run.step():
            pass
        return run.result()["samples"]

    torch.testing.assert_close(run("euler_ancestral", {"eta": 0.0}), run("euler", {}))
    with pytest.raises(SamplingError, match="euler has no option eta"):
        run("euler", {"eta": 0.0})


@pytest.mark.parametrize(
    ("latent", "error", "sentence"),
    [
        ({}, LatentError, 'no "samples"'),
        ({"samples": torch.zeros(4, 8, 8)}, LatentError, r"this one is \[4, 8, 8\]"),
        ({"samples": torch.zeros(1, 4, 0, 8)}, LatentError, r"this one is \[1, 4, 0, 8\]"),
        ({"samples": torch.zeros(0, 4, 8, 8)}, LatentError, r"this one is \[0, 4, 8, 8\]"),
        ({"samples": torch.full((1, 4, 8, 8), float("nan"))}, LatentError, "NaN"),
        ({"samples": torch.ones(1, 16, 8, 8)}, LatentError, "16 channels, but the model works with 4"),
        ({**empty(), "noise_mask": torch.ones(8)}, LatentError, "noise mask"),
        ({**empty(), "noise_mask": torch.full((8, 8), float("nan"))}, LatentError, "noise mask"),
        ({**empty(), "batch_index": [0, 1]}, ValueError, "names 2 pictures"),
    ],
)
def test_latents_that_cannot_be_are_said_so(
    model: StandIn, latent: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        setting(model, latent)


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"seed": -1}, ValueError, "Seeds go from 0"),
        ({"seed": 2**64}, ValueError, "Seeds go from 0"),
        ({"cfg": float("nan")}, SamplingError, "this is nan"),
        ({"steps": 0}, SamplingError, "at least one"),
        ({"sampler_name": "eulr"}, SamplingError, "no sampler called 'eulr'; there is euler"),
        ({"scheduler": "karas"}, SamplingError, "no scheduler called 'karas'; there is karras"),
        ({"positive": []}, ConditioningError, "positive conditioning is empty"),
        (
            {"negative": [[torch.zeros(1, 7, 32), {"area": (1, 1, 0, 0)}]]},
            ConditioningError,
            "negative .* carries area",
        ),
        ({"index": 2, "batch_size": 2}, ValueError, "no picture 2 in a batch of 2"),
    ],
)
def test_settings_that_cannot_be_are_said_so(
    model: StandIn, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        setting(model, empty(), **changes)


def test_one_picture_alone_needs_a_latent_of_one(model: StandIn) -> None:
    with pytest.raises(SamplingError, match="but the latent holds 2"):
        setting(model, empty(2), index=0, batch_size=2)


def test_noise_of_another_shape_is_said_so() -> None:
    sigmas = SCHEDULES["karras"](DiscreteEps(), 3)
    with pytest.raises(SamplingError, match=r"noise is \[1, 4, 4, 4\], but the latent is \[1, 4, 8, 8\]"):
        Denoising(toy, "euler", sigmas, empty(), parameterisation=DiscreteEps(), seed=1, noise=torch.zeros(1, 4, 4, 4))
