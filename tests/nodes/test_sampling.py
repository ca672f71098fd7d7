"""The sampler nodes against recorded runs on a toy model made of exact operations."""

from typing import Any

import pytest
import torch

from graph.node import UNFINISHED
from lab.toy import ToyModel
from nodes.sampling import KSampler, KSamplerAdvanced

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
