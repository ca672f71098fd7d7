"""Runs that share passes: each gets what it would get alone, and passes are as large as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from diffusion.batching import Sharing
from diffusion.conditioning import Conditioning, entries
from diffusion.guidance import Guidance, answers
from diffusion.layers.unet import timestep_embedding
from diffusion.memory import Memory
from diffusion.model import Model
from diffusion.samplers import Ask
from tests.diffusion.stand_in import WIDTH, StandIn, Wrapped, load_tiny, prompt

ENGINES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "linear": lambda x, width: F.linear(x.mean(3), weights(width, x.shape[2]), weights(width)),
    "conv2d": lambda x, width: F.conv2d(x, weights(width, x.shape[1], 3, 3), padding=1),
    "group_norm": lambda x, width: F.group_norm(x, 2),
    "layer_norm": lambda x, width: F.layer_norm(x, x.shape[3:]),
    "attention": lambda x, width: F.scaled_dot_product_attention(x, x + 1, x - 1),
    "silu": lambda x, width: F.silu(x),
    "silu in place": lambda x, width: F.silu(x.clone(), inplace=True),
    "gelu": lambda x, width: F.gelu(x),
    "cosines": lambda x, width: timestep_embedding(x[:, 0, 0, 0] * 1000, width),
}


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load_tiny(Memory(torch.device("cpu")))


def guidance(model: object, seed: int, scale: float = 3.0, tokens: int = 77, width: int = 64, **more: bool) -> Guidance:
    def words(seed: int) -> Conditioning:
        return [[torch.randn((1, tokens, width), generator=torch.Generator().manual_seed(seed)), {}]]

    positive, negative = entries(words(2 * seed), "positive"), entries(words(2 * seed + 1), "negative")
    return Guidance(model, positive, negative, scale=scale, **more)  # type: ignore[arg-type]


def question(seed: int, batch: int = 1, size: tuple[int, int] = (8, 8)) -> Ask:
    generator = torch.Generator().manual_seed(seed)
    return Ask(torch.randn((batch, 4, *size), generator=generator) * 3, torch.tensor(0.3 + 2.0 * seed))


# ── the numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(ENGINES)),
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    shape=st.tuples(st.sampled_from([2, 4, 32, 100]), st.integers(2, 20), st.integers(1, 40)),
    width=st.sampled_from([8, 96, 640]),
    count=st.integers(1, 3),
)
def test_each_run_gets_from_every_function_what_it_gets_alone(
    name: str, sizes: list[int], shape: tuple[int, int, int], width: int, count: int
) -> None:
    """Whether it is the first time, when both ways are tried, or a later one; even if the first numbers were round."""
    function, sharing = ENGINES[name], Sharing()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        for time in range(3):
            x = torch.randn((sum(sizes), *shape), generator=torch.Generator().manual_seed(time)) * (time > 0)
            alone = [function(part.clone(), width) for part in x.split(sizes)]
            with sharing.pass_of(sizes):
                together = function(x, width)
            assert torch.equal(together, torch.cat(alone))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("size", "count"), [((8, 8), 1), ((5, 7), 1), ((16, 16), 1), ((16, 16), 2), ((32, 32), 2)])
@torch.inference_mode()
def test_answers_are_the_same_alone_and_in_company(
    tiny: Model, threads: Callable[[int], None], size: tuple[int, int], count: int
) -> None:
    threads(count)
    asked = [(guidance(tiny, seed), question(seed, batch, size)) for seed, batch in enumerate((1, 2, 3))]
    alone = [each(ask) for each, ask in asked]
    for members in ((0, 1, 2), (2, 0), (0, 1, 2)):  # in any order; again, when it is known what may be shared
        for member, answer in zip(members, answers([asked[each] for each in members]), strict=True):
            assert torch.equal(answer.denoised, alone[member].denoised)
            assert answer.uncond is not None
            assert torch.equal(answer.uncond, alone[member].uncond)


@torch.inference_mode()
def test_all_pairs_of_equal_size_are_one_pass() -> None:
    model = StandIn()
    asked = [(guidance(model, seed, width=WIDTH, tokens=7), question(seed, batch=seed)) for seed in (1, 2, 3)]
    answers(asked)
    assert [each.x[0] for each in model.passes] == [12]
    assert sorted(set(model.passes[0].timesteps)) == sorted(
        float(model.parameterisation.timestep(ask.sigma)) for _, ask in asked
    )


@torch.inference_mode()
def test_a_runs_own_prompts_are_put_together_as_if_it_were_alone() -> None:
    """Else another run's long prompt would change the bits of the one with short ones."""
    model = StandIn()
    long = Guidance(
        model, entries(prompt(1, tokens=14), "positive"), entries(prompt(2, tokens=7), "negative"), scale=4.0
    )
    short = guidance(model, 3, tokens=7, width=WIDTH)
    alone = [long(question(1)), short(question(2))]
    model.passes.clear()
    together = answers([(long, question(1)), (short, question(2))])
    assert [each.context for each in model.passes] == [(2, 14, WIDTH), (2, 7, WIDTH)]
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.denoised, other.denoised)


@pytest.mark.parametrize("sharing", [Sharing(loose=True), Sharing("cuda")], ids=["loose", "accelerator"])
def test_where_bits_do_not_matter_nothing_is_tried_or_computed_twice(sharing: Sharing) -> None:
    x = torch.randn(8, 64)
    weight = torch.randn(256, 64)
    whole = F.linear(x, weight)
    with sharing.pass_of([2, 2, 2, 2]):
        assert torch.equal(F.linear(x, weight), whole)


# ── who may share ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_with_other_prompts_seeds_levels_and_scales_are_company(tiny: Model) -> None:
    company = guidance(tiny, 1).company(question(1))
    assert company is not None
    hash(company)
    assert guidance(tiny, 2, scale=8.0).company(question(2)) == company
    assert guidance(tiny, 2).company(question(2, batch=3)) == company
    assert guidance(tiny, 2, scale=1.0).company(question(2, batch=2)) == company  # two rows without guidance


def test_runs_that_differ_in_what_a_pass_has_once_are_none(tiny: Model) -> None:
    company = guidance(tiny, 1).company(question(1))
    other = load_tiny(Memory(torch.device("cpu")))
    assert other == tiny
    assert guidance(other, 1).company(question(1)) != company  # the same file, held in another memory
    assert guidance(tiny, 1).company(question(1, size=(8, 16))) != company
    assert guidance(tiny, 1, tokens=154).company(question(1)) != company
    assert guidance(StandIn(), 1).company(question(1)) != company


def test_a_run_whose_pass_is_a_single_row_goes_alone_unless_that_is_asked_for(tiny: Model) -> None:
    assert guidance(tiny, 1, scale=1.0).company(question(1)) is None
    loose = tiny.on(Memory(torch.device("cpu"), loose_batches=True))
    assert guidance(loose, 1, scale=1.0).company(question(1)) == guidance(loose, 2).company(question(2))


def test_prompts_that_cannot_share_a_pass_make_single_rows(tiny: Model) -> None:
    apart = Guidance(
        tiny,
        entries([[torch.zeros(1, 5 * 77, 64), {}]], "positive"),
        entries([[torch.zeros(1, 77, 64), {}]], "negative"),
        scale=3.0,
    )
    assert apart.company(question(1)) is None
    assert apart.company(question(1, batch=2)) is not None


def test_company_takes_no_more_rows_than_memory_has_room_for(tiny: Model) -> None:
    one = guidance(tiny, 1)
    assert one.most(question(1)) > 8
    assert one.most(question(1, size=(128, 128))) < one.most(question(1))
    assert one.most(Ask(torch.zeros(1).expand(1, 4, 100_000, 100_000), torch.tensor(1.0))) == 1


# ── out of memory ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Small(nn.Module):
    """A network on a device with memory for so many rows."""

    def __init__(self, network: nn.Module, rows: int, error: BaseException) -> None:
        super().__init__()
        self.network, self.rows, self.error = network, rows, error
        self.tried: list[int] = []

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        self.tried.append(len(x))
        if len(x) > self.rows:
            raise self.error
        out: Tensor = self.network(x, timesteps, context)
        return out


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried …"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=["accelerator", "CPU", "Python"])
@torch.inference_mode()
def test_a_pass_too_large_is_halved_and_no_larger_one_is_tried_again(tiny: Model, error: BaseException) -> None:
    small = Small(tiny.network(), 3, error)
    model = Wrapped(tiny, small)
    asked = [(guidance(model, seed), question(seed)) for seed in range(4)]
    alone = [guidance(tiny, seed)(ask) for seed, (_, ask) in enumerate(asked)]
    for _ in range(2):
        for one, other in zip(alone, answers(asked), strict=True):
            assert torch.equal(one.denoised, other.denoised)  # whole runs fit, so that not even bits differ
    assert small.tried == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert asked[0][0].most(asked[0][1]) == 1
    model.sharing.forget_limits()
    assert asked[0][0].most(asked[0][1]) > 1


@torch.inference_mode()
def test_one_run_is_halved_down_to_single_rows(tiny: Model) -> None:
    small = Small(tiny.network(), 1, ERRORS[0])
    one = guidance(Wrapped(tiny, small), 1)
    expected = guidance(tiny, 1)(question(1, batch=2))
    torch.testing.assert_close(one(question(1, batch=2)).denoised, expected.denoised, rtol=0, atol=1e-4)
    assert small.tried == [4, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(("rows", "error"), [(0, ERRORS[0]), (1, RuntimeError("shapes cannot be multiplied"))])
@torch.inference_mode()
def test_what_smaller_passes_do_not_cure_comes_out(tiny: Model, rows: int, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        guidance(Wrapped(tiny, Small(tiny.network(), rows, error)), 1)(question(1))
    assert raised.value is error


def test_freed_memory_is_tried_again() -> None:
    memory = Memory(torch.device("cpu"))
    memory.sharing.limit("kind", 2)
    memory.free()
    assert memory.sharing.most_rows("kind") is None
