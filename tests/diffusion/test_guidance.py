"""Guidance: what the network is shown for a question, in how many passes, and what is made of its answers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion.conditioning import Conditioning, ConditioningError, entries, repeat_to_batch
from diffusion.guidance import Guidance, Row, denoise_rows, passes
from diffusion.samplers import Ask
from tests.diffusion.stand_in import WIDTH, StandIn, prompt


@pytest.fixture(scope="module")
def shared() -> StandIn:
    return StandIn()


@pytest.fixture
def model(shared: StandIn) -> StandIn:
    shared.passes.clear()
    return shared


def question(batch: int = 1, sigma: float = 2.0, size: tuple[int, int] = (8, 8), seed: int = 0) -> Ask:
    x = torch.randn((batch, 4, *size), generator=torch.Generator().manual_seed(seed)) * sigma
    return Ask(x, torch.tensor(sigma))


def guidance(
    model: StandIn, positive: Conditioning, negative: Conditioning, scale: float = 5.0, **more: bool
) -> Guidance:
    return Guidance(model, entries(positive, "positive"), entries(negative, "negative"), scale=scale, **more)


def denoised(model: StandIn, ask: Ask, tokens: Tensor) -> Tensor:
    """The network on its own, with the formulas of epsilon prediction written out."""
    sigma = ask.sigma
    timestep = (model.parameterisation.sigmas.log() - sigma.log()).abs().argmin()
    output = model.recording.unet(
        ask.x / (sigma**2 + 1) ** 0.5, timestep.float().expand(len(ask.x)), repeat_to_batch(tokens, len(ask.x))
    )
    return ask.x - output * sigma


@torch.inference_mode()
def test_guidance_goes_from_the_negative_beyond_the_positive(model: StandIn) -> None:
    ask, positive, negative = question(), prompt(1), prompt(2)
    answer = guidance(model, positive, negative, scale=5.0)(ask)
    cond, uncond = denoised(model, ask, positive[0][0]), denoised(model, ask, negative[0][0])
    torch.testing.assert_close(answer.denoised, uncond + 5 * (cond - uncond), rtol=0, atol=1e-4)
    torch.testing.assert_close(answer.uncond, uncond, rtol=0, atol=1e-5)
    assert (cond - uncond).abs().max() > 1e-3  # or the test would say nothing


@torch.inference_mode()
def test_both_sides_share_one_pass_the_negative_first(model: StandIn) -> None:
    guidance(model, prompt(1), prompt(2))(question(batch=3))
    assert [(each.x, each.context) for each in model.passes] == [((6, 4, 8, 8), (6, 7, WIDTH))]
    rows = guidance(model, prompt(1), prompt(2)).rows(question())
    assert [row.conditional for row in rows] == [False, True]


@torch.inference_mode()
def test_at_scale_one_the_negative_prompt_is_left_out(model: StandIn) -> None:
    ask, positive = question(batch=2), prompt(1)
    answer = guidance(model, positive, prompt(2), scale=1.0)(ask)
    assert [each.x for each in model.passes] == [(2, 4, 8, 8)]
    assert answer.uncond is None
    torch.testing.assert_close(answer.denoised, denoised(model, ask, positive[0][0]), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_at_scale_one_a_sampler_that_wants_it_gets_it(model: StandIn) -> None:
    ask, negative = question(), prompt(2)
    answer = guidance(model, prompt(1), negative, scale=1.0, wants_uncond=True)(ask)
    assert answer.uncond is not None
    torch.testing.assert_close(answer.uncond, denoised(model, ask, negative[0][0]), rtol=0, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("long", "short", "contexts"),
    [
        (14, 7, [14]),  # repeated twice
        (21, 14, [42]),  # to their common multiple
        (28, 7, [28]),  # four times is the most
        (35, 7, [7, 35]),  # a pass each
        (15, 7, [7, 15]),
    ],
)
def test_prompts_of_other_lengths_share_a_pass_by_repeating(
    model: StandIn, long: int, short: int, contexts: list[int]
) -> None:
    ask, positive, negative = question(), prompt(1, tokens=long), prompt(2, tokens=short)
    answer = guidance(model, positive, negative, scale=3.0)(ask)
    assert [each.context[1] for each in model.passes] == contexts
    cond, uncond = denoised(model, ask, positive[0][0]), denoised(model, ask, negative[0][0])
    torch.testing.assert_close(answer.denoised, uncond + 3 * (cond - uncond), rtol=0, atol=1e-4)


@torch.inference_mode()
def test_several_prompts_are_averaged_by_strength(model: StandIn) -> None:
    ask, one, two, three = question(), prompt(1), prompt(2), prompt(3)
    two[0][1]["strength"] = 3.0
    answer = guidance(model, [*one, *two], three, scale=1.0)(ask)
    expected = (denoised(model, ask, one[0][0]) + 3 * denoised(model, ask, two[0][0])) / 4
    torch.testing.assert_close(answer.denoised, expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_a_single_strength_changes_nothing(model: StandIn) -> None:
    ask, weak, plain = question(), prompt(1), prompt(1)
    weak[0][1]["strength"] = 0.25
    answers = [guidance(model, positive, prompt(2))(ask).denoised for positive in (weak, plain)]
    torch.testing.assert_close(*answers, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_each_picture_of_a_batch_can_have_its_own_prompt(model: StandIn) -> None:
    ask, both = question(batch=2), prompt(1, batch=2)
    answer = guidance(model, both, prompt(2), scale=1.0)(ask)
    for k in range(2):
        alone = denoised(model, Ask(ask.x[k : k + 1], ask.sigma), both[0][0][k : k + 1])
        torch.testing.assert_close(answer.denoised[k : k + 1], alone, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_rows_of_several_runs_share_a_pass(model: StandIn) -> None:
    """Other sigmas, prompts and batch sizes; a picture of another size takes its turn."""
    asks = [question(batch=2, sigma=9.0), question(sigma=0.4, seed=1), question(size=(8, 16), seed=2)]
    guidances = [guidance(model, prompt(2 * k), prompt(2 * k + 1, tokens=14)) for k in range(3)]
    alone = [each(ask).denoised for each, ask in zip(guidances, asks, strict=True)]
    model.passes.clear()
    rows = [each.rows(ask) for each, ask in zip(guidances, asks, strict=True)]
    together = denoise_rows(model, rows)
    answers = [each.combine(*both) for each, both in zip(guidances, zip(rows, together, strict=True), strict=True)]
    assert [each.x for each in model.passes] == [(6, 4, 8, 8), (2, 4, 8, 16)]
    for one, answer in zip(alone, answers, strict=True):
        torch.testing.assert_close(answer.denoised, one, rtol=0, atol=1e-4)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(deadline=None, max_examples=100)
def test_no_prompt_is_repeated_more_than_four_times(counts: list[int]) -> None:
    x, sigma = torch.zeros(1, 4, 2, 2), torch.tensor(1.0)
    rows = [Row(x, sigma, torch.zeros(1, count, 8), 1.0, conditional=True) for count in counts]
    groups = passes(rows)
    assert sorted(map(id, rows)) == sorted(id(row) for group in groups for row in group)
    for group in groups:
        lengths = torch.tensor([row.context.shape[1] for row in group])
        assert any(all(total % length == 0 for length in lengths) for total in range(1, 4 * int(lengths.min()) + 1))


@pytest.mark.parametrize(
    ("conditioning", "sentence"),
    [
        ([], "The positive conditioning is empty"),
        ([["a cat", {}]], "not a list of"),
        ([[torch.zeros(1, 7, 8)]], "not a list of"),
        ([[torch.zeros(7, 8), {}]], r"shape \[7, 8\]"),
        ([[torch.zeros(1, 0, 8), {}]], r"shape \[1, 0, 8\]"),
        ([[torch.zeros(1, 7, 8), {"area": (4, 4, 0, 0), "strength": 1.0}]], "carries area, which"),
        ([[torch.zeros(1, 7, 8), {"mask": torch.ones(1, 8, 8), "mask_strength": 1.0}]], "carries mask, mask_strength"),
        ([[torch.zeros(1, 7, 8), {"control": object()}]], "carries control"),
        ([[torch.zeros(1, 7, 8), {"hooks": object()}]], "carries hooks"),
        ([[torch.zeros(1, 7, 8), {"start_percent": 0.0, "end_percent": 0.5}]], "carries end_percent, start_percent"),
    ],
)
def test_what_would_not_be_heeded_is_said_so(conditioning: Conditioning, sentence: str) -> None:
    with pytest.raises(ConditioningError, match=sentence):
        entries(conditioning, "positive")


def test_what_stands_there_empty_is_nothing() -> None:
    [entry] = entries([[torch.zeros(1, 7, 8), {"pooled_output": None, "control": None}]], "positive")
    assert entry.pooled is None
    assert entry.strength == 1.0
