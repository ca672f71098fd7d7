"""Latent nodes against recorded results."""

from pathlib import Path

import pytest
import torch

from diffusion.latents import LatentError
from nodes.latent import EmptyLatentImage, SetLatentNoiseMask


def test_empty_latents_are_as_recorded(golden, ctx) -> None:
    cases = golden("EmptyLatentImage")
    assert {case["id"] for case in cases} == {"EmptyLatentImage/a", "EmptyLatentImage/odd"}
    for case in cases:
        latent = EmptyLatentImage(**case["inputs"]).run(ctx)
        assert torch.equal(latent["samples"], case["outputs"][0]["value"]["samples"])


def test_sides_that_are_no_multiple_of_8_are_rounded_down(ctx) -> None:
    latent = EmptyLatentImage(width=71, height=16, batch_size=3).run(ctx)
    assert latent["samples"].shape == (3, 4, 2, 8)


def test_noise_masks_are_as_recorded(golden, ctx) -> None:
    cases = golden("SetLatentNoiseMask")
    assert len(cases) == 4
    for case in cases:
        latent = SetLatentNoiseMask(**case["inputs"]).run(ctx)
        expected = case["outputs"][0]["value"]
        assert latent.keys() == expected.keys()
        assert all(torch.equal(latent[key], expected[key]) for key in expected), case["id"]


def test_setting_a_noise_mask_leaves_the_latent_that_came_in_alone(ctx) -> None:
    samples = {"samples": torch.zeros(1, 4, 2, 2), "batch_index": [3]}
    masked = SetLatentNoiseMask(samples=samples, mask=torch.ones(16, 16)).run(ctx)
    assert samples.keys() == {"samples", "batch_index"}
    assert masked["batch_index"] == [3]


def test_a_latent_larger_than_memory_is_a_sentence(ctx) -> None:
    overcommit = Path("/proc/sys/vm/overcommit_memory")
    if overcommit.exists() and overcommit.read_text().strip() == "1":
        pytest.skip("this system hands out more memory than it has")
    with pytest.raises(LatentError, match="275 GB, more memory than there is; make fewer or smaller ones"):
        EmptyLatentImage(width=16384, height=16384, batch_size=4096).run(ctx)
