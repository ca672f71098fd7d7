"""The sampler nodes against recorded runs on a toy model made of exact operations."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffusion.parameterisation import DiscreteEps, Parameterisation
from graph.node import UNFINISHED
from nodes.sampling import KSampler, KSamplerAdvanced


class ToyParameterisation(DiscreteEps):
    """Noise levels of Stable Diffusion 1; what is denoised is the closed form that the recorded cases call toy."""

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.view(-1, 1, 1, 1)
        share = 1.0 / (level * level + 1.0)
        bent = 0.7 * x * share.sqrt() + output
        return x * share + (1.0 - share) * 0.8 * (bent / (1.0 + bent.abs()))


class ToyNetwork(nn.Module):
    """Hands on the one number that the conditioning holds."""

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return context[:, 0, 0].view(-1, 1, 1, 1).expand_as(x)


@dataclass(frozen=True)
class ToyModel:
    scale_factor: float = 1.0
    latent_channels: int = 4
    device: torch.device = torch.device("cpu")
    dtype: torch.dtype = torch.float32
    parameterisation: Parameterisation = field(default_factory=ToyParameterisation)

    def network(self) -> nn.Module:
        return ToyNetwork()


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
