"""The sampler nodes: against recorded runs on a toy model made of exact operations, and in steps with others."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import nodes
from diffusion.conditioning import entries
from diffusion.guidance import Guidance
from diffusion.memory import Memory
from diffusion.model import Model
from diffusion.samplers import SAMPLER_NAMES, Answer
from diffusion.sampling import Denoising
from graph.context import Cancelled, Context
from graph.document import Document
from graph.events import Event, NodeFinished, NodesCached
from graph.library import Session
from graph.node import UNFINISHED, Node, SharedStepper, Unfinished
from graph.paths import Paths
from graph.read.api import read_api
from graph.registry import Registry
from graph.result import Result
from lab.toy import ToyModel
from nodes.sampling import DenoisingSteps, KSampler, KSamplerAdvanced
from nodes.surroundings import surroundings
from nodes.types import Latent
from tests.diffusion.stand_in import Wrapped, load_tiny
from tests.nodes.conftest import RecordingContext

HOUSE = Path(__file__).resolve().parents[2]
PATIENCE_S = 20  # a test that waits longer for another thread has failed
MODELS = {"toy_eps": ToyModel(), "toy_eps_sd15scale": ToyModel(scale_factor=0.18215)}


def run(node: type[Any], inputs: dict[str, Any], ctx: Any) -> dict[str, Any]:
    return node(**{**inputs, "model": MODELS[inputs["model"]["$model"]]}).run(ctx)


@pytest.mark.parametrize(("node", "count"), [(KSampler, 13), (KSamplerAdvanced, 5)])
def test_runs_are_as_recorded(node: type[Any], count: int, golden, ctx) -> None:
    cases = golden(node.__name__)
    assert len(cases) == count
    for case in cases:
        expected = case["outputs"][0]["value"]
        latent = run(node, case["inputs"], ctx)
        assert latent.keys() == expected.keys(), case["id"]
        torch.testing.assert_close(
            latent["samples"], expected["samples"], atol=1e-5, rtol=0, msg=lambda text, id=case["id"]: f"{id}: {text}"
        )


def test_each_step_is_one_pass_and_is_reported(golden, ctx) -> None:
    inputs = golden("KSampler")[0]["inputs"]
    stepper = KSampler(**{**inputs, "model": ToyModel()}).stepper()
    stepper.start(ctx)
    steps = 1
    while stepper.step() is UNFINISHED:
        steps += 1
    stepper.close()
    stepper.close()
    assert steps == inputs["steps"]
    assert ctx.reported == [(done, steps) for done in range(1, steps + 1)]


def test_a_run_may_be_closed_in_the_middle(golden, ctx) -> None:
    stepper = KSampler(**{**golden("KSampler")[0]["inputs"], "model": ToyModel()}).stepper()
    stepper.start(ctx)
    assert stepper.step() is UNFINISHED
    stepper.close()


def test_denoising_nothing_gives_the_latent_back(golden, ctx) -> None:
    [case] = [case for case in golden("KSampler") if case["id"] == "KSampler/denoise0"]
    latent = run(KSampler, case["inputs"], ctx)
    assert torch.equal(latent["samples"], case["inputs"]["latent_image"]["samples"])
    assert ctx.reported == []


# ── in company ────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def tiny() -> Model:
    return load_tiny(Memory(torch.device("cpu")))


def context() -> RecordingContext:
    return RecordingContext(Paths(Path()), [tiny().source.memory])


def words(seed: int, tokens: int = 77) -> list[Any]:
    return [[torch.randn((1, tokens, 64), generator=torch.Generator().manual_seed(seed)), {}]]


@dataclass(frozen=True)
class Kind:
    """What a run is, small enough to be compared."""

    sampler: str
    steps: int = 2
    seed: int = 1
    cfg: float = 3.0
    batch: int = 1
    scheduler: str = "karras"
    masked: bool = False
    part: tuple[int, int] | None = None  # of the steps: a KSamplerAdvanced that leaves noise

    def node(self, model: Any, **changes: Any) -> KSampler | KSamplerAdvanced:
        generator = torch.Generator().manual_seed(self.seed)
        latent: Latent = {"samples": torch.randn((self.batch, 4, 8, 8), generator=generator)}
        if self.masked:
            latent["noise_mask"] = torch.rand((1, 1, 16, 16), generator=generator)
        inputs: dict[str, Any] = {
            "model": model, "steps": self.steps, "cfg": self.cfg, "sampler_name": self.sampler, "latent_image": latent,
            "scheduler": self.scheduler, "positive": words(2 * self.seed),
            "negative": words(2 * self.seed + 1), **changes,
        }  # fmt: skip
        if self.part is None:
            return KSampler(**{"seed": self.seed, "denoise": 1.0, **inputs})
        start, end = self.part
        return KSamplerAdvanced(
            add_noise="enable", noise_seed=self.seed, start_at_step=start, end_at_step=end,
            return_with_leftover_noise="enable", **inputs,
        )  # fmt: skip

    def started(self, model: Any, ctx: RecordingContext, **changes: Any) -> DenoisingSteps:
        stepper = self.node(model, **changes).stepper()
        assert isinstance(stepper, DenoisingSteps)
        assert isinstance(stepper, SharedStepper)
        stepper.start(ctx)
        return stepper


@cache
def alone(kind: Kind) -> Tensor:
    """What a run gives by itself."""
    samples: Tensor = kind.node(tiny()).run(context())["samples"]
    return samples


def to_the_end(steppers: Sequence[DenoisingSteps]) -> list[Latent | BaseException]:
    """What each gives when all who are not done step together."""
    ends: dict[int, Latent | BaseException] = {}
    while waiting := [each for each in steppers if id(each) not in ends]:
        for stepper, outcome in zip(waiting, DenoisingSteps.step_together(waiting), strict=True):
            if not isinstance(outcome, Unfinished):
                ends[id(stepper)] = outcome
                stepper.close()
    return [ends[id(each)] for each in steppers]


def same(outcome: Latent | BaseException, kind: Kind) -> bool:
    assert isinstance(outcome, dict), outcome
    return torch.equal(outcome["samples"], alone(kind))


def test_every_sampler_gives_in_company_what_it_gives_alone() -> None:
    """Of two steps or three, so that they leave one after another."""
    kinds = [Kind(name, 2 + seed % 2, seed) for seed, name in enumerate(SAMPLER_NAMES)]
    contexts = [context() for _ in kinds]
    steppers = [kind.started(tiny(), ctx) for kind, ctx in zip(kinds, contexts, strict=True)]
    assert len({each.company for each in steppers}) == 1
    assert steppers[0].company is not None
    for kind, ctx, outcome in zip(kinds, contexts, to_the_end(steppers), strict=True):
        assert same(outcome, kind), kind
        assert ctx.reported[-1] == (kind.steps, kind.steps)


KINDS = st.builds(
    Kind,
    sampler=st.sampled_from(SAMPLER_NAMES),
    steps=st.integers(1, 3),
    seed=st.integers(1, 3),
    cfg=st.sampled_from([1.5, 7.0]),
    batch=st.integers(1, 2),
    scheduler=st.sampled_from(["karras", "normal"]),
    masked=st.booleans(),
    part=st.sampled_from([None, None, (0, 2), (1, 3)]),
) | st.builds(Kind, sampler=st.sampled_from(SAMPLER_NAMES), cfg=st.just(1.0), batch=st.just(2))


@settings(deadline=None, max_examples=25)
@given(data=st.data(), kinds=st.lists(KINDS, min_size=2, max_size=4))
def test_joining_and_leaving_at_any_step_changes_no_bit(data: st.DataObject, kinds: list[Kind]) -> None:
    """Who steps with whom is drawn anew for each step; who is not drawn waits, or has not begun."""
    steppers: dict[int, DenoisingSteps] = {}
    outcomes: dict[int, Latent | BaseException] = {}
    while waiting := [index for index in range(len(kinds)) if index not in outcomes]:
        members = data.draw(st.lists(st.sampled_from(waiting), min_size=1, unique=True))
        for index in members:
            if index not in steppers:
                steppers[index] = kinds[index].started(tiny(), context())
        if len(members) == 1 or None in {steppers[index].company for index in members}:
            index = members[0]
            stepped: Mapping[int, Any] = {index: steppers[index].step()}
        else:
            together = DenoisingSteps.step_together([steppers[index] for index in members])
            stepped = dict(zip(members, together, strict=True))
        outcomes |= {index: each for index, each in stepped.items() if each is not UNFINISHED}
    for index, kind in enumerate(kinds):
        assert same(outcomes[index], kind), kind


def test_what_shares_no_pass_has_no_company() -> None:
    assert Kind("euler", cfg=1.0).started(tiny(), context()).company is None
    nothing = Kind("euler").started(tiny(), context(), denoise=0.0)
    assert nothing.company is None
    assert nothing.most == 1
    first = Kind("euler").started(tiny(), context())
    assert first.most > 1
    longer = Kind("euler").started(tiny(), context(), positive=words(1, 154))
    assert first.company != longer.company
    assert first.company == Kind("uni_pc", steps=9, cfg=7.0, part=(3, 7)).started(tiny(), context()).company
    assert first.company != Kind("euler").started(ToyModel(), context()).company


def test_a_run_is_done_by_the_memory_of_its_lane() -> None:
    """The handle may come from another device's lane."""
    memory = Memory(torch.device("cpu"))
    stepper = Kind("euler").started(tiny(), RecordingContext(Paths(Path()), [memory]))
    assert stepper.company != Kind("euler").started(tiny(), context()).company
    assert memory.size_bytes() == 0
    stepper.step()
    assert memory.size_bytes() > 0


class Picky(nn.Module):
    """A network that fails when it is shown what is not a number."""

    def forward(self, x: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        if tokens.isnan().any():
            raise ArithmeticError("not a number")
        out: Tensor = tiny().network()(x, timesteps, tokens)
        return out


def test_of_a_pass_that_fails_only_the_guilty_run_ends() -> None:
    model = Wrapped(tiny(), Picky())
    kinds = [Kind("euler"), Kind("dpmpp_sde", seed=2), Kind("ddim", seed=3)]
    bad = words(9)
    bad[0][0][0, 3] = torch.nan
    steppers = [kind.started(model, context()) for kind in kinds[:2]]
    steppers += [kinds[2].started(model, context(), positive=bad)]
    first, second, error = to_the_end(steppers)
    assert isinstance(error, ArithmeticError)
    assert same(first, kinds[0])
    assert same(second, kinds[1])


class Stumbling(Denoising):
    """A run whose sampler fails at its second answer."""

    def answer(self, answer: Answer) -> None:
        if self.passes == 1:
            raise ZeroDivisionError("in the sampler")
        super().answer(answer)


def test_an_error_of_one_runs_sampler_ends_that_run_alone() -> None:
    kind = Kind("euler", steps=3)
    model = tiny()

    def begin(model: Any) -> Denoising:
        node = kind.node(model)
        guidance = Guidance(model, entries(node.positive, "a"), entries(node.negative, "b"), scale=3.0)
        return Stumbling(
            guidance, "euler", torch.tensor([9.0, 4.0, 1.0, 0.0]), node.latent_image,
            parameterisation=model.parameterisation, seed=1,
        )  # fmt: skip

    stumbling = DenoisingSteps(model, begin)
    stumbling.start(context())
    other = kind.started(model, context())
    assert stumbling.company == other.company
    error, outcome = to_the_end([stumbling, other])
    assert isinstance(error, ZeroDivisionError)
    assert same(outcome, kind)


class CancelledAt(RecordingContext):
    """Reports until the user has seen enough."""

    def progress(self, value: float, total: float, preview: object | None = None) -> None:
        super().progress(value, total)
        if value == 2:
            raise Cancelled


def test_cancelling_one_run_leaves_the_others_going() -> None:
    kinds = [Kind("euler", 3), Kind("euler_ancestral", 3, seed=2)]
    leaving = CancelledAt(Paths(Path()), [tiny().source.memory])
    end, outcome = to_the_end([kinds[0].started(tiny(), leaving), kinds[1].started(tiny(), context())])
    assert isinstance(end, Cancelled)
    assert leaving.reported == [(1, 3), (2, 3)]
    assert same(outcome, kinds[1])


class Narrow(nn.Module):
    """A network on a device with memory for two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[int] = []

    def forward(self, x: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        self.tried.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        out: Tensor = tiny().network()(x, timesteps, tokens)
        return out


def test_where_memory_ends_passes_become_smaller() -> None:
    narrow = Narrow()
    model = Wrapped(tiny(), narrow)
    kinds = [Kind("euler", seed=1), Kind("ddim", seed=2), Kind("dpmpp_2m", seed=3)]
    steppers = [kind.started(model, context()) for kind in kinds]
    for kind, outcome in zip(kinds, to_the_end(steppers), strict=True):
        assert same(outcome, kind)
    assert narrow.tried[0] == 6
    assert [each for each in narrow.tried if each > 2].count(6) == 1
    assert kinds[0].started(model, context()).most == 1


# ── in an engine ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Hold(Node[None], category="test", output=True):
    """Keeps the device busy."""

    lane = "device"
    pure = False

    def run(self, ctx: Context) -> None:
        assert ctx.resource(threading.Event).wait(PATIENCE_S)


def job(**changes: Any) -> Document:
    prompt = json.loads((HOUSE / "workflows/text_to_image.json").read_text())
    prompt["sampler"]["inputs"] |= changes
    return read_api(prompt)


def test_jobs_with_other_settings_share_every_pass_that_both_have(tmp_path: Path) -> None:
    """Both are ready before the device is: the younger one's prompts are encoded before the older one's first pass."""
    base = surroundings()
    [memory] = base.resources
    free = threading.Event()
    rows: list[int] = []
    tiny().on(memory).network().register_forward_pre_hook(lambda network, inputs: rows.append(len(inputs[0])))
    begun: set[str] = set()

    def sink(event: Event) -> None:
        ended = event.node_ids if isinstance(event, NodesCached) else ()
        if "latent" in ended or (isinstance(event, NodeFinished) and event.node_id == "latent"):
            begun.add(event.run_id)
            if len(begun) == 2:
                free.set()

    async def draw(session: Session) -> list[Result]:
        hold = asyncio.ensure_future(session.run(read_api({"hold": {"class_type": "Hold", "inputs": {}}})))
        jobs = [job(sampler_name="euler", steps=3), job(sampler_name="dpmpp_2m", steps=5, seed=7, cfg=5.0)]
        results = await asyncio.gather(*(session.run(each, sink=sink) for each in jobs))
        return [*results, await hold]

    around = dataclasses.replace(base, resources=[free], lane_resources={"device 0": [memory, free]})
    registry = Registry(*Registry.scan(nodes).values(), Hold)
    with Session(registry, Paths(HOUSE, output_folder=tmp_path), around) as session:
        results = asyncio.run(draw(session))
    assert not any(result.failures for result in results)
    assert rows == [4, 4, 4, 2, 2]
