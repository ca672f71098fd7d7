"""The whole path with the bundled checkpoint, in seconds: from words, from a picture, and in a part of a picture."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
from torch import Tensor

import main
from nodes.pictures import read_picture

HOUSE = Path(__file__).resolve().parents[1]
SAMPLES = sorted((HOUSE / "workflows").glob("*.json"))
CIRCLE = "positive.text=a blue circle on a yellow background"
Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Draw:
    """Run a workflow file, or nodes, with changes such as "KSampler.seed=7"; the picture's path."""
    (tmp_path / "models").symlink_to(HOUSE / "models")

    def run(workflow: Path | dict[str, Any], *changes: str) -> Path:
        if isinstance(workflow, dict):
            (tmp_path / "workflow.json").write_text(json.dumps(workflow))
            workflow = tmp_path / "workflow.json"
        capsys.readouterr()
        arguments = [argument for change in changes for argument in ("--set", change)]
        assert main.main(["run", "--base", str(tmp_path), str(workflow), *arguments]) == 0
        return Path(capsys.readouterr().out.splitlines()[0])

    return run


def sample(steps: int = 8) -> dict[str, Any]:
    nodes: dict[str, Any] = json.loads((HOUSE / "workflows" / "text_to_image.json").read_text())
    nodes["sampler"]["inputs"]["steps"] = steps
    return nodes


def from_picture(picture: Path, folder: Path) -> dict[str, Any]:
    """The sample workflow, beginning with a picture instead of an empty latent."""
    (folder / "input").mkdir()
    shutil.copy(picture, folder / "input" / "start.png")
    nodes = sample()
    nodes["positive"]["inputs"]["text"] = "a green triangle on a black background"
    nodes["load"] = {"class_type": "LoadImage", "inputs": {"image": "start.png"}}
    nodes["latent"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["load", 0], "vae": ["checkpoint", 2]}}
    return nodes


def image(path: Path) -> Tensor:
    """[H, W, 3] in 0..1."""
    return read_picture(path)[0][0]


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().mean())


@pytest.mark.parametrize("file", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_workflow_draws_a_picture(draw: Draw, file: Path) -> None:
    assert image(draw(file)).std() > 0.05


def test_the_picture_shows_what_the_prompt_says(draw: Draw) -> None:
    picture = image(draw(sample(steps=20), CIRCLE))
    height, width, _ = picture.shape
    red, green, blue = picture[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4].mean((0, 1))
    assert blue > red + 0.2
    corners = torch.stack([picture[y, x] for y in (4, -5) for x in (4, -5)])
    red, green, blue = corners.mean(0)
    assert min(red, green) > blue + 0.2


def test_the_same_seed_is_the_same_file_and_another_is_another_picture(draw: Draw) -> None:
    first, again, other = draw(sample()), draw(sample()), draw(sample(), "KSampler.seed=2")
    assert first != again
    assert first.read_bytes() == again.read_bytes()
    assert distance(image(first), image(other)) > 0.01


def test_a_picture_alone_is_enough_to_draw_it_again(draw: Draw) -> None:
    first = draw(sample())
    again = draw(first)
    assert first != again
    assert first.read_bytes() == again.read_bytes()


def test_clip_skip_takes_another_layer(draw: Draw) -> None:
    plain = image(draw(sample()))
    last = image(draw(sample(), "positive.clip_skip=1", "negative.clip_skip=1"))
    earlier = image(draw(sample(), "positive.clip_skip=2"))
    assert torch.equal(plain, last)
    assert not torch.equal(plain, earlier)


def test_two_halves_make_the_whole(draw: Draw) -> None:
    nodes = sample()
    nodes["sampler"]["inputs"] |= {"sampler_name": "euler", "steps": 8}
    whole = image(draw(nodes))
    common = {name: value for name, value in nodes["sampler"]["inputs"].items() if name not in ("seed", "denoise")}
    first = {
        "add_noise": "enable",
        "noise_seed": 1,
        "start_at_step": 0,
        "end_at_step": 4,
        "return_with_leftover_noise": "enable",
    }
    second = {
        "add_noise": "disable",
        "noise_seed": 1,
        "start_at_step": 4,
        "end_at_step": 10000,
        "return_with_leftover_noise": "disable",
    }
    nodes["first"] = {"class_type": "KSamplerAdvanced", "inputs": common | first}
    nodes["sampler"] = {"class_type": "KSamplerAdvanced", "inputs": common | second | {"latent_image": ["first", 0]}}
    assert (image(draw(nodes)) - whole).abs().max() <= 2 / 255


def test_less_denoising_keeps_more_of_a_picture(draw: Draw, tmp_path: Path) -> None:
    start = draw(sample(), CIRCLE)
    nodes = from_picture(start, tmp_path)
    nothing, little, much = (
        distance(image(draw(nodes, f"KSampler.denoise={share}")), image(start)) for share in (0, 0.3, 1)
    )
    assert nothing < little < much
    assert nothing < much / 3


def test_only_the_masked_part_of_a_picture_changes(draw: Draw, tmp_path: Path) -> None:
    nodes = from_picture(draw(sample(), CIRCLE), tmp_path)
    mask = PIL.Image.new("LA", (128, 128), (0, 255))
    mask.paste((0, 0), (64, 0, 128, 128))  # transparent on the right: what may change
    mask.save(tmp_path / "input" / "mask.png")
    kept = image(draw(nodes, "KSampler.denoise=0"))
    nodes["mask"] = {"class_type": "LoadImage", "inputs": {"image": "mask.png"}}
    nodes["masked"] = {"class_type": "SetLatentNoiseMask", "inputs": {"samples": ["latent", 0], "mask": ["mask", 1]}}
    nodes["sampler"]["inputs"]["latent_image"] = ["masked", 0]
    painted = image(draw(nodes))
    # In the latent nothing changes on the left; in pixels a little: the VAE's normalisations see the whole picture.
    assert distance(painted[:, :48], kept[:, :48]) < distance(painted[:, 80:], kept[:, 80:]) / 3


def test_a_batch_is_several_pictures(draw: Draw, capsys: pytest.CaptureFixture[str]) -> None:
    first = draw(sample(), "latent.batch_size=2")
    second = first.with_name("darkroom_00002_.png")
    assert distance(image(first), image(second)) > 0.01
