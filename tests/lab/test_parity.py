"""The comparison with reference numbers tells right, wrong and not covered apart; its weights are the recipe's."""

import json
from pathlib import Path

import pytest
import torch

from lab import parity
from lab.cases import Difference, absolute, relative
from lab.recipe import uniform, weight, write_checkpoint

# From the reference's `checkpoint_recipe.json`: shapes, and the first four numbers, of some tensors.
RECORDED = {
    "model.diffusion_model.out.0.weight": ((320,), [0.95654296875, 1.0078125, 0.95068359375, 1.130859375]),
    "first_stage_model.quant_conv.weight": (
        (8, 8, 1, 1),
        [-0.453857421875, -0.14794921875, 0.2171630859375, 0.0946044921875],
    ),
    "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (
        (77, 768),
        [0.00640106201171875, 0.0628662109375, 0.10528564453125, 0.1588134765625],
    ),
    "model.diffusion_model.input_blocks.4.1.proj_in.bias": (
        (640,),
        [0.16015625, 0.0418701171875, 0.1534423828125, -0.044281005859375],
    ),
}


@pytest.mark.parametrize("key", RECORDED)
def test_weights_are_those_of_the_recipe(key: str) -> None:
    shape, first = RECORDED[key]
    tensor = weight(key, shape)
    assert tensor.dtype == torch.float16
    assert tensor.shape == shape
    assert tensor.flatten()[:4].tolist() == first


def test_a_salt_makes_other_weights() -> None:
    assert not torch.equal(weight("a.weight", (3, 3)), weight("a.weight", (3, 3), "salt"))


def test_a_checkpoint_is_the_same_file_each_time(tmp_path: Path) -> None:
    shapes = {"b.weight": (2, 2), "a.bias": (3,)}
    for name in ("one", "two"):
        write_checkpoint(shapes, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def tokens(*ids: int) -> list[dict[str, object]]:
    """One chunk in the form of the reference: plain tokens, the last of them repeated up to 77."""
    return [
        {"tokens": [[49406, 1.0, 0], *([each, 1.0, 1] for each in ids), [49407, 1.0, 0]], "pad_repeat": 75 - len(ids)}
    ]


def test_it_counts_what_passed_failed_and_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = [
        {"prompt": "a", "sd1_l": tokens(320)},  # as recorded
        {"prompt": "cat", "sd1_l": tokens(320)},  # recorded wrong
        {"prompt": "embedding:", "sd1_l": {"raises": "IndexError"}},
    ]
    (tmp_path / "c_tokens.json").write_text(json.dumps({"prompts": prompts}))
    assert parity.main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["ok", "FAIL", "skip"]
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main([str(tmp_path / "missing")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_differences_are_in_the_reference_s_standard_deviations() -> None:
    reference = uniform("reference", (1000,)) * 50
    worst, overall = relative(reference + 0.01, reference)
    assert worst.value == pytest.approx(0.01 / 50, rel=0.05)
    assert overall.value == pytest.approx(0.01 / 50, rel=0.05)
    assert not worst.within
    assert not overall.within


def test_nan_and_another_shape_are_infinitely_far() -> None:
    one = torch.ones(2)
    assert not Difference(float("nan"), 1.0).within
    assert absolute(one, torch.ones(3), 1.0)[0].share == float("inf")
    assert absolute(torch.tensor([1.0, float("nan")]), one, 1.0)[0].share == float("inf")
    assert absolute(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")]), 0.0)[0].share == 0.0
